"""Nouns and pure rules: no I/O, no clock, nothing that a workflow may not import."""
