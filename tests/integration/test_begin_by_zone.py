"""The beginning of a send by contacts' zones: not before somebody of the audience is due, and not long after."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from models.audience import Audience
from models.commands import Command, Verb
from models.ledger import BeginOutcome
from models.message import MessageContent, MessageStatus
from models.schedule import Schedule
from storage import messages
from storage.database import Pool
from storage.sending import Sending

ACCEPTED = datetime(2030, 6, 3, 12, 0, tzinfo=UTC)
AT = "2030-06-04T09:00"
#: Nine o'clock on 4 June 2030.
TOKYO, OSLO = datetime(2030, 6, 4, 0, 0, tzinfo=UTC), datetime(2030, 6, 4, 7, 0, tzinfo=UTC)
#: The earliest and the last zone on Earth.
KIRITIMATI, BAKER = datetime(2030, 6, 3, 19, 0, tzinfo=UTC), datetime(2030, 6, 4, 21, 0, tzinfo=UTC)
MOMENT = timedelta(seconds=1)

LATE = Command(
    command_id="late", verb=Verb.PAUSE, actor="system", reason="late", source="system", requested_at=datetime.now(UTC)
)


class ByZone:
    """A message at nine in each contact's own zone."""

    def __init__(self, pool: Pool) -> None:
        self.pool = pool
        self.sending = Sending(pool, max_late=timedelta(hours=12))
        self.id = ""

    async def join(self, name: str, zone: str | None) -> None:
        contact = await self.pool.fetchval(
            "insert into contacts (address, address_key, time_zone) values ($1, $1, $2) returning id", name, zone
        )
        await self.pool.execute("insert into lists (name) values ('all') on conflict do nothing")
        await self.pool.execute("insert into list_members select id, $1 from lists", contact)

    async def schedule(self, accepted_at: datetime = ACCEPTED, **schedule: str) -> None:
        content = MessageContent(
            name="News", from_address="n@example.com", subject="Hi", text="Hi", audience=Audience(lists=("all",))
        )
        given = Schedule.model_validate({"at": AT, "time_zone": "contact"} | schedule)
        async with self.pool.acquire() as connection:
            self.id = await messages.insert(connection, content)
            await messages.schedule(
                connection, self.id, given, accepted_at=accepted_at, next_slot_at=None, ends_at=None
            )
        await self.sending.adopt(self.id, 1)

    async def begin(self, as_of: datetime) -> BeginOutcome:
        beginning = await self.sending.begin(self.id, 1, as_of=as_of, late=LATE)
        if beginning.outcome is BeginOutcome.NOT_YET:
            assert beginning.look_again_at is not None
            assert beginning.look_again_at > as_of
        return beginning.outcome

    async def status(self) -> str:
        return str(await self.pool.fetchval("select status from messages where id = $1", self.id))


@pytest.fixture
async def by_zone(pool: Pool) -> ByZone:
    made = ByZone(pool)
    await made.join("o@example.com", "Europe/Oslo")
    return made


async def test_it_begins_when_the_first_of_the_audience_is_due_and_not_a_moment_before(by_zone: ByZone) -> None:
    await by_zone.schedule()
    for moment in (KIRITIMATI, TOKYO, OSLO - MOMENT):
        assert await by_zone.begin(moment) is BeginOutcome.NOT_YET
        assert await by_zone.status() == MessageStatus.SCHEDULED
    assert await by_zone.pool.fetchval("select count(*) from recipients") == 0
    assert await by_zone.pool.fetchval("select next_slot_at from messages") == OSLO
    assert await by_zone.begin(OSLO) is BeginOutcome.NEW
    assert await by_zone.begin(OSLO) is BeginOutcome.ALREADY


async def test_each_look_reads_the_audience_anew(by_zone: ByZone) -> None:
    await by_zone.schedule()
    assert await by_zone.begin(TOKYO) is BeginOutcome.NOT_YET
    await by_zone.join("t@example.com", "Asia/Tokyo")
    assert await by_zone.begin(TOKYO + MOMENT) is BeginOutcome.NEW


async def test_an_unschedule_between_two_looks_wins(by_zone: ByZone) -> None:
    await by_zone.schedule()
    assert await by_zone.begin(TOKYO) is BeginOutcome.NOT_YET
    async with by_zone.pool.acquire() as connection:
        assert await messages.unschedule(connection, by_zone.id, 1) is not None
    assert await by_zone.begin(OSLO) is BeginOutcome.SUPERSEDED
    assert await by_zone.status() == MessageStatus.DRAFT


async def test_a_hold_is_seen_at_each_look(by_zone: ByZone) -> None:
    await by_zone.schedule()
    await by_zone.pool.execute("insert into hold (actor, reason) values ('operator', 'test')")
    assert await by_zone.begin(TOKYO) is BeginOutcome.HELD
    await by_zone.pool.execute("delete from hold")
    assert await by_zone.begin(TOKYO) is BeginOutcome.NOT_YET


async def test_when_nobody_is_left_it_begins_with_the_last_zone_on_earth(by_zone: ByZone) -> None:
    await by_zone.schedule()
    await by_zone.pool.execute("delete from list_members")
    assert await by_zone.begin(BAKER - MOMENT) is BeginOutcome.NOT_YET
    assert await by_zone.begin(BAKER) is BeginOutcome.NEW
    assert await by_zone.sending.finish(by_zone.id, 1) is MessageStatus.SENT


@pytest.mark.parametrize(("hours", "status"), [(12, MessageStatus.SENDING), (12.1, MessageStatus.PAUSED)])
async def test_late_is_reckoned_from_the_first_of_the_audience(
    by_zone: ByZone, hours: float, status: MessageStatus
) -> None:
    await by_zone.schedule()
    await by_zone.begin(OSLO + timedelta(hours=hours))
    assert await by_zone.status() == status


@pytest.mark.parametrize(("hours", "status"), [(12, MessageStatus.SENDING), (12.1, MessageStatus.PAUSED)])
async def test_late_is_reckoned_from_the_acceptance_where_the_time_had_passed(
    by_zone: ByZone, hours: float, status: MessageStatus
) -> None:
    accepted_at = OSLO + timedelta(hours=5)
    await by_zone.schedule(accepted_at)
    await by_zone.begin(accepted_at + timedelta(hours=hours))
    assert await by_zone.status() == status
    assert await by_zone.pool.fetchval("select due_at from recipients") == accepted_at


async def test_zones_that_are_skipped_have_expired_when_it_begins(by_zone: ByZone) -> None:
    await by_zone.join("n@example.com", "America/New_York")
    accepted_at = OSLO + timedelta(hours=1)
    await by_zone.schedule(accepted_at, passed_zones="skip")
    assert await by_zone.begin(accepted_at) is BeginOutcome.NOT_YET  # New York is due at 13:00 UTC
    assert await by_zone.begin(OSLO + timedelta(hours=6)) is BeginOutcome.NEW
    rows = {row["address"]: row for row in await by_zone.pool.fetch("select * from recipients")}
    assert (rows["o@example.com"]["status"], rows["o@example.com"]["reason"]) == ("expired", "zone_passed")
    assert rows["n@example.com"]["status"] == "pending"
