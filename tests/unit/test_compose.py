"""docker-compose.yml is checked here and never run: its schema, its variables, its pins, and what can be run of it."""

from __future__ import annotations

import asyncio
import re
import subprocess
import sys
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

import worker
from client.local.mail_catcher import read_mailbox
from client.local.ports import free_port
from models.durations import parse_duration
from settings import PREFIX, Settings, read_settings
from tests.eventually import eventually

ROOT = Path(__file__).parents[2]
FILE = ROOT / "docker-compose.yml"
COMPOSE: dict[str, Any] = YAML(typ="safe", pure=True).load(FILE)
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]

_VARIABLE = re.compile(r"\$\{(\w+)(?::-([^}]*))?\}")
_SECRET = re.compile(r"PASSWORD|PWD|SECRET|KEY|_URL")


def environment(service: str) -> dict[str, str]:
    return {name: str(value) for name, value in SERVICES[service].get("environment", {}).items()}


def resolved(value: str, **given: str) -> str:
    """The value on a machine that sets what is given, and nothing else."""
    return _VARIABLE.sub(lambda found: given.get(found[1]) or found[2] or "", value)


def settings_of(service: str, **given: str) -> Settings:
    return read_settings({name: resolved(value, **given) for name, value in environment(service).items()})


def schema_problems(file: Path) -> str:
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.compose-spec", str(file)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    return "" if done.returncode == 0 else done.stdout + done.stderr


def test_it_follows_the_compose_schema() -> None:
    assert not schema_problems(FILE)


def test_the_schema_finds_a_misspelt_key(tmp_path: Path) -> None:
    misspelt = tmp_path / "docker-compose.yml"
    misspelt.write_text(FILE.read_text().replace("stop_grace_period:", "stop_grace_periode:"))
    assert "stop_grace_periode" in schema_problems(misspelt)


def test_every_variable_of_ours_is_a_setting() -> None:
    given = {name for service in SERVICES for name in environment(service) if name.startswith(PREFIX)}
    asked = {found[0] for found in _VARIABLE.findall(FILE.read_text()) if found[0].startswith(PREFIX)}
    assert given
    assert given | asked <= {PREFIX + field.upper() for field in Settings.model_fields}


def test_the_worker_can_start_on_what_it_is_given() -> None:
    settings = settings_of("worker")
    assert settings.database_url is not None
    assert settings.smtp_host in SERVICES


def test_what_nobody_sets_has_the_default_of_settings() -> None:
    for name in environment("worker"):
        field = name.removeprefix(PREFIX).lower()
        if field in Settings.model_fields and field not in ("database_url", "smtp_host", "smtp_port"):
            assert getattr(settings_of("worker"), field) == Settings.model_fields[field].default, name


def test_the_way_to_another_next_hop_can_be_set() -> None:
    fields = {field for field in Settings.model_fields if field.startswith("smtp_")}
    assert {PREFIX + field.upper() for field in fields} <= set(environment("worker"))
    settings = settings_of("worker", SENDGATE_SMTP_PORT="587", SENDGATE_SMTP_CONNECTIONS="3")
    assert (settings.smtp_port, settings.smtp_connections) == (587, 3)


@pytest.mark.parametrize("service", ["worker", "api"])
def test_unsubscribe_links_can_be_switched_on(service: str) -> None:
    off = settings_of(service)
    assert (off.public_url, off.secret_key) == (None, None)
    on = settings_of(service, SENDGATE_PUBLIC_URL="https://mail.example.org", SENDGATE_SECRET_KEY="what signs links")
    assert on.public_url == "https://mail.example.org"
    assert on.secret_key is not None
    assert on.secret_key.get_secret_value() == "what signs links"


def test_no_secret_is_written_down_but_a_local_default() -> None:
    for service in SERVICES:
        for name, value in environment(service).items():
            if _SECRET.search(name):
                assert _VARIABLE.search(value), f"{service}: {name} cannot be set from outside"


def test_every_image_is_pinned() -> None:
    for service, described in SERVICES.items():
        name, _, tag = described["image"].partition(":")
        if "build" in described:
            continue
        assert re.fullmatch(r"\d+\.\d+(\.\d+)?", tag), f"{service}: {name}:{tag} is not one version"
    assert re.search(r"^FROM python:3\.\d+\.\d+-slim-\w+$", (ROOT / "Dockerfile").read_text(), re.MULTILINE)


def test_temporal_is_the_version_that_the_suite_runs_against() -> None:
    cli = Path(sys.executable).with_name("temporal")
    version = subprocess.run([cli, "--version"], capture_output=True, text=True, check=True).stdout
    found = re.search(r"Server ([\d.]+), UI ([\d.]+)", version)
    assert found
    server, ui = found.groups()
    for name in ("temporal", "temporal-schema", "temporal-namespace"):
        assert SERVICES[name]["image"].endswith(f":{server}")
    assert SERVICES["temporal-ui"]["image"].endswith(f":{ui}")


def test_nothing_listens_beyond_this_machine() -> None:
    ports = [port for described in SERVICES.values() for port in described.get("ports", [])]
    assert ports
    assert all(str(port).startswith("127.0.0.1:") for port in ports)


def test_what_others_wait_for_can_be_waited_for() -> None:
    for service, described in SERVICES.items():
        for needed, how in described.get("depends_on", {}).items():
            if how["condition"] == "service_healthy":
                assert "healthcheck" in SERVICES[needed], f"{service} waits for the health of {needed}"
            else:
                assert how["condition"] == "service_completed_successfully"
                assert SERVICES[needed]["restart"].startswith("on-failure"), f"{needed} never completes"


def test_a_worker_has_the_time_to_drain() -> None:
    assert parse_duration(SERVICES["worker"]["stop_grace_period"]) >= worker.GRACE + timedelta(seconds=10)


def test_the_number_of_history_shards_is_one_to_keep() -> None:
    assert environment("temporal")["NUM_HISTORY_SHARDS"] == "512"


def test_the_image_holds_what_the_worker_runs_on() -> None:
    kept = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    packages = {path.parent.name for path in ROOT.glob("*/__init__.py")} - {"tests", "examples", "benchmarks"}
    assert packages | {"settings.py", "worker.py", "pyproject.toml", "constraints.txt"} <= kept
    assert all((ROOT / name).exists() for name in kept)


def test_the_schema_job_makes_both_databases(tmp_path: Path) -> None:
    calls = tmp_path / "calls"
    for name in ("temporal-sql-tool", "temporal"):
        tool = tmp_path / name
        tool.write_text(f'#!/bin/sh\necho "$*" >> {calls}\n')
        tool.chmod(0o755)
    job = SERVICES["temporal-schema"]
    command = [*job["entrypoint"], *(part.replace("$$", "$") for part in job["command"])]
    subprocess.run(command, env={"PATH": f"{tmp_path}:/usr/bin:/bin"}, check=True, timeout=10)
    server = "--plugin postgres12 --ep postgres -p 5432 -u sendgate --db"
    versions = "/etc/temporal/schema/postgresql/v12"
    assert calls.read_text().splitlines() == [
        f"{server} temporal create",
        f"{server} temporal setup-schema -v 0.0",
        f"{server} temporal update-schema -d {versions}/temporal/versioned",
        f"{server} temporal_visibility create",
        f"{server} temporal_visibility setup-schema -v 0.0",
        f"{server} temporal_visibility update-schema -d {versions}/visibility/versioned",
    ]


@pytest.mark.parametrize("is_there", [True, False])
def test_the_namespace_is_created_where_it_is_missing(tmp_path: Path, is_there: bool) -> None:
    tool, calls = tmp_path / "temporal", tmp_path / "calls"
    tool.write_text(f'#!/bin/sh\necho "$3" >> {calls}\n[ "$3" = create ] || exit {0 if is_there else 1}\n')
    tool.chmod(0o755)
    job = SERVICES["temporal-namespace"]
    subprocess.run(
        [*job["entrypoint"], *job["command"]], env={"PATH": f"{tmp_path}:/usr/bin:/bin"}, check=True, timeout=10
    )
    assert calls.read_text().split() == (["describe"] if is_there else ["describe", "create"])


async def test_the_mail_catcher_starts_and_its_health_check_finds_it(tmp_path: Path) -> None:
    port = str(free_port())

    def here(arguments: list[str]) -> list[str]:
        replaced = {"python": sys.executable, "/mail": str(tmp_path / "mail"), "0.0.0.0": "127.0.0.1"}
        return [replaced.get(argument, argument).replace("2525", port) for argument in arguments]

    def is_healthy() -> bool:
        test = here(SERVICES["mail-catcher"]["healthcheck"]["test"][1:])
        return subprocess.run(test, capture_output=True, check=False, timeout=30).returncode == 0

    assert not is_healthy()
    catcher = await asyncio.create_subprocess_exec(*here(SERVICES["mail-catcher"]["command"]), cwd=ROOT)
    try:
        await eventually(is_healthy, within=30)
        assert list(read_mailbox(tmp_path / "mail")) == []
        catcher.terminate()
        assert await asyncio.wait_for(catcher.wait(), 10) == 0
    finally:
        if catcher.returncode is None:
            catcher.kill()
            await catcher.wait()
