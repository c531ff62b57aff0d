"""What import-linter cannot see: the two modules at the top, and that a worker runs everything there is to run.

The arrows between the packages are import-linter's contracts in pyproject.toml; `make check` holds them.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

import worker
from settings import Settings
from workflows.calls import DELIVERY_QUEUE

ROOT = Path(__file__).parents[2]
PACKAGES = ("activities", "client", "models", "storage", "workflows")
PRODUCT = sorted(file for package in PACKAGES for file in (ROOT / package).rglob("*.py"))


def parsed(file: Path) -> ast.Module:
    return ast.parse(file.read_text(encoding="utf-8"), filename=str(file))


def imports(tree: ast.AST) -> set[str]:
    """The modules that a file imports, anywhere in it: `import a.b` and `from a.b import c` both give `a.b`."""
    found: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            found.add(node.module or "")
    return found


def top(modules: set[str]) -> set[str]:
    return {module.partition(".")[0] for module in modules}


def decorated(package: str, decorator: str) -> Iterator[str]:
    """Names (`Class.function`, or `Class`) that carry `@decorator` or `@decorator(…)` in a package."""
    for file in sorted((ROOT / package).rglob("*.py")):
        owners = [node for node in ast.walk(parsed(file)) if isinstance(node, ast.Module | ast.ClassDef)]
        for owner in owners:
            for node in owner.body:
                if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
                    continue
                names = (d.func if isinstance(d, ast.Call) else d for d in node.decorator_list)
                if any(ast.unparse(name) == decorator for name in names):
                    yield f"{owner.name}.{node.name}" if isinstance(owner, ast.ClassDef) else node.name


@pytest.fixture
def made_workers(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """What `make_workers` gives to each of Temporal's workers."""
    made: list[dict[str, Any]] = []

    def record(client: object, **given: Any) -> SimpleNamespace:
        made.append(given)
        return SimpleNamespace()

    monkeypatch.setattr(worker, "Worker", record)
    worker.make_workers(cast(Any, None), cast(Any, None), Settings(), cast(Any, None))
    return made


def names(things: list[Callable[..., object]]) -> list[str]:
    return [thing.__qualname__ for thing in things]


def test_settings_import_models_alone() -> None:
    assert top(imports(parsed(ROOT / "settings.py"))) - set(sys.stdlib_module_names) == {"models", "pydantic"}


def test_nothing_imports_the_worker_but_tests() -> None:
    assert [file for file in [*PRODUCT, ROOT / "settings.py"] if "worker" in top(imports(parsed(file)))] == []


def test_settings_are_read_at_the_edges_only() -> None:
    readers = {file.relative_to(ROOT).parts[0] for file in PRODUCT if "settings" in top(imports(parsed(file)))}
    assert readers == {"client"}


def test_the_product_does_not_import_its_tests() -> None:
    assert [file for file in PRODUCT if top(imports(parsed(file))) & {"tests", "examples", "benchmarks"}] == []


def test_activities_are_given_the_database_and_do_not_import_it() -> None:
    for file in sorted((ROOT / "activities").rglob("*.py")):
        assert not top(imports(parsed(file))) & {"storage", "asyncpg", "settings"}, file


def test_one_folder_speaks_smtp() -> None:
    speakers = {file.parent for file in PRODUCT if "aiosmtplib" in top(imports(parsed(file)))}
    assert speakers == {ROOT / "activities" / "smtp"}


def test_every_activity_is_registered_once(made_workers: list[dict[str, Any]]) -> None:
    registered = [name for made in made_workers for name in names(made["activities"])]
    defined = list(decorated("activities", "activity.defn"))
    assert len(defined) >= 9
    assert sorted(registered) == sorted(defined)


def test_every_workflow_is_registered(made_workers: list[dict[str, Any]]) -> None:
    registered = [name for made in made_workers for name in names(made.get("workflows", []))]
    assert registered == list(decorated("workflows", "workflow.defn"))


def test_lanes_have_a_queue_of_their_own(made_workers: list[dict[str, Any]]) -> None:
    queues = {made["task_queue"]: names(made["activities"]) for made in made_workers}
    assert len(queues) == len(made_workers)
    assert queues[DELIVERY_QUEUE] == ["DeliveryActivities.deliver"]


def test_every_worker_drains_and_hears_of_a_stop_within_a_second(made_workers: list[dict[str, Any]]) -> None:
    for made in made_workers:
        assert made["graceful_shutdown_timeout"] == worker.GRACE
        assert made["max_heartbeat_throttle_interval"].total_seconds() <= 1
        assert Settings().smtp_timeout <= worker.GRACE, "a drain must outlast the next hop's last reply"


def test_make_check_holds_the_arrows() -> None:
    recipe = (ROOT / "Makefile").read_text().partition("\ncheck:")[2].partition("\n\n")[0]
    assert all(tool in recipe for tool in ("ruff format --check", "ruff check", "mypy", "lint-imports"))
