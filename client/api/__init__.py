"""The REST API: it parses, asks the use cases and presents. Rules live in the use cases; see docs/api.md."""
