"""Scripted runbooks: what an operator does in a known bad moment, step by step, over the thin client.

Every module here whose name has no leading underscore is one, and is registered by being there: `wrong_body.py` is
`sendgate runbook wrong-body`, and its page is `docs/runbooks/wrong-body.md`. It holds a `RUNBOOK` (see `_registry`),
looks by `run.look` and changes things by the steps of `run` (see `_run`), and knows nothing below them.
"""
