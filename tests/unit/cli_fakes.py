"""Use cases in memory for tests of the command line: what was asked is recorded, what is answered is set."""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from client.cli.app import run
from client.doors import Place
from client.interface import (
    AskedBy,
    AudiencePreview,
    CommandResult,
    Progress,
    RecipientInDoubt,
    ResumePreview,
    SendPreview,
    SendTestOutcome,
)
from models.audience import Audience
from models.commands import HistoryEntry, Receipt, ReceiptOutcome, Verb
from models.contact import Contact, ImportResult, ListSummary, RejectedLine
from models.message import ContentChanges, Counts, Message, MessageContent, MessageStatus
from models.plan import describe_plan
from models.recipient import Recipient, RecipientStatus, Verdict
from models.schedule import Schedule, check_schedule
from models.slots import check_plan, make_plan
from tests.unit.cli_fakes_of_people import FakeKeeping, FakePeople

NOW = datetime(2020, 5, 4, 9, 5, 12, 345_000, tzinfo=UTC)
COUNTS = Counts(total=10_000, pending=8_796, sent=1_204)


def a_message(**changes: object) -> Message:
    message = Message(
        id="m1",
        name="May news",
        from_address="news@example.org",
        from_name="News",
        subject="Hello {{ contact.first_name }}",
        html="<p>Hello</p>",
        text="Hello",
        audience=Audience(lists=("newsletter",), where={"city": "Oslo"}, exclude_lists=("staff",)),
        status=MessageStatus.SENDING,
        counts=COUNTS,
        created_at=NOW,
        updated_at=NOW,
    )
    return message.model_copy(update=changes)


def a_receipt(command: Verb, asked: AskedBy | None = None, **changes: object) -> Receipt:
    receipt = Receipt(
        command_id=asked.command_id if asked else "c0",
        command=command,
        outcome=ReceiptOutcome.DONE,
        actor="anna",
        reason="",
        source="cli",
        requested_at=NOW - timedelta(milliseconds=84),
        effective_at=NOW,
        status_before="sending",
        status_after="paused",
        counts=COUNTS.model_dump(),
    )
    return receipt.model_copy(update=changes)


def a_progress(status: MessageStatus = MessageStatus.SENDING, counts: Counts = COUNTS) -> Progress:
    return Progress(
        id="m1",
        status=status,
        counts=counts,
        pending_command=None,
        in_flight=0,
        rate_per_second=900.0,
        eta=NOW,
        began_at=NOW,
        finished_at=None,
        next_slot_at=None,
    )


def a_recipient(number: int) -> Recipient:
    return Recipient(
        contact_id=number,
        address=f"p{number}@example.org",
        status=RecipientStatus.SENT,
        due_at=NOW,
        attempts=1,
        next_try_at=None,
        handed_over_at=NOW,
        settled_at=NOW,
        smtp_code=250,
        enhanced_code=None,
        reply='ok, "queued"',
        reason=None,
    )


_A_PAUSE = HistoryEntry(
    command_id="c1",
    command=Verb.PAUSE,
    actor="anna",
    reason="page is down",
    source="cli",
    requested_at=NOW,
    generation=1,
)


class FakeUseCases(FakePeople, FakeKeeping):
    """Every use case. `failure` is raised by each; `asked` holds the calls in order."""

    def __init__(self) -> None:
        self.failure: BaseException | None = None
        self.asked: list[tuple[str, Any]] = []
        self.shown = a_message()
        self.receipt: Callable[[Verb, AskedBy], Receipt | None] = a_receipt
        self.estimates: list[Progress] = [a_progress(MessageStatus.SENT)]
        self.rejected: list[RejectedLine] = []
        self.rejected_further = 0  # lines that are counted and not named
        self.people = 3
        self.zones: dict[str | None, int] = {"Europe/Oslo": 2}  # of the audience, for the plan
        self.accepted: Receipt | None = None  # of a send
        self.would = ResumePreview(to_send=8_796, joiners=4, leavers=3, suppressed=2, returning=1)
        self.entries = [_A_PAUSE]
        self.verdicts: dict[str, Verdict] = {}  # of test emails; the others are sent
        self.closed_generators = 0

    def _ask(self, what: str, detail: object = None) -> None:
        self.asked.append((what, detail))
        if self.failure:
            raise self.failure

    async def import_contacts(
        self, path: str, *, list_name: str | None, on_progress: Callable[[int, int], None] | None = None
    ) -> ImportResult:
        self._ask("import", (path, list_name))
        total = len(self.rejected) + self.rejected_further
        return ImportResult(created=5, updated=1, rejected=self.rejected, rejected_total=total)

    async def contacts(
        self, *, list_name: str | None = None, search: str = "", limit: int = 100, after: int = 0
    ) -> list[Contact]:
        self._ask("contacts", (list_name, limit, after))
        return [Contact(id=7, address="ada@example.org", time_zone=None, attributes={"city": "Oslo"}, lists=["a"])]

    async def lists(self) -> list[ListSummary]:
        self._ask("lists")
        return [ListSummary(name="newsletter", contacts=1234)]

    async def suppress(self, addresses: Sequence[str], *, reason: str) -> int:
        self._ask("suppress", (tuple(addresses), reason))
        return len(addresses)

    async def unsuppress(self, addresses: Sequence[str]) -> int:
        self._ask("unsuppress", tuple(addresses))
        return len(addresses)

    async def create(self, content: MessageContent) -> Message:
        self._ask("create", content)
        return a_message(**content.model_dump(exclude={"audience"}), audience=content.audience)

    async def edit(self, message_id: str, content: MessageContent) -> Message:
        self._ask("edit", content)
        return a_message(**content.model_dump(exclude={"audience"}), audience=content.audience)

    async def delete(self, message_id: str) -> None:
        self._ask("delete", message_id)

    async def message(self, message_id: str) -> Message:
        self._ask("message", message_id)
        return self.shown

    async def messages(
        self,
        *,
        statuses: Sequence[MessageStatus] = (),
        search: str = "",
        containing: str = "",
        limit: int = 50,
        after: str | None = None,
    ) -> tuple[list[Message], str | None]:
        self._ask("messages", tuple(statuses))
        return [self.shown], "m0"

    async def messages_containing(self, text: str, *, statuses: Sequence[MessageStatus]) -> list[str]:
        self._ask("messages_containing", (text, tuple(statuses)))
        return [self.shown.id]

    async def audience_preview(self, message_id: str, *, sample: int = 5) -> AudiencePreview:
        self._ask("audience_preview", message_id)
        return AudiencePreview(count=self.people, suppressed=1, excluded=2, sample=[], lacking={"first_name": 2})

    async def rendered(self, message_id: str, contact_id: int | None = None) -> bytes:
        self._ask("rendered", contact_id)
        return b"From: news@example.org\r\nTo: ada@example.org\r\nSubject: Hello Ada\r\n\r\nHello\x1b[31m Ada\r\n"

    async def send_test(self, message_id: str, addresses: Sequence[str]) -> list[SendTestOutcome]:
        self._ask("send_test", tuple(addresses))
        return [
            SendTestOutcome(
                address=address, verdict=self.verdicts.get(address, Verdict.SENT), smtp_code=250, reply="ok"
            )
            for address in addresses
        ]

    async def send(
        self,
        message_id: str,
        schedule: Schedule,
        asked_by: AskedBy,
        *,
        allow_empty: bool = False,
        seen: datetime | None = None,
    ) -> CommandResult:
        self._ask("send", (schedule, allow_empty))
        return CommandResult(message=self.shown.model_copy(update={"schedule": schedule}), receipt=self.accepted)

    async def plan(self, message_id: str, schedule: Schedule, *, allow_empty: bool = False) -> SendPreview:
        self._ask("plan", (schedule, allow_empty))
        check_schedule(schedule, now=NOW)
        plan = make_plan(schedule, accepted_at=NOW)
        check_plan(schedule, plan, self.zones, accepted_at=NOW)
        return SendPreview(
            schedule=schedule,
            plan=describe_plan(schedule, plan, self.zones, accepted_at=NOW),
            audience=AudiencePreview(count=3, suppressed=1, excluded=2, sample=[]),
        )

    def _command(self, verb: Verb, asked_by: AskedBy, wait: object) -> CommandResult:
        self._ask(verb.value, (asked_by, wait))
        return CommandResult(message=self.shown, receipt=self.receipt(verb, asked_by))

    async def pause(
        self, message_id: str, asked_by: AskedBy, *, wait: timedelta = timedelta(seconds=10)
    ) -> CommandResult:
        return self._command(Verb.PAUSE, asked_by, wait)

    async def resume(
        self,
        message_id: str,
        asked_by: AskedBy,
        *,
        ends_at: datetime | None = None,
        wait: timedelta = timedelta(seconds=10),
    ) -> CommandResult:
        if ends_at is not None:
            self._ask("ends_at", ends_at)
        return self._command(Verb.RESUME, asked_by, wait)

    async def cancel(
        self, message_id: str, asked_by: AskedBy, *, wait: timedelta = timedelta(seconds=10)
    ) -> CommandResult:
        return self._command(Verb.CANCEL, asked_by, wait)

    async def unschedule(self, message_id: str, asked_by: AskedBy) -> CommandResult:
        return self._command(Verb.UNSCHEDULE, asked_by, None)

    async def in_doubt(self, message_id: str, *, after: int = 0) -> AsyncGenerator[RecipientInDoubt, None]:
        self._ask("in_doubt", message_id)
        try:
            for number in range(1, self.people + 1):
                changes = {"status": RecipientStatus.IN_DOUBT, "email_message_id": f"<{number}@example.org>"}
                yield RecipientInDoubt(**(a_recipient(number).model_dump() | changes))
        finally:
            self.closed_generators += 1

    async def accept_in_doubt(
        self, message_id: str, asked_by: AskedBy, whom: Sequence[str | int] | None = None
    ) -> CommandResult:
        return self._command(Verb.ACCEPT, asked_by, whom)

    async def resend_in_doubt(
        self, message_id: str, asked_by: AskedBy, whom: Sequence[str | int] | None = None
    ) -> CommandResult:
        return self._command(Verb.RESEND, asked_by, whom)

    async def copy(self, message_id: str, *, exclude_recipients: bool = False, name: str | None = None) -> Message:
        self._ask("copy", (exclude_recipients, name))
        return a_message(id="m2", status=MessageStatus.DRAFT, copied_from=message_id)

    async def resume_preview(self, message_id: str, *, ends_at: datetime | None = None) -> ResumePreview:
        self._ask("resume_preview", message_id if ends_at is None else (message_id, ends_at))
        return self.would

    async def progress(self, message_id: str) -> Progress:
        self._ask("progress", message_id)
        return self.estimates.pop(0) if len(self.estimates) > 1 else self.estimates[0]

    async def recipients(
        self, message_id: str, *, statuses: Sequence[RecipientStatus] = ()
    ) -> AsyncGenerator[Recipient, None]:
        self._ask("recipients", tuple(statuses))
        try:
            for number in range(1, self.people + 1):
                yield a_recipient(number)
        finally:
            self.closed_generators += 1

    async def recipients_page(
        self, message_id: str, *, statuses: Sequence[RecipientStatus] = (), limit: int = 100, after: int = 0
    ) -> tuple[list[Recipient], int | None]:
        self._ask("recipients_page", (tuple(statuses), limit, after))
        return [a_recipient(number) for number in range(1, self.people + 1)], None

    async def change(self, message_id: str, changes: ContentChanges) -> Message:
        self._ask("change", changes)
        return self.shown

    async def history(self, message_id: str) -> list[HistoryEntry]:
        self._ask("history", message_id)
        return self.entries


def command_line_in_utc(
    capture: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, *, columns: int = 160
) -> Iterator[CommandLine]:
    """Yield a command line of a shell whose clock shows UTC."""
    monkeypatch.setenv("COLUMNS", str(columns))
    with monkeypatch.context() as zone:
        zone.setenv("TZ", "UTC")
        time.tzset()
        yield CommandLine(capture)
    time.tzset()


class CommandLine:
    """Runs command lines on a fake. After each: `code`, `out` and `err`."""

    def __init__(self, capture: pytest.CaptureFixture[str]) -> None:
        self.use = FakeUseCases()
        self.data: Path | None = None
        self.place = Place()
        self.opened = 0
        self.code, self.out, self.err = -1, "", ""
        self._capture = capture

    def __call__(self, *arguments: str) -> int:
        @asynccontextmanager
        async def open_use_cases(place: Place) -> AsyncIterator[FakeUseCases]:
            self.place, self.data = place, place.data
            self.opened += 1
            yield self.use

        self.code = run(arguments, open_use_cases)
        self.out, self.err = self._capture.readouterr()
        return self.code
