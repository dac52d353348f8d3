"""A task exchange you can clone."""
