"""The composition root: settings → storage, SMTP → Temporal workers, and the sweep. Run `python worker.py`.

Lanes have the main thread to themselves. What decides (workflows, their short activities, the sweep) has another one,
with an event loop of its own: at full speed a stop would wait for its turn behind emails, at every step.

Start as many as you like, anywhere. SIGTERM drains: lanes finish what they are handing over, give back the rest and
return; after the grace time, 60 s, what is still running is canceled.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
import os
import signal
import sys
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from concurrent.futures import Future
from contextlib import asynccontextmanager
from datetime import timedelta
from functools import partial
from typing import Any

from temporalio.client import Client
from temporalio.runtime import (
    LogForwardingConfig,
    LoggingConfig,
    PrometheusConfig,
    Runtime,
    TelemetryConfig,
    TelemetryFilter,
)
from temporalio.worker import Worker

from activities.audience import AudienceActivities
from activities.delivery import DeliveryActivities
from activities.gate import GateActivities
from activities.ports import CompiledMessage, Transport
from activities.progress import ProgressActivities
from activities.rendering import compile_message
from activities.smtp.connections import SmtpTransport
from client.sweep import Sweep
from client.temporal import BOOKKEEPING_QUEUE, Workflows, connect, ensure_search_attributes
from models.errors import InvalidInput, SendgateError, Unreachable
from models.unsubscribe import links_of
from settings import Settings, read_settings
from storage import messages
from storage.database import Pool, migrate, open_pool
from storage.gate_news import hear
from storage.ledger import Ledger
from storage.sending import ALL_MESSAGES, Sending, limit_rate
from workflows.batch_send import BatchSendWorkflow
from workflows.calls import DELIVERY_QUEUE

logger = logging.getLogger("worker")

GRACE = timedelta(seconds=60)
WINDOW = 64  # rows a claim takes; a killed lane leaves two of these in doubt at most
_COMPILED_MESSAGES_KEPT = 64
_CONNECTIONS_OF_LANES, _CONNECTIONS_OF_BOOKS = 20, 12  # to PostgreSQL, at most
_CANCEL_AGAIN_AFTER_SECONDS = 0.1
#: Long enough for a workflow to hear from us that its lanes have ended, and to start others elsewhere: a worker that
#: ends drops what it is just being given, and the workflow stands still for five seconds.
_FROM_LANES_TO_BOOKS_SECONDS = 1.0


class CompiledMessages:
    """The messages this worker has compiled; a generation's content cannot change."""

    def __init__(self, pool: Pool, *, public_url: str | None = None, secret_key: str | None = None) -> None:
        """With both, every email has an unsubscribe link."""
        self._pool = pool
        self._public_url = public_url
        self._secret_key = secret_key
        self._kept: OrderedDict[tuple[str, int], CompiledMessage] = OrderedDict()

    async def compiled(self, message_id: str, generation: int) -> CompiledMessage:
        key = (message_id, generation)
        if key not in self._kept:
            self._kept[key] = compile_message(
                message_id,
                await messages.get(self._pool, message_id),
                unsubscribe_link=links_of(message_id, self._public_url, self._secret_key),
            )
            if len(self._kept) > _COMPILED_MESSAGES_KEPT:
                self._kept.popitem(last=False)
        self._kept.move_to_end(key)
        return self._kept[key]


def make_workers(client: Client, pool: Pool, settings: Settings, transport: Transport) -> list[Worker]:
    """Build both workers, lanes first, for one event loop: bookkeeping still answers as the lanes end."""
    return [make_lanes(client, make_delivery(pool, settings, transport)), make_bookkeeping(client, pool, settings)]


def make_delivery(pool: Pool, settings: Settings, transport: Transport) -> DeliveryActivities:
    """Build what delivers: lanes that share the transport."""
    secret_key = settings.secret_key.get_secret_value() if settings.secret_key else None
    return DeliveryActivities(
        Ledger(pool),
        transport,
        CompiledMessages(pool, public_url=settings.public_url, secret_key=secret_key),
        lease=settings.lease,
        conversations=settings.smtp_connections,
    )


def make_lanes(client: Client, delivery: DeliveryActivities) -> Worker:
    """Build the worker that delivers."""
    return Worker(
        client,
        task_queue=DELIVERY_QUEUE,
        activities=[delivery.deliver],
        # Many messages go on side by side: lanes are light, and take turns at the connections.
        max_concurrent_activities=100,
        # One lane at a time: who asks for several at once may get all of a message's, and other workers none.
        max_concurrent_activity_task_polls=1,
        # A lane hears of its cancellation with the answer to a heartbeat: the default throttle means seconds.
        max_heartbeat_throttle_interval=timedelta(seconds=1),
        graceful_shutdown_timeout=GRACE,
    )


def make_bookkeeping(client: Client, pool: Pool, settings: Settings) -> Worker:
    """Build the worker that decides: workflows, and the short activities that they wait for."""
    sending = Sending(pool, max_late=settings.max_late)
    audience = AudienceActivities(
        sending,
        lanes=settings.lanes,
        window=WINDOW,
        pause_without_server_after=settings.pause_without_server_after,
        pause_at_failure_share=settings.pause_at_failure_share,
    )
    gate = GateActivities(sending)
    progress = ProgressActivities(sending)
    return Worker(
        client,
        task_queue=BOOKKEEPING_QUEUE,
        workflows=[BatchSendWorkflow],
        activities=[
            audience.adopt,
            audience.begin,
            audience.resume,
            gate.close_gate,
            gate.confirm_stop,
            gate.stop,
            gate.answer,
            progress.survey,
            progress.open_batch,
            progress.finish,
            progress.commonest_failure,
        ],
        max_concurrent_activities=50,
        max_heartbeat_throttle_interval=timedelta(seconds=1),
        graceful_shutdown_timeout=GRACE,
    )


@asynccontextmanager
async def running(workers: Sequence[Worker]) -> AsyncIterator[list[asyncio.Task[None]]]:
    """Run workers, and drain them in their order at the end; yields their tasks, which end early by an error alone."""
    tasks = [asyncio.create_task(worker.run()) for worker in workers]
    try:
        yield tasks
    finally:
        for worker in workers:
            await worker.shutdown()
        await asyncio.gather(*tasks)


async def run(settings: Settings, stop: asyncio.Event) -> None:
    """Work until `stop` is set, then drain."""
    if settings.database_url is None:
        raise InvalidInput("SENDGATE_DATABASE_URL is not set; `sendgate up` starts a whole stack with a worker.")
    if settings.smtp_host is None:
        raise InvalidInput("SENDGATE_SMTP_HOST is not set; a worker needs to know its next hop.")
    if settings.public_url is not None and settings.secret_key is None:
        raise InvalidInput("SENDGATE_PUBLIC_URL needs SENDGATE_SECRET_KEY, which signs the unsubscribe links.")
    async with open_pool(
        settings.database_url.get_secret_value(), most=_CONNECTIONS_OF_LANES, application="sendgate worker"
    ) as pool:
        await migrate(pool)
        await limit_rate(pool, ALL_MESSAGES, settings.emails_per_second)
        client = await connect()
        await ensure_search_attributes(client)
        transport = SmtpTransport(
            settings.smtp_host,
            settings.smtp_port,
            username=settings.smtp_username,
            password=settings.smtp_password.get_secret_value() if settings.smtp_password else None,
            tls=settings.smtp_tls,
            connections=settings.smtp_connections,
            emails_per_connection=settings.smtp_emails_per_connection,
            timeout=settings.smtp_timeout,
        )
        delivery = make_delivery(pool, settings, transport)
        hearing = asyncio.create_task(hear(pool, delivery.look_again))
        try:
            # What is loaded by now stays: the collector need not walk over it again and again.
            gc.collect()
            gc.freeze()
            async with _in_own_thread(partial(_keep_books, settings)) as books:
                async with running([make_lanes(client, delivery)]) as tasks:
                    logger.info("working on %s and %s", BOOKKEEPING_QUEUE, DELIVERY_QUEUE)
                    ends: list[asyncio.Future[Any]] = [asyncio.create_task(stop.wait()), books, *tasks]
                    await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
                await asyncio.sleep(_FROM_LANES_TO_BOOKS_SECONDS)
        finally:
            await end(hearing)
            await transport.aclose()


async def _keep_books(settings: Settings, at_work: Callable[[], None], stop: asyncio.Event) -> None:
    """Decide, and sweep, until `stop` is set; with connections and a client of this loop's own."""
    assert settings.database_url is not None  # as `run` has seen
    async with open_pool(
        settings.database_url.get_secret_value(), most=_CONNECTIONS_OF_BOOKS, application="sendgate worker"
    ) as pool:
        client = await connect()
        sweep = asyncio.create_task(Sweep(pool, Workflows(client)).run())
        try:
            async with running([make_bookkeeping(client, pool, settings)]) as tasks:
                at_work()
                stopped = asyncio.create_task(stop.wait())
                await asyncio.wait([stopped, *tasks], return_when=asyncio.FIRST_COMPLETED)
        finally:
            await end(sweep)


@asynccontextmanager
async def _in_own_thread(
    work: Callable[[Callable[[], None], asyncio.Event], Coroutine[Any, Any, None]],
) -> AsyncIterator[asyncio.Future[None]]:
    """Run `work` in a thread and an event loop of its own, so that it never waits for a turn in this one.

    It gets what to call once it is at work, and is waited for until then: what it loads is not loaded side by side
    with what we load. Yields its future. At the end the event that it got is set, and its end awaited; its error
    comes out then.
    """
    begun: Future[Callable[[], object]] = Future()  # how to tell it to stop

    async def main() -> None:
        stop, loop = asyncio.Event(), asyncio.get_running_loop()
        await work(lambda: begun.set_result(lambda: loop.call_soon_threadsafe(stop.set)), stop)

    ended = asyncio.ensure_future(asyncio.to_thread(asyncio.run, main()))
    either: list[asyncio.Future[Any]] = [ended, asyncio.wrap_future(begun)]
    await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
    try:
        if not ended.done():
            yield ended
    finally:
        if begun.done():
            with contextlib.suppress(RuntimeError):  # its loop has ended before
                begun.result()()
        await ended


async def end(task: asyncio.Task[Any]) -> None:
    """Cancel a task until it has ended: the database's driver now and then swallows a cancellation."""
    while not task.done():
        task.cancel()
        await asyncio.wait({task}, timeout=_CANCEL_AGAIN_AFTER_SECONDS)


async def _main() -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    settings = read_settings()
    Runtime.set_default(_runtime(settings))
    await run(settings, stop)


def _runtime(settings: Settings) -> Runtime:
    """Build the SDK's core: its log goes into ours, not to standard output, and its metrics where the settings say.

    Raises InvalidInput when the metrics' address cannot be had.
    """
    logs = LoggingConfig(
        filter=TelemetryFilter(core_level="WARN", other_level="ERROR"),
        forwarding=LogForwardingConfig(logger=logging.getLogger("temporalio.core")),
    )
    if settings.metrics_port is None:
        return Runtime(telemetry=TelemetryConfig(logging=logs))
    host = f"[{settings.http_host}]" if ":" in settings.http_host else settings.http_host
    metrics = PrometheusConfig(
        f"{host}:{settings.metrics_port}", counters_total_suffix=True, unit_suffix=True, durations_as_seconds=True
    )
    try:
        return Runtime(telemetry=TelemetryConfig(logging=logs, metrics=metrics))
    except ValueError as error:
        raise InvalidInput(
            f"SENDGATE_METRICS_PORT: metrics cannot be shown at {host}:{settings.metrics_port}:"
            " another program has that port, or the address is not this machine's.",
            field="metrics_port",
        ) from error


def main() -> int:
    """Run a worker on the settings of the environment; return the exit code."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    try:
        import uvloop

        uvloop.install()
    except ImportError:
        pass
    try:
        asyncio.run(_main())
    except SendgateError as error:
        sys.stderr.write(f"{error.message}\n")
        return 2 if isinstance(error, InvalidInput) else 5 if isinstance(error, Unreachable) else 1
    return 0


if __name__ == "__main__":
    code = main()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)  # the SDK's native threads abort the interpreter's own exit now and then
