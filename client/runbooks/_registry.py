"""What a runbook is made of, and which ones there are."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Awaitable, Callable, Iterable, Iterator
from dataclasses import dataclass

import click

from client import runbooks
from client.cli.verb import Check


@dataclass(frozen=True, slots=True)
class Runbook:
    """What a module of this package declares as `RUNBOOK`.

    `steps(run, **options)` carries it out; its docstring is the help, whose first sentence is the summary. It must be
    safe to begin again after an end at any point: it judges by the state it finds, never by what it remembers.
    """

    steps: Callable[..., Awaitable[None]]
    parameters: tuple[click.Parameter, ...]
    examples: tuple[str, ...]
    check: Check | None = None

    @property
    def summary(self) -> str:
        return (self.steps.__doc__ or "").strip().partition("\n")[0]


@dataclass(frozen=True, slots=True)
class Found:
    """A module of this package. `runbook` is None when it could not be loaded, and `problem` says why."""

    name: str
    runbook: Runbook | None
    problem: str = ""


def find_runbooks(path: Iterable[str] = runbooks.__path__, package: str = runbooks.__name__) -> Iterator[Found]:
    """Yield every runbook, by name. One that does not load is told, and takes no other verb with it."""
    for module in sorted(pkgutil.iter_modules(path), key=lambda module: module.name):
        if module.name.startswith("_"):
            continue
        name = module.name.replace("_", "-")
        try:
            runbook = importlib.import_module(f"{package}.{module.name}").RUNBOOK
        except Exception as error:  # noqa: BLE001 -- told when it is asked for; `sendgate pause` must work all the same
            yield Found(name, None, f"{type(error).__name__}: {error}")
            continue
        if isinstance(runbook, Runbook):
            yield Found(name, runbook)
        else:
            yield Found(name, None, f"its RUNBOOK is a {type(runbook).__name__}")
