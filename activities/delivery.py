"""A lane: claim a window, hand its emails over, settle; again, until nothing is due or somebody stops it.

The next window is claimed while one is handed over or settled, so that neither the database nor the next hop waits for
the other. The ledger's rules, which this file exists to keep:
the row is claimed before a conversation begins and settled after it; no conversation begins, and no body is written,
when the claim may be lost; a settle is repeated until it succeeds, and nothing is claimed before it has; never more
than two windows are claimed and not settled: so many can be in doubt when the process dies.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import TypeVar
from uuid import UUID, uuid4

from temporalio import activity

from activities.answers import answer_within
from activities.attempt import as_of_now
from activities.heartbeat import heartbeats
from activities.lease import Lease, lease_clock
from activities.ports import CompiledMessage, LanePort, MessageSource, Transport
from activities.requests import LaneRequest
from activities.window import Window, WindowsBag
from models.errors import InvalidInput
from models.failures import LOOKED_AT
from models.ledger import LaneEnd, LaneReport
from models.recipient import ClaimedRecipient, Outcome, Place, Verdict, without_addresses
from models.retry import BUSY_CODES

T = TypeVar("T")

_WINDOWS_AT_ONCE = 2
#: A next hop is busy when it says so to this share of a window: a single recipient may be greylisted by a 451.
_BUSY_SHARE = 0.25
_SMALLEST_WINDOW = 4
_FORGET_PLACE_AFTER_SECONDS = 5.0
_FIRST_REST_SECONDS = 0.5
_LONGEST_REST_SECONDS = 10.0
_REPEAT_AFTER_SECONDS = 0.2
_REPEAT_SLOWEST_SECONDS = 5.0


class DeliveryActivities:
    """The lanes of a worker. They share its transport, and so its connections."""

    def __init__(
        self,
        ledger: LanePort,
        transport: Transport,
        messages: MessageSource,
        *,
        lease: timedelta,
        conversations: int,
    ) -> None:
        """`conversations`: how many the transport holds at once."""
        self._ledger = ledger
        self._transport = transport
        self._messages = messages
        self._lease = lease
        self._conversations = conversations
        self._lanes: list[Lane] = []  # at work

    def look_again(self, message_id: str | None) -> None:
        """Have the lanes of a message, None: all lanes, give back what is not begun, and ask before they send on.

        For whoever hears that a gate has closed. It stops nothing: a lane whose gate is open after all claims again.
        """
        for lane in self._lanes:
            if message_id in (None, lane.message_id):
                lane.look_again()

    @activity.defn
    async def deliver(self, request: LaneRequest) -> LaneReport:
        """Run one lane for one slice and return why it ended and what it did.

        Canceled, or told that the worker shuts down, it starts no conversation more, finishes those that run, gives
        back the rest and returns its partial report as a normal result. Killed, it leaves claimed rows, at most two
        windows, which are in doubt once their lease is over; its next attempt claims other rows meanwhile.
        """
        request = request.model_copy(update={"as_of": as_of_now(request.as_of)})
        try:
            message = await self._messages.compiled(request.message_id, request.generation)
        except InvalidInput as error:
            return LaneReport(end=LaneEnd.UNRENDERABLE, last_reply=error.message)
        emails = activity.metric_meter().create_counter("sendgate_emails", "Emails with an outcome in the ledger.")
        lane = Lane(
            request,
            message,
            self._ledger,
            self._transport,
            lease=self._lease,
            conversations=self._conversations,
            count=lambda verdict, number: emails.add(number, {"outcome": verdict}),
        )
        running = asyncio.create_task(lane.run())
        self._lanes.append(lane)
        running.add_done_callback(lambda _: self._lanes.remove(lane))
        with heartbeats(lambda: lane.report(LaneEnd.SLICE_OVER).settled), _stopped_by_shutdown(lane):
            try:
                return await asyncio.shield(running)
            except asyncio.CancelledError:
                lane.stop()
                report = await asyncio.shield(running)
                details = activity.cancellation_details()
                if details is not None and (details.cancel_requested or details.worker_shutdown):
                    return report
                raise  # timed out, or unknown to the server: nobody takes a result


class Lane:
    """One lane at work."""

    def __init__(
        self,
        request: LaneRequest,
        message: CompiledMessage,
        ledger: LanePort,
        transport: Transport,
        *,
        lease: timedelta,
        conversations: int,
        count: Callable[[str, int], None] = lambda verdict, number: None,
    ) -> None:
        """`count`: told how many emails of a verdict have been settled, for whoever watches."""
        self._request = request
        self._message = message
        self._ledger = ledger
        self._transport = transport
        self._lease_length = lease
        self._conversations = conversations
        self._count = count
        self._window = request.window
        self._rest_seconds = 0.0
        self._stopped = asyncio.Event()
        self._bags: list[WindowsBag] = []  # of the windows that are being handed over
        self._told = 0  # how often it was told to look again: a window of before begins nothing more
        self._repeating = 0  # settles that have failed and are tried again
        self._began = time.monotonic()
        self._taken = 0
        self._after: Place | None = None  # which the last claim came to
        self._after_since = self._began
        self._failing = 0  # emails that bounced or failed in the last windows, of each of which most did
        self._settled: Counter[str] = Counter()
        self._given_back = 0
        self._last_reply: str | None = None

    @property
    def _is_stopping(self) -> bool:
        return self._stopped.is_set()

    @property
    def message_id(self) -> str:
        return self._request.message_id

    def stop(self) -> None:
        """Start nothing more; finish what runs. Who waits for a connection waits no longer."""
        self._stopped.set()
        self.look_again()

    def look_again(self) -> None:
        """Give back what is not begun, and claim before anything else begins: the gate may have closed."""
        self._told += 1
        self._after = None  # who is given back stands before it
        for bag in self._bags:
            self._transport.let_go(bag)

    def report(self, end: LaneEnd) -> LaneReport:
        return LaneReport(
            end=end, settled=dict(self._settled), given_back=self._given_back, last_reply=self._last_reply
        )

    async def run(self) -> LaneReport:
        """Take windows until there is a reason to end, and then see those through that have been claimed."""
        every = [f"{self._request.lane}.{number}" for number in range(_WINDOWS_AT_ONCE)]
        windows: dict[str, asyncio.Task[LaneEnd | None]] = {}  # by the counters that each adds to, the oldest first
        end: LaneEnd | None = None
        try:
            while end is None and (end := self._end_now()) is None:
                if len(windows) == _WINDOWS_AT_ONCE or (windows and (self._repeating or self._rest_seconds)):
                    end = await windows.pop(next(iter(windows)))
                    continue
                if self._rest_seconds:
                    await self._rest(self._rest_seconds)
                    if self._is_stopping:
                        continue
                window = await self._claim(next(counters for counters in every if counters not in windows))
                if isinstance(window, LaneEnd):
                    end = window
                    if end in (LaneEnd.GATE_CLOSED, LaneEnd.HELD):
                        self.look_again()
                elif isinstance(window, timedelta):
                    await self._rest(window.total_seconds())
                elif window.recipients:  # else all of them were suppressed: there may be others behind
                    windows[window.counters] = asyncio.create_task(self._see_through(window))
        finally:
            ends = await asyncio.gather(*windows.values(), return_exceptions=True)
        for unforeseen in ends:
            if isinstance(unforeseen, BaseException):
                raise unforeseen
        assert end is not None
        return self.report(LaneEnd.NO_SERVER if LaneEnd.NO_SERVER in ends else end)

    def _end_now(self) -> LaneEnd | None:
        if self._is_stopping:
            return LaneEnd.STOPPED
        if time.monotonic() - self._began >= self._request.slice_length.total_seconds():
            return LaneEnd.SLICE_OVER
        if self._failing >= LOOKED_AT or (self._request.most is not None and self._taken >= self._request.most):
            return LaneEnd.SLICE_OVER  # somebody should look
        return None

    async def _rest(self, seconds: float) -> None:
        """Claim nothing for a while, unless the lane is stopped."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._stopped.wait(), min(seconds, _LONGEST_REST_SECONDS))

    async def _claim(self, counters: str) -> Window | LaneEnd | timedelta:
        """Claim the next window, or say why the lane should end, or how long it has to wait.

        Windows that overlap add to `counters` of their own: the claim of one does not wait for the other's settle.
        """
        token = uuid4()
        told = self._told
        lease = Lease(self._lease_length)  # counted from before the claim was asked for
        try:
            claimed = await answer_within(
                lease.usable_seconds(),
                self._ledger.claim(
                    self._request.message_id,
                    self._request.generation,
                    counters,
                    as_of=self._now(),
                    most=self._window,
                    token=token,
                    lease=self._lease_length,
                    after=self._last_place(),
                ),
            )
        except BaseException:
            # The claim may have been made and its answer lost: undo it, so that nobody is in doubt.
            await asyncio.shield(self._until_it_succeeds(lambda: self._give_back(counters, token, None), lease))
            raise
        if isinstance(claimed, LaneEnd | timedelta):
            return claimed
        self._taken += len(claimed)
        places = [recipient.place for recipient in claimed if recipient.place is not None]
        self._after = max(places, default=self._after)
        return Window(token, counters, lease, claimed, told)

    def _last_place(self) -> Place | None:
        """Return the place behind which to claim; now and then none, for those given back or resent before it."""
        now = time.monotonic()
        if now - self._after_since >= _FORGET_PLACE_AFTER_SECONDS:
            self._after, self._after_since = None, now
        return self._after

    async def _see_through(self, window: Window) -> LaneEnd | None:
        """Hand a window over and settle it; return a reason to end the lane, if there is one.

        An error that nobody foresaw comes out when all is settled: in doubt are those alone whom it met.
        """
        outcomes, unforeseen = await self._hand_over(window)
        await self._settle(window, outcomes)
        if unforeseen is not None:
            raise unforeseen
        if window.told == self._told and all(_is_back_off(outcome) for outcome in outcomes):
            return LaneEnd.NO_SERVER
        return None

    async def _hand_over(self, window: Window) -> tuple[list[Outcome], Exception | None]:
        """Hand a window over; return the outcome of each, in order, and the error of ours that broke into it, if any.

        Never outlives the lease.
        """
        permit = _Permit(self, window)
        bag = WindowsBag(self._message, window.recipients)
        self._bags.append(bag)
        # Each conversation settles what it takes, even when it is aborted.
        conversations = [
            asyncio.create_task(self._transport.hand_over_each(bag, permit))
            for _ in range(min(self._conversations, len(window.recipients)))
        ]
        guard = asyncio.create_task(self._keep_lease(window, conversations))
        try:
            ends = await asyncio.gather(*conversations, return_exceptions=True)
        finally:
            guard.cancel()
            self._bags.remove(bag)
        return bag.outcomes, next((end for end in ends if isinstance(end, Exception)), None)

    async def _keep_lease(self, window: Window, conversations: list[asyncio.Task[None]]) -> None:
        """Renew the lease every third of it; abort the conversations when it can no longer be trusted."""
        lease = window.lease
        renew_after = lease.renew_every_seconds
        while lease.is_usable():
            await asyncio.sleep(min(renew_after, lease.usable_seconds()))
            asked_at = lease_clock()
            try:
                renewal = self._ledger.renew(self._request.message_id, [window.token], self._lease_length)
                if await answer_within(lease.usable_seconds(), renewal):
                    lease.renewed(asked_at=asked_at)
                    renew_after = lease.renew_every_seconds
                else:
                    lease.lose()
            except Exception as error:  # noqa: BLE001  # whatever it is, try again for as long as the lease holds
                activity.logger.warning("a lease was not renewed: %s", type(error).__name__)
                renew_after = _REPEAT_AFTER_SECONDS
        for conversation in conversations:
            conversation.cancel()

    async def _settle(self, window: Window, outcomes: list[Outcome]) -> None:
        """Write every outcome and give back who was not handed over, however long the database takes to answer."""
        settled: list[tuple[int, Outcome, datetime | None]] = []
        given_back: list[int] = []
        uncounted: list[int] = []
        for recipient, outcome in zip(window.recipients, outcomes, strict=True):
            if outcome.verdict in (Verdict.NOT_HANDED_OVER, Verdict.NO_SERVER):
                given_back.append(recipient.contact_id)
                if outcome.reply:
                    self._last_reply = without_addresses(outcome.reply)
                continue
            next_try_at = None
            if outcome.verdict is Verdict.DEFERRED:
                is_busy = outcome.smtp_code in BUSY_CODES
                next_try_at = self._next_try(recipient, is_busy=is_busy)
                if next_try_at is None:
                    outcome = _gave_up(outcome, recipient.attempts)
                elif is_busy:
                    uncounted.append(recipient.contact_id)
            settled.append((recipient.contact_id, outcome, next_try_at))
            self._settled[outcome.verdict.value] += 1
        failing = sum(outcome.verdict in (Verdict.BOUNCED, Verdict.FAILED) for outcome in outcomes)
        self._failing = self._failing + failing if failing * 2 >= len(outcomes) else 0
        busy = sum(outcome.smtp_code in BUSY_CODES for outcome in outcomes)
        self._adapt(is_busy=busy >= len(outcomes) * _BUSY_SHARE)
        message_id, counters, token = self._request.message_id, window.counters, window.token
        if settled:
            await self._until_it_succeeds(
                lambda: self._ledger.settle(message_id, counters, token, settled, uncounted=uncounted)
            )
            for verdict, number in Counter(outcome.verdict.value for _, outcome, _ in settled).items():
                self._count(verdict, number)
        if given_back:
            given = await self._until_it_succeeds(lambda: self._give_back(counters, token, given_back))
            self._given_back += given  # not before the await: another window may give back meanwhile

    def _next_try(self, recipient: ClaimedRecipient, *, is_busy: bool) -> datetime | None:
        now = self._now()
        return self._request.retry.next_try(
            recipient.attempts, first_try_at=recipient.first_try_at or now, now=now, busy=is_busy
        )

    def _adapt(self, *, is_busy: bool) -> None:
        """Slow down by half while the next hop says that it is busy, and speed up again when it no longer does."""
        if is_busy:
            self._window = max(_SMALLEST_WINDOW, self._window // 2)
            self._rest_seconds = min(max(_FIRST_REST_SECONDS, self._rest_seconds * 2), _LONGEST_REST_SECONDS)
        else:
            self._window = min(self._request.window, self._window * 2)
            self._rest_seconds = 0.0

    def _give_back(self, counters: str, token: UUID, contact_ids: list[int] | None) -> Awaitable[int]:
        return self._ledger.give_back(self._request.message_id, counters, token, contact_ids)

    async def _until_it_succeeds(self, attempt: Callable[[], Awaitable[T]], lease: Lease | None = None) -> T:
        """Repeat a write that must not be lost and is safe to repeat; no longer than `lease`, if one is given."""
        wait = _REPEAT_AFTER_SECONDS
        tries = 0
        try:
            while True:
                try:
                    # A database that has vanished without a word is given up on, and asked over a fresh connection.
                    return await answer_within(self._lease_length.total_seconds(), attempt())
                except Exception as error:
                    if lease is not None and not lease.is_usable():
                        raise
                    activity.logger.warning("writing to the ledger is repeated: %s", type(error).__name__)
                tries += 1
                self._repeating += tries == 1
                await asyncio.sleep(wait)
                wait = min(wait * 2, _REPEAT_SLOWEST_SECONDS)
        finally:
            self._repeating -= tries > 0

    def _now(self) -> datetime:
        """The workflow's clock: its `as_of`, and the time that has run since."""
        return self._request.as_of + timedelta(seconds=time.monotonic() - self._began)


class _Permit:
    """See `activities.ports.Permit`."""

    def __init__(self, lane: Lane, window: Window) -> None:
        self._lane = lane
        self._window = window

    def may_start(self) -> bool:
        return self._window.told == self._lane._told and self._window.lease.is_usable()

    def may_write_body(self) -> bool:
        # A conversation that runs is finished when the lane stops: stopping it would only make more work.
        return self._window.lease.is_usable()


def _is_back_off(outcome: Outcome) -> bool:
    """Whether the next hop did not let a conversation be held: going on at once would only hammer it."""
    return outcome.verdict in (Verdict.NO_SERVER, Verdict.NOT_HANDED_OVER)


def _gave_up(outcome: Outcome, tries: int) -> Outcome:
    return Outcome(
        Verdict.FAILED,
        outcome.handed_over_at,
        outcome.smtp_code,
        outcome.enhanced_code,
        f"gave up after {tries} {'try' if tries == 1 else 'tries'}: {outcome.reply or 'no reply'}"[:500],
    )


@contextmanager
def _stopped_by_shutdown(lane: Lane) -> Iterator[None]:
    """Drain the lane as soon as the worker is told to stop: others take over within seconds."""

    async def wait() -> None:
        await activity.wait_for_worker_shutdown()
        lane.stop()

    task = asyncio.create_task(wait())
    try:
        yield
    finally:
        task.cancel()
