"""A TCP proxy in the test's own process: cut off, it swallows every byte without a word, as a broken network does."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Self


class TcpProxy:
    """Forwards 127.0.0.1:`port` to a target while it is whole; an async context manager."""

    def __init__(self, host: str, port: int) -> None:
        self._target = (host, port)
        self._whole = asyncio.Event()
        self._whole.set()
        self._server: asyncio.Server | None = None
        self._links: set[asyncio.Task[None]] = set()
        self._to_target: set[asyncio.StreamWriter] = set()

    @property
    def port(self) -> int:
        assert self._server is not None
        return int(self._server.sockets[0].getsockname()[1])

    def cut(self, *, target_hears: bool = False) -> None:
        """Let nothing through from now on; connections stay open, and new ones are taken and kept waiting.

        Neither side hears when the other closes. `target_hears`: the target's connections are closed now, as by a
        firewall on its side; the other side waits all the same.
        """
        self._whole.clear()
        if target_hears:
            for writer in self._to_target:
                writer.transport.abort()

    def heal(self) -> None:
        """Let everything through again, also what was held up."""
        self._whole.set()

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        return self

    async def __aexit__(self, *_: object) -> None:
        """Close every connection on both sides."""
        assert self._server is not None
        self._server.close()
        for link in self._links:
            link.cancel()
        await asyncio.gather(*self._links, return_exceptions=True)

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        link = asyncio.create_task(self._link(reader, writer))
        self._links.add(link)
        link.add_done_callback(self._links.discard)

    async def _link(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Join one connection to one of the target's, until either side closes."""
        try:
            await self._whole.wait()
            with contextlib.suppress(OSError):
                target_reader, target_writer = await asyncio.open_connection(*self._target)
                self._to_target.add(target_writer)
                pumps = [
                    asyncio.create_task(self._pump(reader, target_writer)),
                    asyncio.create_task(self._pump(target_reader, writer)),
                ]
                try:
                    await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
                finally:
                    for pump in pumps:
                        pump.cancel()
                    await asyncio.gather(*pumps, return_exceptions=True)
                    target_writer.transport.abort()
                    self._to_target.discard(target_writer)
        finally:
            writer.transport.abort()

    async def _pump(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        """Copy until the source ends; what was read is written before this returns."""
        while data := await source.read(65536):
            await self._whole.wait()
            sink.write(data)
            await sink.drain()
        await self._whole.wait()
        sink.close()
        with contextlib.suppress(OSError):
            await sink.wait_closed()
