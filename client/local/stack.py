"""The local stack as a whole: which parts there are, and in which order they start and stop."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import asyncpg

from client.local.data_folder import held_folder
from client.local.own_keys import admin_key_of, secret_key_of
from client.local.part import DidNotStart, Part, Program, Say
from client.local.ports import HOST, Ports, is_free
from client.local.postgres import PostgresCluster
from client.local.processes import ProcessFile
from client.local.programs import (
    NAMESPACE,
    api_program,
    mail_catcher_program,
    postgres_program,
    temporal_cli,
    temporal_program,
    worker_program,
)
from client.local.stack_file import FILE_NAME, Stack, remove_stack, write_stack
from models.errors import Unreachable
from settings import Settings, read_settings
from storage.database import migrate, open_pool

DATABASE = "sendgate"
_STOP_ORDER = ("api", "worker", "smtp", "temporal", "postgres")  # the worker first: it gives back what it has claimed
_CHOICES_OF_PORTS = 5  # another program, or another stack, may take a port between our look and the start


@dataclass(frozen=True)
class StackOptions:
    """What `sendgate up` was asked for."""

    data: Path  # absolute
    ui: bool = True
    ports: Mapping[str, int] = field(default_factory=dict)  # temporal, ui, postgres, smtp, api → the port it must have
    environment: Mapping[str, str] = field(default_factory=lambda: dict(os.environ))


async def run_stack(options: StackOptions, *, on_ready: Callable[[Stack], None], say: Say) -> None:
    """Run the stack until SIGINT, SIGTERM or SIGHUP, and leave no process behind; a second signal hurries.

    `on_ready` is told the addresses once everything answers, `say` one line per event. Raises InvalidInput, Refused,
    CannotRun or Unreachable when the stack cannot be started; what had been started is stopped then.
    """
    settings = read_settings(options.environment)  # a wrong variable is told before anything is started
    stop, hurry = asyncio.Event(), asyncio.Event()
    _listen_for_signals(stop, hurry, say)
    with held_folder(options.data, for_postgres=settings.database_url is None):
        stack = LocalStack(options, settings, say)
        running = asyncio.create_task(stack.run(on_ready))
        stopping = asyncio.create_task(stop.wait())
        try:
            await asyncio.wait({running, stopping}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            asked_to_stop = stop.is_set()
            stop.set()  # from here on a signal hurries
            for task in (running, stopping):
                task.cancel()
            outcome, _ = await asyncio.gather(running, stopping, return_exceptions=True)
            await stack.stop(hurry)
    if isinstance(outcome, BaseException) and not asked_to_stop:
        raise _first(outcome)


def _listen_for_signals(stop: asyncio.Event, hurry: asyncio.Event, say: Say) -> None:
    def on_signal() -> None:
        if stop.is_set():
            hurry.set()
            say("Stopping at once.")
        else:
            stop.set()
            say("Stopping; once more to hurry.")

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        if number != signal.SIGHUP or signal.getsignal(number) != signal.SIG_IGN:  # under nohup it stays ignored
            asyncio.get_running_loop().add_signal_handler(number, on_signal)


class LocalStack:
    """The parts in one data folder, whose lock must be held."""

    def __init__(self, options: StackOptions, settings: Settings, say: Say) -> None:
        self._data = options.data
        self._environment = dict(options.environment)
        self._settings = settings
        self._ui = options.ui
        self._say = say
        self._ports = Ports(options.data, options.ports)
        self._processes = ProcessFile(options.data)
        self._parts: list[Part] = []

    async def run(self, on_ready: Callable[[Stack], None]) -> None:
        """Start everything, tell the addresses, and keep the parts running until canceled."""
        remove_stack(self._data)
        for left in await self._processes.end_leftovers():
            self._say(f"Ended what an earlier run had left: {left}.")
        self._ports.require_given()
        # Links in emails are good for as long as this key stays.
        self._environment["SENDGATE_SECRET_KEY"] = secret_key_of(self._settings, self._data)
        async with asyncio.TaskGroup() as servers:
            database = servers.create_task(self._start_database())
            temporal = servers.create_task(self._start_temporal())
            next_hop = servers.create_task(self._start_next_hop())
        temporal_address, temporal_namespace, ui_url = temporal.result()
        smtp_host, smtp_port, mailbox = next_hop.result()
        stack = Stack(
            data=self._data,
            pid=os.getpid(),
            database_url=database.result(),
            temporal_address=temporal_address,
            temporal_namespace=temporal_namespace,
            ui_url=ui_url,
            smtp_host=smtp_host,
            smtp_port=smtp_port,
            mailbox=mailbox,
            pids=self._processes.pids,
        )
        async with asyncio.TaskGroup() as programs:
            programs.create_task(self._start_part(worker_program(stack, self._environment)))
            api = programs.create_task(self._start_api(stack))
        api_url, api_key = api.result()
        stack = stack.model_copy(update={"api_url": api_url, "api_key": api_key})
        self._ports.remember()

        def publish() -> Stack:
            current = stack.model_copy(update={"pids": self._processes.pids})
            write_stack(current)
            return current

        def publish_restart() -> None:
            try:
                publish()
            except OSError as error:  # the addresses in the file are right still
                self._say(f"{FILE_NAME} cannot be written: {error.strerror}.")

        on_ready(publish())
        async with asyncio.TaskGroup() as keepers:
            for part in self._parts:
                keepers.create_task(part.keep_running(self._say, publish_restart))

    async def stop(self, hurry: asyncio.Event) -> None:
        """Stop every part, also of a stack that was only half started."""
        remove_stack(self._data)
        for part in sorted(self._parts, key=lambda part: _STOP_ORDER.index(part.program.key)):
            await part.stop(hurry)

    async def _start_database(self) -> str:
        """Return the address of a migrated database: the configured one, or one of our own."""
        if self._settings.database_url is not None:
            url = self._settings.database_url.get_secret_value()
        else:
            cluster = PostgresCluster(self._data / "postgres")
            await _to_the_end(asyncio.to_thread(cluster.create))
            await self._start_on_ports(
                ("postgres",), lambda port: postgres_program(self._data, self._environment, cluster, port)
            )
            url = cluster.url(DATABASE)
            await _create_database(cluster.url(), DATABASE)
        try:
            async with open_pool(url, most=1) as pool:
                await migrate(pool)
        except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError, ValueError) as error:
            reason = (str(error).splitlines() or [type(error).__name__])[0].rstrip(".")
            raise Unreachable(f"The database cannot be used: {reason}.") from error
        return url

    async def _start_temporal(self) -> tuple[str, str, str | None]:
        """Return Temporal's address, namespace, and the address of its UI if it is our own."""
        address = self._environment.get("TEMPORAL_ADDRESS")
        if address:
            # Loaded only here: it takes longer than starting a server of our own.
            from temporalio.envconfig import ClientConfigProfile

            profile = ClientConfigProfile.load(override_env_vars=self._environment)
            return address, profile.namespace or NAMESPACE, None
        cli = temporal_cli(self._settings.temporal_cli)
        port, *ui_port = await self._start_on_ports(
            ("temporal", "ui") if self._ui else ("temporal",),
            lambda *ports: temporal_program(self._data, self._environment, cli, *ports),
        )
        return f"{HOST}:{port}", NAMESPACE, f"http://{HOST}:{ui_port[0]}" if ui_port else None

    async def _start_next_hop(self) -> tuple[str, int, Path | None]:
        """Return host and port of the next hop, and the mailbox if it is our own."""
        if self._settings.smtp_host is not None:
            return self._settings.smtp_host, self._settings.smtp_port, None
        mailbox = self._data / "mail"
        (port,) = await self._start_on_ports(
            ("smtp",), lambda port: mail_catcher_program(self._data, self._environment, mailbox, port)
        )
        return HOST, port, mailbox

    async def _start_api(self, stack: Stack) -> tuple[str, str]:
        """Return the API's address, and an administrator's key for it."""
        key = admin_key_of(self._settings)
        (port,) = await self._start_on_ports(("api",), lambda port: api_program(stack, self._environment, port, key))
        return f"http://{HOST}:{port}", key

    async def _start_on_ports(self, names: tuple[str, ...], program: Callable[..., Program]) -> tuple[int, ...]:
        """Start a part on ports for `names`, on others if somebody was faster, and return the ports."""
        for choices_left in reversed(range(_CHOICES_OF_PORTS)):
            choices = [self._ports.choose(name) for name in names]
            ports = tuple(choice.port for choice in choices)
            try:
                await self._start_part(program(*ports))
            except DidNotStart:
                if not choices_left or all(is_free(port) for port in ports):
                    raise
            else:
                for choice in choices:
                    if choice.moved_from is not None:
                        self._say(f"Port {choice.moved_from} is taken by another program; using {choice.port}.")
                return ports
        raise AssertionError("the last choice returns or raises")

    async def _start_part(self, program: Program) -> None:
        part = Part(program, self._processes)
        self._parts.append(part)
        try:
            await part.start()
        except DidNotStart:
            self._parts.remove(part)
            raise


async def _to_the_end(work: Coroutine[object, object, None]) -> None:
    """Wait for work in a thread, which cannot be canceled: the folder's lock must outlive it."""
    task = asyncio.ensure_future(work)
    try:
        await asyncio.shield(task)
    except asyncio.CancelledError:
        await asyncio.wait({task})
        raise


async def _create_database(url: str, name: str) -> None:
    connection = await asyncpg.connect(url)
    try:
        if not await connection.fetchval("select exists (select from pg_database where datname = $1)", name):
            await connection.execute(f'create database "{name}"')
    finally:
        await connection.close()


def _first(error: BaseException) -> BaseException:
    """Return the first error of a group: of parts that fail together one is told."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error
