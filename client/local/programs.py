"""What each part of the stack runs as: its command, its environment, and how one sees that it is ready."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import sys
from collections.abc import Mapping
from pathlib import Path

import asyncpg

import settings
from client.local.part import Program
from client.local.ports import HOST
from client.local.postgres import CannotRun, PostgresCluster
from client.local.stack_file import Stack
from models.errors import InvalidInput

NAMESPACE = "default"  # the one that Temporal's dev server makes
_TEMPORAL_GRACE_SECONDS = 1.5  # it may take 3 s to say goodbye to itself; killed, it loses nothing either
_WORKER_GRACE_SECONDS = 65.0  # the worker gives itself 60 s to drain
_API_GRACE_SECONDS = 20.0  # it gives itself 15 s to finish what it is asked


def postgres_program(data: Path, environment: Mapping[str, str], cluster: PostgresCluster, port: int) -> Program:
    command = cluster.command(port)

    async def answers() -> bool:
        try:
            connection = await asyncpg.connect(cluster.url(), timeout=5)
        except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError):
            return False  # it listens, and still recovers from a crash
        await connection.close()
        return True

    return Program(
        name="PostgreSQL",
        key="postgres",
        command=command,
        environment=environment,
        directory=cluster.directory,
        log=_log(data, "postgres"),
        ports=(port,),
        answers=answers,
        stop_signal=signal.SIGINT,  # fast shutdown: clients are cut off
        hurry_signal=signal.SIGQUIT,  # immediate shutdown: recovers at the next start
        user=cluster.user,
    )


def temporal_program(
    data: Path, environment: Mapping[str, str], cli: str, port: int, ui_port: int | None = None
) -> Program:
    """Temporal's dev server on a file; without `ui_port` it has no UI."""
    environment = environment_of_own_temporal(environment)
    command = [cli, "server", "start-dev", "--ip", HOST, "--port", str(port), "--log-level", "warn"]
    command += ["--db-filename", str(data / "temporal" / "temporal.db")]
    # Twice the throughput of the default, and a kill -9 still loses nothing.
    command += ["--sqlite-pragma", "journal_mode=wal", "--sqlite-pragma", "synchronous=normal"]
    # The server tells a worker at once that an activity is to stop, beside the heartbeat's answer.
    for name in ("frontend.WorkerCommandsEnabled", "system.enableCancelActivityWorkerCommand"):
        command += ["--dynamic-config-value", f"{name}=true"]
    # Nothing here asks anybody on the internet, not even for news.
    command += ["--headless"] if ui_port is None else ["--ui-port", str(ui_port), "--ui-disable-news-fetch"]

    async def answers() -> bool:
        question = ["operator", "namespace", "describe", "--address", f"{HOST}:{port}", "--namespace", NAMESPACE]
        asked = await asyncio.create_subprocess_exec(
            *(cli, *question),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.DEVNULL,
            env=environment,
            start_new_session=True,
        )
        return await asked.wait() == 0

    return Program(
        name="Temporal",
        key="temporal",
        command=command,
        environment=environment,
        directory=data,
        log=_log(data, "temporal"),
        ports=(port,) if ui_port is None else (port, ui_port),
        answers=answers,
        grace_seconds=_TEMPORAL_GRACE_SECONDS,
    )


def mail_catcher_program(data: Path, environment: Mapping[str, str], mailbox: Path, port: int) -> Program:
    address = ["--host", HOST, "--port", str(port)]
    return Program(
        name="The mail catcher",
        key="smtp",
        command=[*_python_module("client.local.mail_catcher"), *address, "--maildir", str(mailbox)],
        environment=environment,
        directory=_code(),
        log=_log(data, "mail-catcher"),
        ports=(port,),
    )


def worker_program(stack: Stack, environment: Mapping[str, str]) -> Program:
    """The worker on the addresses of `stack`."""
    return Program(
        name="The worker",
        key="worker",
        command=_python_module("worker"),
        environment=_environment_on(stack, environment),
        directory=_code(),
        log=_log(stack.data, "worker"),
        grace_seconds=_WORKER_GRACE_SECONDS,
    )


def api_program(stack: Stack, environment: Mapping[str, str], port: int, admin_key: str) -> Program:
    """The API on the addresses of `stack`, for this machine alone."""
    own = {"SENDGATE_HTTP_HOST": HOST, "SENDGATE_HTTP_PORT": str(port), "SENDGATE_ADMIN_KEY": admin_key}
    if stack.ui_url is not None:
        own["SENDGATE_TEMPORAL_UI_URL"] = f"{stack.ui_url}/namespaces/{stack.temporal_namespace}"
    return Program(
        name="The API",
        key="api",
        command=[*_python_module("client"), "serve"],
        environment=_environment_on(stack, environment) | own,
        directory=_code(),
        log=_log(stack.data, "api"),
        ports=(port,),
        grace_seconds=_API_GRACE_SECONDS,
    )


def _environment_on(stack: Stack, environment: Mapping[str, str]) -> dict[str, str]:
    """Name the servers of `stack`; what the environment says of servers that are not ours stays."""
    changed = dict(environment)
    if "temporal" in stack.pids:
        changed = environment_of_own_temporal(environment)
        changed |= {"TEMPORAL_ADDRESS": stack.temporal_address, "TEMPORAL_NAMESPACE": stack.temporal_namespace}
    if stack.mailbox is not None:
        for name in ("SENDGATE_SMTP_USERNAME", "SENDGATE_SMTP_PASSWORD", "SENDGATE_SMTP_TLS"):
            changed.pop(name, None)  # our own catcher knows neither users nor TLS
    return changed | {
        "SENDGATE_DATABASE_URL": stack.database_url,
        "SENDGATE_SMTP_HOST": stack.smtp_host,
        "SENDGATE_SMTP_PORT": str(stack.smtp_port),
    }


def environment_of_own_temporal(environment: Mapping[str, str]) -> dict[str, str]:
    """Return the environment without Temporal's variables and profile file: they speak of another server."""
    kept = {name: value for name, value in environment.items() if not name.startswith("TEMPORAL_")}
    return kept | {"TEMPORAL_CONFIG_FILE": os.devnull}


def temporal_cli(configured: str | None) -> str:
    """Return the absolute path of the `temporal` binary: the configured one, or the one installed beside Python.

    Raises InvalidInput when the configured one is not a program, CannotRun when none is installed.
    """
    cli = configured or str(Path(sys.executable).with_name("temporal"))
    found = shutil.which(cli)
    if found is None and configured:
        raise InvalidInput(f"SENDGATE_TEMPORAL_CLI: {cli} is not a program.", field="temporal_cli")
    if found is None:
        raise CannotRun(f"{cli} is missing; run make install, or set SENDGATE_TEMPORAL_CLI or TEMPORAL_ADDRESS.")
    return str(Path(found).absolute())


def _log(data: Path, name: str) -> Path:
    return data / "logs" / f"{name}.log"


def _code() -> Path:
    """The folder that our modules are in: a module of the same name in the user's folder must not be run."""
    return Path(settings.__file__).parent


def _python_module(name: str) -> list[str]:
    return [sys.executable, "-m", name]
