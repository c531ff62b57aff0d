"""The web UI: pages over the same use cases as every other door. Plain forms, which work without JavaScript."""
