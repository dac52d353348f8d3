"""Git hooks: a few lines each that call `taskrepo.verify`."""
