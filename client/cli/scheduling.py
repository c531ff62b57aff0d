"""The options that say when a message is sent, and the schedule that they make."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from datetime import datetime, timedelta

import click

from client.cli.exits import ExitCode
from client.cli.inputs import Interval, Number, When, Whole
from client.cli.output import Output
from client.cli.verb import Work
from client.interface import UseCases
from models.retry import RetryRule
from models.schedule import CONTACT, PassedZones, Schedule, Throttle

_OPTIONS = (
    click.option(
        "--at",
        type=When("at"),
        metavar="WHEN",
        help="With an offset or Z: that instant. Without: what the clocks show in --time-zone.  [default: now]",
    ),
    click.option(
        "--time-zone",
        metavar="contact|ZONE",
        help="Whose clocks --at is read on: each contact's own, or those of one zone such as Europe/Oslo.",
    ),
    click.option(
        "--fallback-time-zone",
        metavar="ZONE",
        help="For contacts without a valid zone.  [default: SENDGATE_DEFAULT_TIME_ZONE, else UTC]",
    ),
    click.option(
        "--passed-zones",
        type=click.Choice([each.value for each in PassedZones]),
        help="Where it is later than --at already: send at once, on the next day at that time, or not at all."
        "  [default: send]",
    ),
    click.option("--batch-size", type=Whole(), metavar="N", help="Throttle: so many recipients at each turn."),
    click.option(
        "--max-batches", type=Whole(), metavar="N", help="Throttle: everybody in so many batches, even in size."
    ),
    click.option("--every", type=Interval(), metavar="TIME", help="From turn to turn: 30s, 15m, 2h, PT15M."),
    click.option(
        "--ends-at",
        type=When("ends_at"),
        metavar="WHEN",
        help="From then on no batch opens: who has not had a turn gets nothing.",
    ),
    click.option(
        "--emails-per-second",
        type=Number(),
        metavar="N",
        help="Rate limit, kept over any minute. A throttle lets batches go; this spaces the emails.",
    ),
    click.option(
        "--tries",
        type=Whole(),
        metavar="N",
        help=f"Refused for now so often, a recipient has failed.  [default: {RetryRule().tries}]",
    ),
    click.option(
        "--first-wait", type=Interval(), metavar="TIME", help="Before the second try; doubled each time.  [default: 1m]"
    ),
    click.option(
        "--longest-wait", type=Interval(), metavar="TIME", help="Between two tries it is no longer.  [default: 1h]"
    ),
    click.option(
        "--max-age", type=Interval(), metavar="TIME", help="No try begins so long after the first.  [default: 24h]"
    ),
)


def takes_schedule(work: Work) -> Work:
    """Add the options to a verb, which gets them as one `schedule`. Its `check` is `check_options`."""

    @functools.wraps(work)
    async def with_schedule(
        use: UseCases,
        out: Output,
        *,
        at: datetime | None,
        time_zone: str | None,
        fallback_time_zone: str | None,
        passed_zones: str | None,
        batch_size: int | None,
        max_batches: int | None,
        every: timedelta | None,
        ends_at: datetime | None,
        emails_per_second: float | None,
        tries: int | None,
        first_wait: timedelta | None,
        longest_wait: timedelta | None,
        max_age: timedelta | None,
        **given: object,
    ) -> ExitCode | None:
        retry = {"tries": tries, "first_wait": first_wait, "longest_wait": longest_wait, "max_age": max_age}
        throttle = None
        if every is not None:
            throttle = Throttle(batch_size=batch_size, max_batches=max_batches, every=every, ends_at=ends_at)
        schedule = Schedule(
            at=at,
            time_zone=time_zone,
            fallback_time_zone=fallback_time_zone,
            passed_zones=PassedZones(passed_zones or PassedZones.SEND),
            throttle=throttle,
            emails_per_second=emails_per_second,
            retry=RetryRule.model_validate({name: value for name, value in retry.items() if value is not None}),
        )
        return await work(use, out, schedule=schedule, **given)

    for option in reversed(_OPTIONS):
        with_schedule = option(with_schedule)
    return with_schedule


def check_options(given: Mapping[str, object]) -> None:
    """Refuse options that would have no effect: they cannot be seen in the schedule any more."""
    by_contact = given["time_zone"] == CONTACT
    size = next((name for name in ("--batch-size", "--max-batches") if given[_name(name)] is not None), None)
    if size and given["every"] is None:
        raise _wrong(f"{size} needs --every: how long it is from batch to batch, such as 15m")
    if given["every"] is not None and not size:
        raise _wrong("--every needs --batch-size, or else --max-batches: how many are sent at each turn")
    if given["ends_at"] is not None and not size:
        raise _wrong(
            "--ends-at is the end of a throttled send: it goes with --batch-size or --max-batches, and --every"
        )
    if given["fallback_time_zone"] is not None and not by_contact:
        raise _wrong("--fallback-time-zone has no effect without --time-zone contact")
    if given["passed_zones"] is not None and not by_contact:
        raise _wrong("--passed-zones has no effect without --time-zone contact")


def _name(option: str) -> str:
    return option.removeprefix("--").replace("-", "_")


def _wrong(sentence: str) -> click.UsageError:
    return click.UsageError(sentence, ctx=click.get_current_context())
