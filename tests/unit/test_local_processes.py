"""Parts under supervision, and what is ended of an earlier run."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from client.local.data_folder import held_folder
from client.local.part import _WAIT_FOR_THE_WORD, DidNotStart, Part, Program
from client.local.ports import HOST, free_port
from client.local.postgres import CannotRun
from client.local.processes import ProcessFile, listens_on
from models.errors import InvalidInput, Refused
from tests.eventually import eventually

SLEEPER = (sys.executable, "-c", "import signal; signal.pause()")
STUBBORN = (
    sys.executable,
    "-uc",
    "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('deaf', flush=True); signal.pause()",
)


def sleeper(*command: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen(command or SLEEPER, start_new_session=True, stdout=subprocess.PIPE)


@pytest.fixture
def started() -> Iterator[list[subprocess.Popen[bytes]]]:
    processes: list[subprocess.Popen[bytes]] = []
    yield processes
    for process in processes:
        process.kill()
        process.communicate()


def write_down(data: Path, *processes: tuple[str, int], grace_seconds: float = 5) -> None:
    file = ProcessFile(data)
    for part, pid in processes:
        file.add(part, pid, stop_signal=signal.SIGTERM, grace_seconds=grace_seconds)


async def test_what_an_earlier_run_left_is_ended_the_latest_first(
    tmp_path: Path, started: list[subprocess.Popen[bytes]]
) -> None:
    started += [sleeper(), sleeper()]
    write_down(tmp_path, ("server", started[0].pid), ("worker", started[1].pid))
    assert await ProcessFile(tmp_path).end_leftovers() == ["worker", "server"]
    assert [process.wait(5) for process in started] == [-signal.SIGTERM] * 2
    assert not (tmp_path / "processes.json").exists()


async def test_one_that_does_not_obey_is_killed_after_its_grace(
    tmp_path: Path, started: list[subprocess.Popen[bytes]]
) -> None:
    started.append(sleeper(*STUBBORN))
    assert started[0].stdout is not None
    assert started[0].stdout.readline() == b"deaf\n"
    write_down(tmp_path, ("worker", started[0].pid), grace_seconds=0.1)
    assert await ProcessFile(tmp_path).end_leftovers() == ["worker"]
    assert started[0].wait(5) == -signal.SIGKILL


async def test_a_stranger_that_was_given_the_same_process_id_is_left_alone(
    tmp_path: Path, started: list[subprocess.Popen[bytes]]
) -> None:
    started.append(sleeper())
    write_down(tmp_path, ("worker", started[0].pid))
    file = tmp_path / "processes.json"
    (record,) = json.loads(file.read_text())
    file.write_text(json.dumps([{**record, "created_at": record["created_at"] - 100}]))
    assert await ProcessFile(tmp_path).end_leftovers() == []
    assert started[0].poll() is None
    assert not file.exists()


def test_a_damaged_process_file_is_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "processes.json").write_text("{")
    with pytest.raises(CannotRun, match=r"processes.json is damaged"):
        ProcessFile(tmp_path)


def test_a_process_that_is_not_written_down_does_nothing(tmp_path: Path) -> None:
    trace = tmp_path / "trace"
    subprocess.run([*_WAIT_FOR_THE_WORD, "touch", str(trace)], stdin=subprocess.DEVNULL, check=False)
    assert not trace.exists()
    subprocess.run([*_WAIT_FOR_THE_WORD, "touch", str(trace)], input=b"go\n", check=True)
    assert trace.exists()


def program(tmp_path: Path, *command: str, ports: tuple[int, ...] = (), grace_seconds: float = 5) -> Program:
    return Program(
        name="The part",
        key="part",
        command=command,
        environment=os.environ,
        directory=tmp_path,
        log=tmp_path / "part.log",
        ports=ports,
        grace_seconds=grace_seconds,
    )


async def test_a_part_is_ready_when_its_own_process_listens_and_ends_when_it_is_asked(tmp_path: Path) -> None:
    port = free_port()
    processes = ProcessFile(tmp_path)
    part = Part(program(tmp_path, sys.executable, "-m", "http.server", "-b", HOST, str(port), ports=(port,)), processes)
    await part.start()
    pid = processes.pids["part"]
    assert listens_on(pid, (port,))
    assert not listens_on(os.getpid(), (port,))
    await part.stop(asyncio.Event())
    assert not psutil.pid_exists(pid)
    assert processes.pids == {}


async def test_a_part_that_cannot_start_says_its_last_words_and_leaves_nothing(tmp_path: Path) -> None:
    code = "import sys; print('Error: the disk is made of cheese.'); print('bye'); sys.exit(3)"
    processes = ProcessFile(tmp_path)
    with pytest.raises(DidNotStart, match=r"The part did not start: Error: the disk is made of cheese \(log: "):
        await Part(program(tmp_path, sys.executable, "-c", code, ports=(free_port(),)), processes).start()
    assert processes.pids == {}


async def test_a_part_is_started_again_each_time_it_dies(tmp_path: Path) -> None:
    processes = ProcessFile(tmp_path)
    part = Part(program(tmp_path, *SLEEPER), processes)
    await part.start()
    said: list[str] = []
    restarts: list[int] = []
    keeper = asyncio.create_task(part.keep_running(said.append, lambda: restarts.append(processes.pids["part"])))
    pids = [processes.pids["part"]]
    for number in (1, 2):
        os.kill(pids[-1], signal.SIGKILL)
        await eventually(lambda number=number: len(restarts) == number)  # type: ignore[misc]  # a default binds it
        pids.append(restarts[-1])
    assert len(set(pids)) == 3
    assert [line.rpartition(" (")[0] for line in said if "killed" in line] == [
        "The part was killed by SIGKILL; starting it again in 0.5 s",
        "The part was killed by SIGKILL; starting it again in 1 s",
    ]
    keeper.cancel()
    await part.stop(asyncio.Event())
    assert not psutil.pid_exists(pids[-1])


@pytest.mark.parametrize("hurried", [True, False])
async def test_a_deaf_part_is_killed_when_its_grace_is_over_or_the_user_hurries(tmp_path: Path, hurried: bool) -> None:
    processes = ProcessFile(tmp_path)
    part = Part(program(tmp_path, *STUBBORN, grace_seconds=60 if hurried else 0.1), processes)
    await part.start()
    await eventually(lambda: b"deaf" in (tmp_path / "part.log").read_bytes())
    pid = processes.pids["part"]
    hurry = asyncio.Event()
    stopping = asyncio.create_task(part.stop(hurry))
    if hurried:
        hurry.set()
    await asyncio.wait_for(stopping, 10)
    assert not psutil.pid_exists(pid)


async def test_parts_are_ended_also_when_their_folder_was_deleted_under_them(tmp_path: Path) -> None:
    data = tmp_path / "data"
    data.mkdir()
    processes = ProcessFile(data)
    part = Part(program(data, *SLEEPER), processes)
    await part.start()
    pid = processes.pids["part"]
    shutil.rmtree(data)
    await part.stop(asyncio.Event())
    assert not psutil.pid_exists(pid)


async def test_a_log_that_has_grown_long_is_put_aside_at_the_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("client.local.part._LOG_BYTES", 10)
    log = tmp_path / "part.log"
    for content, aside in (("short\n", False), ("much too long\n", True)):
        log.write_text(content)
        part = Part(program(tmp_path, *SLEEPER), ProcessFile(tmp_path))
        await part.start()
        await part.stop(asyncio.Event())
        assert (tmp_path / "part.log.1").exists() == aside
    assert (tmp_path / "part.log.1").read_text() == "much too long\n"


def test_a_folder_has_one_holder_and_is_free_again_after_it(tmp_path: Path) -> None:
    data = tmp_path / "a" / "b"
    with held_folder(data, for_postgres=False):
        assert data.stat().st_mode & 0o777 == 0o700
        with (
            pytest.raises(Refused, match=rf"already \(process {os.getpid()}\)"),
            held_folder(data, for_postgres=False),
        ):
            raise AssertionError("held twice")
    with held_folder(data, for_postgres=False):
        pass


def test_a_folder_of_somebody_keeps_its_mode(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    with held_folder(tmp_path, for_postgres=True):
        assert tmp_path.stat().st_mode & 0o777 == 0o755
        assert {path.stat().st_mode & 0o777 for path in tmp_path.iterdir() if path.is_dir()} == {0o700}


def test_a_file_in_place_of_the_folder_is_a_sentence(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.touch()
    for path in (file, file / "below"):
        with pytest.raises(InvalidInput, match="is not a folder"), held_folder(path, for_postgres=False):
            raise AssertionError("held a file")
