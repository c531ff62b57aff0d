"""What answers look like: the examples of the OpenAPI document, all of one message's story."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from client.interface import (
    AudiencePreview,
    Progress,
    RecipientInDoubt,
    ResumePreview,
    SendPreview,
    SendTestOutcome,
)
from models.api_keys import ApiKey, NewApiKey, Role
from models.audience import Audience
from models.commands import HistoryEntry, Receipt, ReceiptOutcome, Verb
from models.contact import Contact, ImportResult, ListSummary, RejectedLine, Suppression
from models.hold import Hold, HoldAct, HoldEntry
from models.message import Counts, Message, MessageStatus, workflow_id
from models.plan import PlannedSlot, SendPlan
from models.recipient import Recipient, RecipientStatus, Verdict
from models.schedule import Schedule

_AT = datetime(2026, 12, 1, 8, 0, tzinfo=UTC)
_ID = "b94xh8qbm4qr"
_COUNTS = Counts(total=2_400, pending=1_581, sent=819)

DRAFT = Message(
    id=_ID,
    name="May news",
    from_address="news@example.org",
    from_name="News",
    subject="Hello {{ contact.first_name }}",
    text="Dear {{ contact.first_name }},\n\nall is well.\n",
    audience=Audience(lists=("newsletter",), where={"city": "Oslo"}),
    status=MessageStatus.DRAFT,
    audience_estimate=2_400,
    created_at=_AT,
    updated_at=_AT,
)
SCHEDULED = DRAFT.model_copy(
    update={
        "status": MessageStatus.SCHEDULED,
        "schedule": Schedule(at=_AT),
        "generation": 1,
        "workflow_id": workflow_id(_ID, 1),
        "next_slot_at": _AT,
    }
)
RECEIPT = Receipt(
    command_id="f6k2mXw0Tq9vYz1A",
    command=Verb.PAUSE,
    outcome=ReceiptOutcome.DONE,
    actor="anna",
    reason="the landing page is down",
    source="api",
    requested_at=_AT + timedelta(seconds=2),
    effective_at=_AT + timedelta(seconds=2, milliseconds=87),
    status_before=MessageStatus.SENDING,
    status_after=MessageStatus.PAUSED,
    counts=_COUNTS.model_dump(),
)
PAUSED = SCHEDULED.model_copy(
    update={
        "status": MessageStatus.PAUSED,
        "counts": _COUNTS,
        "audience_estimate": None,
        "next_slot_at": None,
        "receipt": RECEIPT,
    }
)
CONTACT = Contact(
    id=42,
    address="ada@example.org",
    time_zone="Europe/Oslo",
    attributes={"first_name": "Ada", "city": "Oslo"},
    lists=["newsletter"],
)
AUDIENCE = AudiencePreview(count=2_400, suppressed=3, excluded=12, sample=[CONTACT], lacking={"first_name": 7})
PREVIEW = SendPreview(
    schedule=Schedule(at=_AT),
    plan=SendPlan(
        accepted_at=_AT - timedelta(hours=1),
        contacts=2_397,
        slots=[PlannedSlot(due_at=_AT, contacts=2_397)],
        throttle=None,
        fallback_time_zone=None,
        without_time_zone=0,
        invalid_time_zone=0,
        invalid_time_zones={},
        skipped=0,
        first_due_at=_AT,
        last_due_at=_AT,
    ),
    audience=AUDIENCE,
)
RESUME = ResumePreview(to_send=1_585, joiners=4, leavers=0, suppressed=0, returning=0, at_once=1_585)
PROGRESS = Progress(
    id=_ID,
    status=MessageStatus.SENDING,
    counts=_COUNTS,
    pending_command=None,
    in_flight=0,
    rate_per_second=612.5,
    eta=_AT + timedelta(seconds=5),
    began_at=_AT,
    finished_at=None,
    next_slot_at=None,
)
RECIPIENT = Recipient(
    contact_id=42,
    address="ada@example.org",
    status=RecipientStatus.SENT,
    due_at=_AT,
    attempts=1,
    next_try_at=None,
    handed_over_at=_AT + timedelta(seconds=1),
    settled_at=_AT + timedelta(seconds=1),
    smtp_code=250,
    enhanced_code="2.0.0",
    reply="queued as 4RkX",
    reason=None,
)
IN_DOUBT = RecipientInDoubt(
    **RECIPIENT.model_dump()
    | {"status": RecipientStatus.IN_DOUBT, "smtp_code": None, "enhanced_code": None, "reply": None},
    email_message_id="<b94xh8qbm4qr.42@example.org>",
)
HISTORY = HistoryEntry(
    command_id=RECEIPT.command_id,
    command=Verb.PAUSE,
    actor=RECEIPT.actor,
    reason=RECEIPT.reason,
    source=RECEIPT.source,
    requested_at=RECEIPT.requested_at,
    generation=1,
    receipt=RECEIPT,
)
TEST_EMAIL = SendTestOutcome(address="me@example.org", verdict=Verdict.SENT, smtp_code=250, reply="queued as 4RkX")
IMPORTED = ImportResult(
    created=20_000, updated=12, rejected=[RejectedLine(line=20_014, reason="'reader' is not an email address.")]
)
LIST = ListSummary(name="newsletter", contacts=2_400)
SUPPRESSION = Suppression(id=7, address="bob@example.org", reason="asked by phone", created_at=_AT)
HELD = Hold(held=True, actor="anna", reason="wrong price in three messages", since=_AT, in_flight=64)
RELEASED = Hold(held=False)
HOLD_ENTRY = HoldEntry(id=12, act=HoldAct.PUT, actor="anna", reason=HELD.reason or "", source="web", at=_AT)
KEY = ApiKey(id=3, name="ci", role=Role.OPERATOR, begins_with="sg_x8Kq2", created_at=_AT)
NEW_KEY = NewApiKey(**KEY.model_dump(), key="sg_x8Kq2…")
EMAIL = "From: News <news@example.org>\nTo: ada@example.org\nSubject: Hello Ada\n\nDear Ada,\n\nall is well.\n"
CSV = (
    "contact_id,address,status,due_at,attempts,next_try_at,handed_over_at,settled_at,smtp_code,enhanced_code,reply,"
    "reason\n42,ada@example.org,sent,2026-12-01T08:00:00+00:00,1,,2026-12-01T08:00:01+00:00,"
    "2026-12-01T08:00:01+00:00,250,2.0.0,queued as 4RkX,\n"
)
EVENTS = [{"event": "progress", "data": PROGRESS.model_dump_json()}]
