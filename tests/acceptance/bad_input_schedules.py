"""The part of the table of bad input that says when: instants, time zones, throttles and end dates.

What `<draft>`, `<tomorrow>` and the like stand for is in bad_input_world.py; `<next_year>` is a wall-clock time.
"""

from __future__ import annotations

from models.message import MessageStatus
from tests.acceptance.bad_input_case import Case, wrong

S = MessageStatus

IN_OSLO = ("--at", "<next_year>", "--time-zone", "Europe/Oslo")
BY_CONTACT = ("--at", "<next_year>", "--time-zone", "contact")
THROTTLED = ("--every", "15m", "--batch-size", "5")

SCHEDULE = [
    wrong(("send", "<draft>", "--at", "2020-01-01T09:00Z"), "at is in the past"),
    wrong(("send", "<draft>", "--at", "1999-12-31T09:00Z"), "at is in the past"),
    wrong(("send", "<draft>", "--at", "0001-01-01T09:00Z"), "out of range"),
    wrong(("send", "<draft>", "--at", "2020-01-01T09:00Z", "--dry-run"), "at is in the past"),
    wrong(("send", "<draft>", "--at", "2226-01-01T09:00Z"), "ten years"),
    wrong(("send", "<draft>", "--at", "9999-12-31T23:59:59.999999Z"), "out of range"),
    wrong(("send", "<draft>", "--at", "0001-01-01T00:00+23:59"), "out of range"),
    wrong(("send", "<draft>", "--at", "9999-12-31T23:59-23:59"), "out of range"),
    *(
        wrong(("send", "<draft>", "--at", unreadable), "cannot be read")
        for unreadable in (
            "",
            "tomorrow",
            "9 o'clock",
            "2026-02-30T09:00Z",
            "2026-12-01T25:00Z",
            "1" * 5000,
            "٢٠٢٦",
            "-1",
            "2026-12-01",
            "09:00",
        )
    ),
    *(
        wrong(("send", f"<{nobody}>", *more), "audience is empty")
        for nobody in ("nobody", "no_match", "no_list")
        for more in ((), ("--dry-run",))
    ),
    *(Case(("send", "<excluding>", *more), 3, "cancel it first", records=False) for more in ((), ("--dry-run",))),
]

#: Rate limits and retry schedules.
PACE = [
    wrong(("send", "<draft>", *arguments, *dry), said)
    for dry in ((), ("--dry-run",))
    for arguments, said in (
        (("--emails-per-second", "0"), "emails_per_second must be from 0.001 to 1,000,000, not 0."),
        (("--emails-per-second", "-5"), "emails_per_second must be from"),
        (("--emails-per-second", "nan"), "emails_per_second must be from"),
        (("--emails-per-second", "1e12"), "emails_per_second must be from"),
        (("--emails-per-second", "fast"), "'fast' is not a number"),
        (("--tries", "0"), "tries must be from 1 to 1,000, not 0."),
        (("--tries", "-1"), "tries must be from"),
        (("--tries", "99999999999999999999"), "tries must be from"),
        (("--tries", "1.5"), "'1.5' is not a whole number"),
        (("--first-wait", "0s"), "first_wait must be from a second"),
        (("--first-wait", "soon"), "is not a duration"),
        (("--first-wait", "2h"), "first_wait (2:00:00) is longer than longest_wait (1:00:00)."),
        (("--longest-wait", "400d"), "longest_wait must be from a second"),
        (("--max-age", ""), "is not a duration"),
        (("--max-age", "P1Y"), "is not a duration"),
    )
]

#: A sentence names the option where the command line says it, and the field where the schedule does.
TIME_ZONES = [
    wrong(("send", "<draft>", *arguments, *dry), said)
    for dry in ((), ("--dry-run",))
    for arguments, said in (
        (("--at", "<next_year>"), "has no offset; add one, as in <next_year>+01:00, or say in which time_zone"),
        (("--at", "<next_year>", "--time-zone", "Mars/Base"), "time_zone: "),
        (("--at", "<next_year>", "--time-zone", ""), "time_zone: "),
        (("--at", "<next_year>", "--time-zone", "Contact"), "time_zone: "),
        (("--at", "<next_year>", "--time-zone", "+01:00"), "time_zone: "),
        (("--at", "<next_year>", "--time-zone", "../../etc/passwd"), "time_zone: "),
        (("--at", "<next_year>", "--time-zone", "x" * 5000), "time_zone: "),
        (("--at", "<tomorrow>", "--time-zone", "Europe/Oslo"), "leave out either the offset or time_zone"),
        (("--at", "<tomorrow>", "--time-zone", "contact"), "leave out either the offset or time_zone"),
        (("--time-zone", "contact"), "needs a wall-clock time"),
        (("--time-zone", "Europe/Oslo"), "leave out time_zone to send now"),
        (("--at", "2020-01-01T09:00", "--time-zone", "Europe/Oslo"), "at is in the past (2020-01-01 09:00)"),
        (("--at", "2020-01-01T09:00", "--time-zone", "contact"), "in every time zone of the audience"),
        (("--at", "2226-01-01T09:00", "--time-zone", "contact"), "ten years"),
        ((*BY_CONTACT, "--fallback-time-zone", "Mars/Base"), "fallback_time_zone: "),
        ((*BY_CONTACT, "--fallback-time-zone", "contact"), "fallback_time_zone: "),
        ((*BY_CONTACT, "--passed-zones", "maybe"), "--passed-zones"),
        (("--fallback-time-zone", "Europe/Oslo"), "--fallback-time-zone has no effect"),
        (("--at", "<tomorrow>", "--fallback-time-zone", "Europe/Oslo"), "--fallback-time-zone has no effect"),
        ((*IN_OSLO, "--fallback-time-zone", "Europe/Oslo"), "--fallback-time-zone has no effect"),
        (("--passed-zones", "send"), "--passed-zones has no effect"),
        ((*IN_OSLO, "--passed-zones", "skip"), "--passed-zones has no effect"),
    )
]

THROTTLE = [
    *(
        wrong(("send", "<draft>", *arguments, *dry), said)
        for dry in ((), ("--dry-run",))
        for arguments, said in (
            (("--batch-size", "5"), "--batch-size needs --every"),
            (("--max-batches", "5"), "--max-batches needs --every"),
            (("--every", "15m"), "--every needs --batch-size, or else --max-batches"),
            (("--ends-at", "<tomorrow>"), "--ends-at is the end of a throttled send"),
            (("--every", "15m", "--batch-size", "5", "--max-batches", "5"), "exclude each other"),
            (("--every", "15m", "--batch-size", "0"), "batch_size must be from 1 to 2,000,000,000, not 0"),
            (("--every", "15m", "--batch-size", "-1"), "batch_size must be from 1 to 2,000,000,000, not -1"),
            (("--every", "15m", "--max-batches", "0"), "max_batches must be from 1 to 2,000,000,000, not 0"),
            (("--every", "15m", "--max-batches", "3000000000"), "max_batches must be from 1 "),
            (("--every", "15m", "--batch-size", "many"), "--batch-size"),
            (("--every", "15m", "--batch-size", "9" * 5000), "--batch-size"),
            (("--every", "15m", "--max-batches", "5", *BY_CONTACT), "max_batches does not go with time_zone contact"),
            *(
                (("--every", interval, "--batch-size", "5"), "every must be from a second to 366 days")
                for interval in ("0", "999ms", "0.5s", "PT0S", "367d")
            ),
            *(
                (("--every", interval, "--batch-size", "5"), "is not a duration; write 30s, 15m")
                for interval in ("", "soon", "-5m", "1w", "P1M", "15 minutes", "nan", "1e9")
            ),
            (("--every", "9" * 400 + "d", "--batch-size", "5"), "too long for a duration"),
            ((*THROTTLED, "--ends-at", "2020-01-01T09:00Z"), "is not after the start"),
            ((*THROTTLED, "--at", "<tomorrow>", "--ends-at", "<tomorrow>"), "is not after the start"),
            ((*THROTTLED, *BY_CONTACT, "--ends-at", "<tomorrow>"), "is not after the start"),
            ((*THROTTLED, "--ends-at", "<next_year>"), "no single time_zone says where it is"),
            ((*THROTTLED, *BY_CONTACT, "--ends-at", "<next_year>"), "no single time_zone says where it is"),
            ((*THROTTLED, *IN_OSLO, "--ends-at", "2020-01-01T09:00"), "is not after the start"),
            ((*THROTTLED, "--ends-at", "soon"), "ends_at: 'soon' cannot be read"),
            ((*THROTTLED, "--ends-at", "0001-01-01T00:00Z"), "ends_at: '0001-01-01T00:00Z' is out of range"),
        )
    ),
    *(
        wrong(("resume", f"<{which}>", "--ends-at", ends_at, *preview), said)
        for preview in ((), ("--preview",))
        for which, ends_at, said in (
            (S.PAUSED, "<tomorrow>", "not throttled, so it has no end date"),
            ("throttled", "2020-01-01T09:00Z", "ends_at is in the past"),
            ("throttled", "2226-01-01T09:00Z", "ends_at is more than ten years away"),
            ("throttled", "<next_year>", "no single time_zone says where it is"),
            ("throttled", "soon", "ends_at: 'soon' cannot be read"),
        )
    ),
    Case(("resume", "<sending>", "--ends-at", "<tomorrow>", "--preview"), 3, "is sending"),
    Case(("resume", "<draft>", "--ends-at", "<tomorrow>"), 3, "is draft"),
    Case(("resume", "nosuchid2345", "--ends-at", "<tomorrow>"), 4, "no message nosuchid2345"),
]

WRONG_DATE = [
    wrong(("runbook", "wrong-date", "<scheduled>", "--yes", "--at", at), said)
    for at, said in (
        ("2020-01-01T09:00Z", "at is in the past"),
        ("<next_year>", "has no offset"),
        ("tomorrow", "cannot be read"),
        ("2226-01-01T09:00Z", "ten years"),
    )
]
