"""A TCP proxy that holds every byte back for half a round trip, each way.

`python -m benchmarks.distance PORT TARGET_PORT ROUND_TRIP_MS` listens on 127.0.0.1 until it is ended.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable

import uvloop

from client.local.ports import HOST


async def _serve(port: int, target: int, delay_seconds: float) -> None:
    loop = asyncio.get_running_loop()

    async def connect(near: _Side) -> None:
        _, far = await loop.create_connection(lambda: _Side(delay_seconds), HOST, target)
        near.join(far)
        far.join(near)

    def accept() -> _Side:
        return _Side(delay_seconds, on_made=lambda side: tasks.add(asyncio.ensure_future(connect(side))))

    tasks: set[asyncio.Future[None]] = set()
    server = await loop.create_server(accept, HOST, port, backlog=512)
    await server.serve_forever()


class _Side(asyncio.Protocol):
    """One end of a connection; what it hears the other end says a while later."""

    def __init__(self, delay_seconds: float, on_made: Callable[[_Side], None] = lambda _: None) -> None:
        self._delay = delay_seconds
        self._on_made = on_made
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._other: _Side | None = None
        self._heard_early: list[bytes | None] = []

    def join(self, other: _Side) -> None:
        self._other = other
        early, self._heard_early = self._heard_early, []
        for data in early:
            self._pass_on(data)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport  # type: ignore[assignment]  # a TCP transport, which writes
        self._on_made(self)

    def data_received(self, data: bytes) -> None:
        self._pass_on(data)

    def connection_lost(self, exc: Exception | None) -> None:
        self._pass_on(None)

    def _pass_on(self, data: bytes | None) -> None:
        if self._other is None:
            self._heard_early.append(data)
        else:
            self._loop.call_later(self._delay, self._other.say, data)  # timers of one length fire in order

    def say(self, data: bytes | None) -> None:
        """Write, or (None) close."""
        assert self._transport is not None
        if data is None:
            self._transport.close()
        elif not self._transport.is_closing():
            self._transport.write(data)


if __name__ == "__main__":
    uvloop.run(_serve(int(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]) / 2000))
