"""JSON Schema 2020-12 for every YAML and JSON document."""
