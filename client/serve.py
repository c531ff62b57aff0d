"""The API and the web UI as a process: settings → database, Temporal, SMTP → the application, and its HTTP server.

SIGTERM and Ctrl-C drain: nobody new is let in, streams end, calls at work are finished within the grace time.
"""

from __future__ import annotations

import asyncio
import ipaddress
import signal
import socket
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress

import uvicorn
from fastapi import FastAPI

from client.api.app import create_app
from client.api.idempotency import Answers
from client.direct import Servers
from client.keys import Keys
from client.web.app import make_web
from models.errors import InvalidInput
from settings import LOOPBACK, Settings
from storage.database import migrate, open_pool

#: A call that waits for a receipt may be at work that long; then it is cut off, and the command stays asked for.
GRACE_SECONDS = 15
_CONNECTIONS_TO_DATABASE = 20
_SHORTEST_KEY = 16  # characters of an administrator's key that somebody else's machine may try


async def serve(settings: Settings, *, on_ready: Callable[[str], None], stop: asyncio.Event | None = None) -> None:
    """Serve until SIGTERM, SIGINT or `stop`. `on_ready` is told the address, once connections are taken.

    Brings the database's schema up to date first. Raises InvalidInput when it may not listen there, Unreachable when
    the database does not answer.
    """
    stop = stop or asyncio.Event()
    async with open_app(settings, stop) as app:
        with listening_on(settings.http_host, settings.http_port) as listener, _signals_set(stop):
            async with serving(app, listener, stop, trusted_proxies=settings.trusted_proxies):
                on_ready(_url(settings.http_host, listener.getsockname()[1]))
                await stop.wait()


@asynccontextmanager
async def serving(
    app: FastAPI, listener: socket.socket, stop: asyncio.Event, *, trusted_proxies: str = LOOPBACK
) -> AsyncIterator[None]:
    """Serve on a bound socket; at the end `stop` is set, so that streams end, and calls at work are finished."""
    server = _Server(
        uvicorn.Config(
            app,
            forwarded_allow_ips=trusted_proxies,
            access_log=False,  # addresses of pages hold tokens
            log_config=None,
            lifespan="off",
            server_header=False,
            timeout_graceful_shutdown=GRACE_SECONDS,
        )
    )
    running = asyncio.create_task(server.serve(sockets=[listener]))
    up = asyncio.create_task(server.up.wait())
    try:
        await asyncio.wait({running, up}, return_when=asyncio.FIRST_COMPLETED)
        yield
    finally:
        up.cancel()
        stop.set()
        server.should_exit = True
        await running


@asynccontextmanager
async def open_app(settings: Settings, stopping: asyncio.Event) -> AsyncIterator[FastAPI]:
    """Open what the application needs, on the settings alone: a stack file in this folder may be another stack's."""
    if settings.database_url is None:
        raise InvalidInput("SENDGATE_DATABASE_URL is not set; `sendgate up` starts a whole stack with the API.")
    url = settings.database_url.get_secret_value()
    async with open_pool(url, most=_CONNECTIONS_TO_DATABASE, application="sendgate api") as pool:
        await migrate(pool)
        keys = Keys(pool, settings.admin_key.get_secret_value() if settings.admin_key else None)
        await _require_key(settings, keys)
        servers = Servers(settings)
        try:
            use = servers.use_cases(pool)
            yield create_app(
                use,
                keys,
                Answers(pool),
                settings,
                web=make_web(pool, keys, settings, use),
                stopping=stopping,
            )
        finally:
            await servers.aclose()


async def _require_key(settings: Settings, keys: Keys) -> None:
    """Refuse an address that others reach while there is no key, or one that is easily guessed."""
    if is_loopback(settings.http_host):
        return
    if not await keys.any_in_use():
        raise InvalidInput(
            f"SENDGATE_HTTP_HOST is {settings.http_host}, which others may reach, and there is no API key: set"
            " SENDGATE_ADMIN_KEY, or make one with `sendgate keys create --direct`.",
            field="http_host",
        )
    if settings.admin_key is not None and len(settings.admin_key.get_secret_value()) < _SHORTEST_KEY:
        raise InvalidInput(
            f"SENDGATE_ADMIN_KEY is shorter than {_SHORTEST_KEY} characters, and others may reach"
            f" {settings.http_host}.",
            field="admin_key",
        )


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches the address. A name other than localhost may be anybody's."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


@contextmanager
def listening_on(host: str, port: int) -> Iterator[socket.socket]:
    """Bind before the server runs, so that a taken port is a sentence. Raises InvalidInput."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        listener = socket.socket(family, kind, protocol)
    except (OSError, UnicodeError) as error:
        raise InvalidInput(f"SENDGATE_HTTP_HOST: {host} is not an address to listen on.", field="http_host") from error
    with listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind(address)
        except OSError as error:
            raise InvalidInput(f"The API cannot listen on {host}, port {port}: {error.strerror}.") from error
        yield listener


class _Server(uvicorn.Server):
    """Signals are ours: streams must be told to end before the server waits for them."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.up = asyncio.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.up.set()

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


@contextmanager
def _signals_set(stop: asyncio.Event) -> Iterator[None]:
    loop = asyncio.get_running_loop()
    numbers = (signal.SIGTERM, signal.SIGINT)
    with suppress(NotImplementedError, RuntimeError, ValueError):  # not the main thread: a test, which sets `stop`
        for number in numbers:
            loop.add_signal_handler(number, stop.set)
    try:
        yield
    finally:
        with suppress(NotImplementedError, RuntimeError, ValueError):
            for number in numbers:
                loop.remove_signal_handler(number)


def _url(host: str, port: int) -> str:
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
