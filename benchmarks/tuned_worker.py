"""A worker with another window, or under a profiler: what no setting offers and a benchmark wants to see.

`python -m benchmarks.tuned_worker [--window ROWS] [--profile FILE]`, in a worker's environment. The profile, of the
event loop's thread, is written when the worker ends.
"""

from __future__ import annotations

import argparse
import cProfile
import os
import sys
import time

import worker


def main() -> int:
    """Run the worker; return its exit code."""
    arguments = argparse.ArgumentParser()
    arguments.add_argument("--window", type=int, default=worker.WINDOW)
    arguments.add_argument("--profile")
    given = arguments.parse_args()
    worker.WINDOW = given.window
    if given.profile is None:
        return worker.main()
    profiler = cProfile.Profile(time.thread_time)  # what others do on the machine is not in it
    try:
        return profiler.runcall(worker.main)
    finally:
        profiler.dump_stats(given.profile)


if __name__ == "__main__":
    code = main()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)  # as worker.py does
