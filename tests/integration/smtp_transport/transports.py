"""What every test of the SMTP transport is made of: a transport, an email, a permit, and both kinds of event loop."""

from __future__ import annotations

import asyncio
import functools
import inspect
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any, Protocol

import pytest
import uvloop

from activities.ports import Email
from activities.smtp import SmtpTransport
from models.recipient import Outcome, Verdict
from tests.eventually import eventually

CONTENT = b"From: news@shop.example\r\nSubject: Hello\r\nMessage-ID: <1@shop.example>\r\n\r\n.\r\n..two\r\nend\r\n"


class Server(Protocol):
    """What listens on a port of this machine."""

    port: int


def on_both_loops(test: Callable[..., Awaitable[None]]) -> Callable[..., None]:
    """Run an async test on a loop of its own, once of each kind."""

    @functools.wraps(test)
    def run(new_loop: Callable[[], asyncio.AbstractEventLoop], **fixtures: Any) -> None:
        async def main() -> None:
            try:
                await test(**fixtures)
            finally:  # also when it fails: uvloop never ends over a transport that was left open
                await asyncio.gather(*(_open.pop().aclose() for _ in list(_open)))

        with asyncio.Runner(loop_factory=new_loop) as runner:
            runner.run(main())

    parameters = inspect.signature(test).parameters.values()
    ours = inspect.Parameter("new_loop", inspect.Parameter.KEYWORD_ONLY)
    run.__signature__ = inspect.Signature([*parameters, ours])  # type: ignore[attr-defined]  # what pytest reads
    kinds = [pytest.param(asyncio.new_event_loop, id="asyncio"), pytest.param(uvloop.new_event_loop, id="uvloop")]
    both: Callable[..., None] = pytest.mark.parametrize("new_loop", kinds)(run)
    return both


class Allow:
    """A permit that allows, and can be told to do something when it is asked."""

    def __init__(self, start: Callable[[], bool] = lambda: True, write_body: Callable[[], bool] = lambda: True) -> None:
        self.may_start = start
        self.may_write_body = write_body


def email(recipient: str = "ola@example.com", content: bytes = CONTENT) -> Email:
    return Email("news@shop.example", recipient, content)


def transport(server: Server, **options: Any) -> SmtpTransport:
    """Return a transport that is closed at the end of the test."""
    way = SmtpTransport("127.0.0.1", server.port, **{"timeout": timedelta(seconds=20), **options})
    _open.append(way)
    return way


_open: list[SmtpTransport] = []


async def hand_over_when_it_connects(way: SmtpTransport) -> Outcome:
    """Hand over as often as the transport holds that there is no server: it waits between its attempts to connect."""

    async def connected() -> Outcome | None:
        outcome = await hand_over(way)
        return None if outcome.verdict is Verdict.NO_SERVER else outcome

    outcome = await eventually(connected, within=20)
    assert outcome is not None
    return outcome


def hand_over(way: SmtpTransport, sent: Email | None = None, permit: Allow | None = None) -> asyncio.Task[Outcome]:
    return asyncio.ensure_future(way.hand_over(sent or email(), permit or Allow()))
