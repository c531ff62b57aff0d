"""`sendgate` and `python -m client`: the command line as a process."""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from typing import NoReturn

from client.cli.app import run


def main() -> NoReturn:
    """Carry out this process's command line and end with its exit code."""
    sys.stdout = sys.stdout or open(os.devnull, "w")  # noqa: SIM115 -- closed by whoever started us; never printed to
    sys.stderr = sys.stderr or open(os.devnull, "w")  # noqa: SIM115
    if hasattr(sys.stdout, "reconfigure"):
        # Through a pipe UTF-8 always, since that is what JSON is; a terminal gets what it can show.
        sys.stdout.reconfigure(errors="replace", **({} if sys.stdout.isatty() else {"encoding": "utf-8"}))
    code = run(sys.argv[1:])
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError):
            stream.flush()
    # Temporal's client aborts a few short processes in a hundred at interpreter exit; there is nothing left to do.
    os._exit(code)


if __name__ == "__main__":
    main()
