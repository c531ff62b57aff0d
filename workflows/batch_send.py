"""One batch message as one durable workflow: sleep until it is time, send what is due, obey the operator.

It decides and never acts: no I/O, no addresses, no texts. Signals only append to a queue; `run` takes one command at a
time. The rules of stopping:

* the first stop in the queue closes the gate at once, whatever else is going on;
* a stop beats a resume that stands before it in the queue;
* "stopped" is what the ledger says (nothing in flight, gate closed), never what lanes or Temporal say.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Coroutine, Sequence
from datetime import datetime, timedelta
from typing import Any, TypeVar

from temporalio import workflow
from temporalio.common import RawValue, SearchAttributeKey

with workflow.unsafe.imports_passed_through():
    from activities.requests import MessageRef
    from models.commands import Command, ReceiptOutcome, Verb, told
    from models.failures import FailureWatch
    from models.ledger import Adoption, BeginOutcome, LaneEnd, LaneReport, Survey
    from models.message import MessageStatus
    from models.transitions import rule
    from workflows.calls import Calls
    from workflows.command_queue import CommandQueue
    from workflows.describe import instant, progress_details, what_is_next
    from workflows.lanes import Lane, Lanes
    from workflows.missing_server import MissingServer
    from workflows.signals import read_command
    from workflows.state import BatchSendResult, BatchSendState, NumberedCommand

T = TypeVar("T")

SEARCH_STATUS = SearchAttributeKey.for_keyword("SendgateStatus")
#: How long a stop that has been confirmed waits for its lanes to come back.
_COURTESY = timedelta(seconds=2)
#: Before, closing the gate and confirming were two steps, and sends that stopped so must replay so.
_STOPS_IN_ONE_STEP = "stops in one step"
#: Before, a command was dropped whose id had come with another verb, and sends that dropped one must replay so.
_TELLS_VERBS_APART = "tells verbs apart"


@workflow.defn(name="BatchSendWorkflow")
class BatchSendWorkflow:
    @workflow.init
    def __init__(self, state: BatchSendState) -> None:
        self._ref = MessageRef(message_id=state.message_id, generation=state.generation)
        self._knobs = state.knobs
        self._calls = Calls(self._ref, state.knobs)
        self._runs = state.runs
        self._status: MessageStatus | None = state.status
        self._last_effective = state.last_effective
        self._stopped_by = ""
        self._queue = CommandQueue(state)
        self._gate_closed_by = 0  # number of the command that closed the gate in this run
        self._plan = Adoption(status=None)
        self._survey = Survey(status=None)
        self._surveyed_at = workflow.now()
        self._lanes = Lanes()
        # Of a send that has not begun: nobody was due when it was looked at.
        self._look_again_at: datetime | None = None
        self._next_turn = state.next_turn  # the one that the next throttle batch waits for
        self._wakes = 0
        self._server = MissingServer(
            state.knobs.no_server_first_wait, state.knobs.no_server_longest_wait, since=state.no_server_since
        )
        self._failures = state.failures

    @workflow.run
    async def run(self, state: BatchSendState) -> BatchSendResult:
        """Send the message, and return how it ended."""
        # The send runs in a task of its own, so that a cancellation of the workflow reaches only this loop.
        send = asyncio.create_task(self._send())
        while not send.done():
            try:
                await workflow.wait([send])
            except asyncio.CancelledError:
                canceled = self._own_command(Verb.CANCEL, "the workflow was canceled in Temporal", actor="temporal")
                self._queue.append(canceled)
        return send.result()

    async def _send(self) -> BatchSendResult:
        await self._adopt()
        while self._status is not None and not self._status.is_final:
            if self._queue:
                await self._obey(self._queue.pop())
            elif self._is_long():
                self._continue_as_new()
            elif self._status is MessageStatus.SCHEDULED:
                await self._begin_when_due()
            elif self._status is MessageStatus.PAUSED:
                await self._wait_for_command()
            else:
                await self._send_what_is_due()
        while self._queue:  # a command that came too late is answered, too
            await self._obey(self._queue.pop())
        return BatchSendResult(status=self._status)

    # -- the steps of a send ------------------------------------------------------------------------------------

    async def _adopt(self) -> None:
        self._plan = await self._calls.adopt()
        self._last_effective = self._plan.last_effective
        self._stopped_by = self._plan.stopped_by
        self._note_status(self._plan.status)

    async def _begin_when_due(self) -> None:
        look_at = self._look_again_at or self._plan.first_due_at
        assert look_at is not None  # adopted
        if workflow.now() < look_at:
            looks = look_at != self._plan.next_slot_at  # somebody may have come into an earlier zone meanwhile
            what = "look whether somebody is due" if looks else "to be sent"
            await self._sleep_until(look_at, f"{self._plan.name}: {what}")
            return
        wakes = self._wakes
        late = self._own_command(Verb.PAUSE, "It begins too long after its time; resume to send it all the same.")
        begun = await self._unless_stopped(self._calls.begin(late))
        if begun.outcome is BeginOutcome.HELD:
            await self._wait_for_wake("held; nothing begins until the hold is released", wakes)
        elif begun.outcome is BeginOutcome.NOT_YET:
            self._look_again_at = begun.look_again_at
            self._plan = self._plan.model_copy(update={"next_slot_at": begun.next_slot_at})
        else:
            self._note_status(begun.status if begun.outcome is not BeginOutcome.SUPERSEDED else None)

    async def _send_what_is_due(self) -> None:
        """Look at the ledger once, and do what it calls for."""
        wakes = self._wakes
        survey = await self._look()
        if self._status is not MessageStatus.SENDING or self._queue.first_stop is not None:
            return
        turn_at = self._next_turn_at(survey)
        if survey.held:
            self._next_turn = None  # what passes under the hold is missed
            await self._wait_for_wake("held; nothing leaves until the hold is released", wakes)
        elif not survey.gate_open:  # by nobody's command: keep it stopped
            self._queue.append(self._own_command(Verb.PAUSE, "Its gate was found closed; resume to go on."))
        elif survey.due and await self._too_many_fail():
            pass  # paused next
        elif turn_at is not None and turn_at <= workflow.now():
            await self._open_batch(survey)
        elif survey.due:
            await self._deliver(survey.due, until=turn_at)
        elif moments := [moment for moment in (turn_at, survey.next_at) if moment is not None]:
            await self._sleep_until(min(moments), what_is_next(survey, turn_at), seen=wakes)
        elif survey.counts.unfinished == 0:
            self._note_status(await self._calls.finish())
        else:  # settled or given back since the look
            await self._wait(timedelta(seconds=1), "look again")

    def _next_turn_at(self, survey: Survey) -> datetime | None:
        """Return when the next throttle batch opens, or the rest expires; None while nobody waits for that.

        The turn is the first still to come once the batch before is finished and the message may send. It is fixed
        then: looked at late, because no worker was up, it is not missed.
        """
        turns, throttle = survey.turns, self._plan.throttle
        if turns is None or throttle is None or turns.first_waiting_at is None or turns.unfinished:
            return None
        grid = throttle.grid(turns.first_turn_at)
        if self._next_turn is None:
            self._next_turn = grid.next(max(workflow.now(), turns.first_waiting_at), after=turns.latest)
        turn_at = grid.at(self._next_turn)
        return turn_at if turns.ends_at is None else min(turn_at, turns.ends_at)

    async def _open_batch(self, survey: Survey) -> None:
        """Open the batch of the turn that has come last: those before it were missed, and are never made up for."""
        turns, throttle = survey.turns, self._plan.throttle
        assert turns is not None  # a turn has come
        assert throttle is not None
        assert self._next_turn is not None
        grid = throttle.grid(turns.first_turn_at)
        turn = max(self._next_turn, grid.latest(workflow.now()))
        what = f"the throttle batch of {instant(grid.at(turn))}"
        opening = self._calls.start_opening(turn, throttle, what, gate_number=survey.gate_number)
        await workflow.wait_condition(lambda: opening.done() or self._queue.first_stop is not None)
        self._next_turn = None
        if opening.done():
            opening.result()
        else:  # nothing of it can leave any more: a stop does not wait for it
            opening.cancel()
            opening.add_done_callback(lambda opening: opening.cancelled() or opening.exception())  # any end will do

    async def _look(self) -> Survey:
        self._survey = await self._calls.survey(self._plan.lanes * self._plan.window)
        self._surveyed_at = workflow.now()
        self._last_effective = self._survey.last_effective
        self._note_status(self._survey.status)
        return self._survey

    async def _deliver(self, due: int, *, until: datetime | None = None) -> None:
        """Run as many lanes as what is due needs; come back when all have returned, soon after `until`.

        A lane that comes back because its worker is ending is started again at once, for whoever takes it.
        """
        over_at = workflow.now() + self._knobs.slice_length
        if until is not None:
            over_at = min(over_at, until)
        lanes = min(self._plan.lanes, -(-due // self._plan.window))
        most = None
        if self._plan.pause_at_failure_share is not None:
            most = self._failures.most_of_a_lane(self._survey.counts, lanes)

        def start(number: int) -> Lane:
            return self._calls.start_lane(
                number,
                of=lanes,
                plan=self._plan,
                as_of=workflow.now(),
                slice_length=max(over_at - workflow.now(), timedelta(seconds=1)),
                most=most,
                to_go=self._survey.counts.unfinished,
            )

        self._lanes = Lanes(lanes, start)
        while not self._lanes.are_back:
            await workflow.wait_condition(
                lambda: self._lanes.are_back or bool(self._queue) or self._lanes.need_replacing
            )
            if stop := self._queue.first_stop:
                if self._queue.is_stop_next and workflow.patched(_STOPS_IN_ONE_STEP):
                    self._lanes.cancel()  # it is obeyed in this same moment
                else:
                    closing = asyncio.create_task(self._close_gate(stop))
                    self._lanes.cancel()  # in the same moment: neither waits for the other
                    await closing
                return
            if self._queue:
                # A resume of what is sending: it changes nothing.
                await self._unless_stopped(self._obey(self._queue.pop()))
            elif self._lanes.need_replacing:
                self._lanes.replace()
        await self._judge(self._lanes.reports())

    async def _judge(self, reports: Sequence[LaneReport]) -> None:
        """Go on at once, or wait: for the next hop to come back, or because there was nothing to take. Or be paused."""
        wrong = next((report.last_reply for report in reports if report.end is LaneEnd.UNRENDERABLE), None)
        if wrong is not None:
            reason = f"Its text cannot be rendered: {wrong} Cancel it, copy it as a draft, and mend that."
            self._queue.append(self._own_command(Verb.PAUSE, reason))
            return
        if any(report.settled for report in reports):
            self._server.found()
        if any(report.end is LaneEnd.NO_SERVER for report in reports):
            await self._wait_for_server(next((r.last_reply for r in reports if r.last_reply), "no reply"))
        elif not any(report.settled or report.end is LaneEnd.SLICE_OVER for report in reports):
            await self._wait(timedelta(seconds=1), "look again")

    async def _wait_for_server(self, reply: str) -> None:
        """The next hop does not talk to us: wait, a little longer each time, and try again."""
        since = self._server.missed(reply, now=workflow.now())
        limit = self._plan.pause_without_server_after
        if limit is not None and workflow.now() - since >= limit:
            reason = f"The mail server has not answered as it should since {instant(since)}: {reply}"
            self._queue.append(self._own_command(Verb.PAUSE, reason))
            return
        await self._wait(self._server.next_wait(), f"no mail server: {reply}")

    async def _too_many_fail(self) -> bool:
        """Have the message paused, with the evidence, when too large a share of it fails."""
        watch, counts, share = self._failures, self._survey.counts, self._plan.pause_at_failure_share
        if share is None or not watch.is_complete(counts):
            return False
        self._failures = FailureWatch.after(counts, is_first=False)
        if not watch.are_too_many(counts, share):
            return False
        self._queue.append(self._own_command(Verb.PAUSE, watch.told(counts, await self._calls.commonest_failure())))
        return True

    # -- commands -----------------------------------------------------------------------------------------------

    @workflow.signal(dynamic=True)
    def on_signal(self, name: str, args: Sequence[RawValue]) -> None:
        """Take `pause`, `resume`, `cancel` with any argument or none, and `wake`. Anything else is noted and ignored.

        One dynamic handler, because a named one drops a signal whose argument cannot be decoded: a stop must not be
        lost to a decoding error.
        """
        if name == "wake":
            self._wakes += 1
        elif name in (Verb.PAUSE, Verb.RESUME, Verb.CANCEL):
            command_id = str(workflow.uuid4())
            self._queue.append(
                read_command(Verb(name), args, command_id=command_id, requested_at=workflow.now()),
                tells_verbs_apart=lambda: workflow.patched(_TELLS_VERBS_APART),
            )
        else:
            workflow.logger.warning("ignored a signal that is no command: %s", name)

    @workflow.query
    def get_progress(self) -> dict[str, Any]:
        """Return status, counts, and what is waited for, as of the last look at the ledger."""
        return {
            "status": self._status,
            "counts": self._survey.counts.model_dump(),
            "next_slot_at": self._plan.next_slot_at
            if self._status is MessageStatus.SCHEDULED
            else self._survey.next_at,
            "slots": [line.model_dump(mode="json") for line in self._survey.slots],
            "pending_commands": [entry.command.verb for entry in self._queue],
            "no_server": self._server.reply,
            "runs": self._runs,
        }

    def _own_command(self, verb: Verb, reason: str, *, actor: str = "system") -> Command:
        return Command(
            command_id=str(workflow.uuid4()),
            verb=verb,
            actor=actor,
            reason=reason,
            source=actor,
            requested_at=workflow.now(),
        )

    async def _obey(self, entry: NumberedCommand) -> None:
        """Answer one command: do it, say again what was done, or refuse it."""
        command = entry.command
        if self._status is None:
            return  # another generation took this one's place: its commands are answered there
        ruling = rule(self._status, command.verb, self._last_effective)
        if ruling.kind == "refused" and command.verb.is_stop and self._status is MessageStatus.SENT:
            await self._stop(entry)  # overtaken by the last email: nothing more leaves, and that was asked
        elif ruling.kind == "refused":
            await self._answer(command, ReceiptOutcome.REFUSED, ruling.why)
        elif ruling.kind == "fulfilled":
            await self._answer(command, ReceiptOutcome.DONE, None)
        elif command.verb.is_stop:
            await self._stop(entry)
        elif self._queue.first_stop is not None:
            await self._answer(command, ReceiptOutcome.SUPERSEDED, "A stop came after it: stop beats go.")
        else:
            await self._resume(entry)

    async def _stop(self, entry: NumberedCommand) -> None:
        if workflow.patched(_STOPS_IN_ONE_STEP):
            self._gate_closed_by = entry.number
            self._note_status(await self._calls.stop(entry))
        else:
            await self._close_gate(entry)
            self._note_status(await self._calls.confirm_stop(entry))
        self._last_effective = entry.command.verb
        self._stopped_by = told(entry.command.actor, entry.command.reason)
        if not self._lanes.are_back:
            # As a courtesy: one whose worker is cut off may be away for long, and nothing of the ledger waits for it.
            with contextlib.suppress(TimeoutError):
                await workflow.wait_condition(
                    lambda: self._lanes.are_back, timeout=_COURTESY, timeout_summary="let the lanes come back"
                )
        await self._look()  # for what is shown from here on

    async def _close_gate(self, entry: NumberedCommand) -> None:
        """Close the gate for a stop, once."""
        if entry.number <= self._gate_closed_by:
            return
        self._gate_closed_by = entry.number
        await self._calls.close_gate(entry)

    async def _resume(self, entry: NumberedCommand) -> None:
        resumed = await self._unless_stopped(self._calls.resume(entry))
        if not resumed.superseded:
            self._last_effective = Verb.RESUME
            self._server.found()
            self._failures = FailureWatch.after(self._survey.counts, is_first=True)  # the operator has seen those
            self._next_turn = None  # what passed in the pause is missed
        self._note_status(resumed.status)

    async def _answer(self, command: Command, outcome: ReceiptOutcome, explanation: str | None) -> None:
        self._note_status(await self._calls.answer(command, outcome, explanation))

    async def _unless_stopped(self, work: Coroutine[Any, Any, T]) -> T:
        """Wait for `work`; a stop that comes meanwhile closes the gate at once, so that it cannot open it."""
        task = asyncio.create_task(work)
        await workflow.wait_condition(lambda: task.done() or self._queue.first_stop is not None)
        if not task.done() and (stop := self._queue.first_stop):
            await self._close_gate(stop)
        return await task

    # -- waiting ------------------------------------------------------------------------------------------------

    async def _sleep_until(self, moment: datetime, what: str, *, seen: int | None = None) -> None:
        """Sleep, but not through a wake after the `seen` ones that had come before it was looked what is due."""
        await self._wait(
            moment - workflow.now(),
            f"{what} at {instant(moment)}",
            until=lambda: seen is not None and self._wakes > seen,
        )

    async def _wait_for_wake(self, why: str, seen: int) -> None:
        """Wait for a wake after the `seen` ones that had come before the hold was looked at."""
        await self._wait(self._knobs.hold_timer, why, until=lambda: self._wakes > seen)

    async def _wait_for_command(self) -> None:
        if self._survey.status is None:
            await self._look()  # a run that begins paused has nothing to show yet
        by = f"by {self._stopped_by} · " if self._stopped_by else ""
        self._describe(f"{by}nothing leaves until it is resumed")
        await workflow.wait_condition(lambda: bool(self._queue))

    async def _wait(self, duration: timedelta, why: str, *, until: Callable[[], bool] | None = None) -> None:
        """Sleep durably, but wake for a command."""
        self._describe(why)
        with contextlib.suppress(TimeoutError):
            await workflow.wait_condition(
                lambda: bool(self._queue) or (until is not None and until()),
                timeout=max(duration, timedelta(milliseconds=1)),
                timeout_summary=why,
            )

    # -- continue-as-new ----------------------------------------------------------------------------------------

    def _is_long(self) -> bool:
        """Whether a fresh run should go on: the history is long, no lane runs and no command is half done."""
        info = workflow.info()
        limit = self._knobs.continue_after_events
        return info.is_continue_as_new_suggested() or (limit is not None and info.get_current_history_length() >= limit)

    def _continue_as_new(self) -> None:
        assert self._status is not None
        workflow.continue_as_new(
            BatchSendState(
                message_id=self._ref.message_id,
                generation=self._ref.generation,
                **self._queue.carried_over(),
                status=self._status,
                last_effective=self._last_effective,
                next_turn=self._next_turn,
                no_server_since=self._server.since,
                failures=self._failures,
                runs=self._runs + 1,
                knobs=self._knobs,
            )
        )

    # -- telling ------------------------------------------------------------------------------------------------

    def _note_status(self, status: MessageStatus | None) -> None:
        """Take over the status that the database returned, and show it in Temporal."""
        if status is not self._status and status is not None:
            workflow.upsert_search_attributes([SEARCH_STATUS.value_set(status.value)])
        self._status = status
        self._describe()

    def _describe(self, waiting: str | None = None) -> None:
        workflow.set_current_details(
            progress_details(self._plan, self._status, self._survey, waiting, list(self._queue), self._surveyed_at)
        )
