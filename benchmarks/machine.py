"""What the figures were measured on: absolute ones mean nothing without it."""

from __future__ import annotations

import os
import platform
import subprocess
import time
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

import psutil

from benchmarks.figures import Figure
from benchmarks.processes import ROOT, cpu_seconds
from client.local.postgres import binaries
from client.local.programs import temporal_cli

_PACKAGES = ("temporalio", "asyncpg", "aiosmtplib", "uvloop", "jinja2")


def describe() -> dict[str, Figure]:
    """Return the machine, the versions of what takes part, the commit and the time."""
    return {
        "measured_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "commit": _said("git", "describe", "--always", "--dirty", "--abbrev=12"),
        "cpu": _cpu_name(),
        "cores": os.cpu_count(),
        "loop_seconds": round(_loop_seconds(), 2),
        "memory_bytes": psutil.virtual_memory().total,
        "kernel": platform.release(),
        "python": platform.python_version(),
        "postgresql": _said(str(binaries() / "postgres"), "--version"),
        "temporal": _said(temporal_cli(None), "--version"),
        "packages": {name: version(name) for name in _PACKAGES},
    }


class Disturbance:
    """How much of the CPU went to others since it was made: what blurs every figure (Linux; 0 elsewhere)."""

    def __init__(self) -> None:
        self._began = _Spent()

    def share(self) -> float:
        """Return the share (0 to 1) that other programs had, and other machines on the same host."""
        now = _Spent()
        everything = now.everything - self._began.everything
        others = (now.busy - self._began.busy) - (now.ours - self._began.ours)
        return max(others / everything, 0.0) if everything else 0.0


class _Spent:
    """Seconds of CPU since the machine started; `ours` is what we and our children have had."""

    def __init__(self) -> None:
        times = psutil.cpu_times()
        self.ours = cpu_seconds(os.getpid())
        self.everything = sum(times[:8])  # the rest, guest time, is in user time already
        self.busy = self.everything - times.idle - getattr(times, "iowait", 0.0)


def _cpu_name() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "unknown")


def _loop_seconds() -> float:
    """Return the seconds of CPU for ten million turns of an empty loop: machines of one name differ by a factor."""
    began = time.process_time()
    for _ in range(10_000_000):
        pass
    return time.process_time() - began


def _said(*command: str) -> str:
    try:
        # Beside others at work in the same checkout, git must not refresh its index.
        environment = os.environ | {"GIT_OPTIONAL_LOCKS": "0"}
        done = subprocess.run(
            command, cwd=ROOT, env=environment, capture_output=True, text=True, check=True, timeout=30
        )
    except (OSError, subprocess.SubprocessError):
        return "unknown"
    return done.stdout.strip()
