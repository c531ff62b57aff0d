"""`sendgate up` as a user runs it: real processes, real signals, real ports."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import ClassVar

import httpx
import psutil
import pytest

from client.direct import open_use_cases
from client.interface import AskedBy
from client.local.mail_catcher import read_mailbox
from client.local.ports import is_free
from client.local.postgres import temporary_directory
from client.local.stack_file import Stack, read_stack
from models.audience import Audience
from models.message import MessageContent
from models.schedule import Schedule
from tests.eventually import eventually

READY_WITHIN = 30.0
GONE_WITHIN = 5.0  # what is promised


class Up:
    """One `sendgate up`, and everything it started."""

    all: ClassVar[list[Up]] = []

    def __init__(self, data: Path, *options: str, environment: Mapping[str, str] | None = None) -> None:
        self.data = data
        self.output = data.with_suffix(".out")
        inherited = {
            name: value for name, value in os.environ.items() if not name.startswith(("SENDGATE_", "TEMPORAL_"))
        }
        with self.output.open("ab") as output:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "client", "up", "--data", str(data), *options],
                env={**inherited, **(environment or {})},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
        self._seen: set[psutil.Process] = set()
        Up.all.append(self)

    @property
    def said(self) -> str:
        return self.output.read_text()

    async def ready(self) -> Stack:
        """Wait for the stack file of this very process."""

        def stack() -> Stack | None:
            assert self.process.poll() is None, self.said
            with suppress(Exception):
                found = read_stack(self.data)
                return found if found and found.pid == self.process.pid else None
            return None

        found = await eventually(stack, within=READY_WITHIN)
        assert found is not None
        self.family()
        return found

    def family(self) -> list[psutil.Process]:
        """Return `up` itself, then every process below it."""
        found = [psutil.Process(self.process.pid), *psutil.Process(self.process.pid).children(recursive=True)]
        self._seen.update(found)
        return found

    def end(self) -> None:
        """End whatever a failed test has left, and nothing that is not ours."""
        if self.process.poll() is None:
            self.family()
            self.process.kill()
        self.process.wait()
        for process in self._seen:
            with suppress(psutil.NoSuchProcess):
                process.kill()

    def ports(self) -> list[int]:
        return list(json.loads((self.data / "ports.json").read_text()).values())

    async def ended(self) -> int:
        """Wait for the end of `up` itself, as long as is promised, and return its exit code."""
        await eventually(lambda: self.process.poll() is not None, within=GONE_WITHIN)
        return self.process.returncode


async def stopped_without_a_trace(up: Up, number: signal.Signals) -> int:
    """Send the signal to the foreground group, as a terminal does, and return the exit code once all is gone."""
    family, ports = up.family(), up.ports()
    os.killpg(up.process.pid, number)
    code = await up.ended()
    await eventually(lambda: not [process for process in family if runs(process)], within=GONE_WITHIN)
    assert [port for port in ports if not is_free(port)] == []
    assert not (up.data / "stack.json").exists()
    return code


def runs(process: psutil.Process) -> bool:
    with suppress(psutil.NoSuchProcess):
        # Where nobody collects the dead, a process that has ended stays in the table.
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    return False


def run_up(data: Path, *options: str, environment: Mapping[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    """Run an `up` that is expected to be refused."""
    return subprocess.run(
        [sys.executable, "-m", "client", "up", "--data", str(data), *options],
        env={**os.environ, **(environment or {})},
        capture_output=True,
        text=True,
        timeout=READY_WITHIN,
        check=False,
    )


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    """A folder that PostgreSQL's user can pass when we are root; every process started in it is ended afterwards."""
    path = temporary_directory("sendgate-up-")
    yield path
    for up in Up.all:
        up.end()
    shutil.rmtree(path, ignore_errors=True)


@pytest.fixture(scope="module")
async def running(folder: Path) -> Up:
    """A stack that the tests below share and leave running."""
    up = Up(folder / "shared")
    await up.ready()
    return up


async def test_addresses_are_printed_and_the_file_with_the_password_is_private(running: Up) -> None:
    stack = await running.ready()
    password = stack.database_url.split(":")[2].split("@")[0]
    assert (running.data / "stack.json").stat().st_mode & 0o777 == 0o600
    await eventually(lambda: "Passwords" in running.said)  # the last line of the table
    assert stack.temporal_address in running.said
    assert str(stack.ui_url) in running.said
    assert f"{stack.smtp_host}:{stack.smtp_port}" in running.said
    assert len(password) > 20
    assert password not in running.said


async def test_a_second_up_on_the_same_folder_is_refused(running: Up) -> None:
    second = run_up(running.data)
    assert second.returncode == 3
    assert second.stderr.count("\n") == 1
    assert f"already (process {running.process.pid})" in second.stderr
    assert running.process.poll() is None


async def test_a_taken_port_is_a_sentence(running: Up, folder: Path) -> None:
    taken = (await running.ready()).smtp_port
    refused = run_up(folder / "refused", "--smtp-port", str(taken))
    assert refused.returncode == 2
    assert refused.stderr.count("\n") == 1
    assert f"Port {taken} (--smtp-port) is taken" in refused.stderr
    assert not (folder / "refused" / "processes.json").exists()


async def test_the_worker_is_started_again_when_it_is_killed(running: Up) -> None:
    killed = (await running.ready()).pids["worker"]
    os.kill(killed, signal.SIGKILL)

    def another() -> bool:
        stack = read_stack(running.data)
        return stack is not None and stack.pids["worker"] != killed and psutil.pid_exists(stack.pids["worker"])

    await eventually(another, within=5)
    assert "The worker was killed by SIGKILL; starting it again in 0.5 s" in running.said


async def test_the_api_answers_with_the_key_of_the_file_and_is_started_again_when_it_is_killed(running: Up) -> None:
    stack = await running.ready()
    assert stack.api_url is not None
    assert stack.api_key is not None
    headers = {"Authorization": f"Bearer {stack.api_key}"}
    async with httpx.AsyncClient(base_url=stack.api_url, headers=headers) as client:
        assert (await client.get("/readyz")).status_code == 200
        assert (await client.get("/v1/keys")).json() == {"items": []}
        assert (await client.get("/v1/keys", headers={"Authorization": "Bearer x"})).status_code == 401
        await eventually(lambda: "Passwords" in running.said)
        assert stack.api_url in running.said
        assert stack.api_key not in running.said
        os.kill(stack.pids["api"], signal.SIGKILL)

        async def again() -> bool:
            with suppress(httpx.TransportError):
                return (await client.get("/healthz")).status_code == 200
            return False

        await eventually(lambda: (found := read_stack(running.data)) and found.pids["api"] != stack.pids["api"], 15)
        await eventually(again, within=15)
    assert "The API was killed by SIGKILL; starting it again in 0.5 s" in running.said
    assert (running.data / "secret-key").stat().st_mode & 0o777 == 0o600


async def test_servers_of_the_environment_are_used_instead_of_own_ones(
    running: Up, folder: Path, database_url: str
) -> None:
    others = await running.ready()
    up = Up(
        folder / "borrowing",
        environment={
            "SENDGATE_DATABASE_URL": database_url,
            "TEMPORAL_ADDRESS": others.temporal_address,
            "SENDGATE_SMTP_HOST": others.smtp_host,
            "SENDGATE_SMTP_PORT": str(others.smtp_port),
        },
    )
    stack = await up.ready()
    assert set(stack.pids) == {"worker", "api"}
    assert stack.database_url == database_url
    assert stack.temporal_address == others.temporal_address
    assert stack.smtp_port == others.smtp_port
    assert stack.mailbox is None
    await eventually(lambda: "(SENDGATE_DATABASE_URL)" in up.said)
    environment = psutil.Process(stack.pids["worker"]).environ()
    assert environment["SENDGATE_DATABASE_URL"] == database_url
    assert await stopped_without_a_trace(up, signal.SIGTERM) == 0


async def test_two_stacks_started_at_once_run_side_by_side_and_stop_without_a_trace(folder: Path) -> None:
    one, other = Up(folder / "one"), Up(folder / "other", "--no-ui")
    stacks = await one.ready(), await other.ready()
    assert set(one.ports()).isdisjoint(other.ports())
    assert stacks[1].ui_url is None
    assert await stopped_without_a_trace(one, signal.SIGINT) == 0
    assert all(psutil.pid_exists(pid) for pid in stacks[1].pids.values())
    assert await stopped_without_a_trace(other, signal.SIGTERM) == 0


async def test_after_a_kill_9_the_next_up_ends_what_was_left_and_finds_the_data(folder: Path) -> None:
    """And a send that was scheduled before arrives, once."""
    killed = Up(folder / "killed", "--no-ui")
    await killed.ready()
    children, ports = killed.family()[1:], killed.ports()
    secret = (killed.data / "secret-key").read_text()
    people = folder / "people.csv"
    people.write_text("email,first_name\nola@example.com,Ola\n")
    async with open_use_cases(killed.data) as use_cases:
        await use_cases.import_contacts(str(people), list_name="people")
        draft = await use_cases.create(
            MessageContent(
                name="Later",
                from_address="news@example.com",
                subject="Hello",
                text="Hello",
                audience=Audience(lists=("people",)),
            )
        )
        at = datetime.now(UTC) + timedelta(seconds=6)
        await use_cases.send(draft.id, Schedule(at=at), AskedBy(actor="test"))
    os.kill(killed.process.pid, signal.SIGKILL)
    killed.process.wait()
    assert any(runs(child) for child in children)

    up = Up(folder / "killed", "--no-ui")
    again = await up.ready()
    assert not [child for child in children if runs(child)]
    assert up.ports() == ports
    assert (up.data / "secret-key").read_text() == secret, "links in emails stay good"
    assert "Ended what an earlier run had left: postgres." in up.said
    mailbox = again.mailbox
    assert mailbox is not None
    (email,) = await eventually(lambda: list(read_mailbox(mailbox)), within=20)
    assert email.address == "ola@example.com"
    assert email.received_at >= at
    assert await stopped_without_a_trace(up, signal.SIGHUP) == 0


async def test_ctrl_c_in_the_middle_of_the_start_leaves_nothing(folder: Path) -> None:
    up = Up(folder / "impatient", "--no-ui")
    await eventually((folder / "impatient" / "processes.json").exists, within=READY_WITHIN)
    family = up.family()
    os.killpg(up.process.pid, signal.SIGINT)
    assert await up.ended() == 0
    assert not [process for process in family if runs(process)]
    assert not (folder / "impatient" / "processes.json").exists()
