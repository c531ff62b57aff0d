"""The timetable that the demo works out for a throttled send, and its checks with one thing wrong at a time."""

from __future__ import annotations

import io
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from rich.console import Console

from client.local.mail_catcher import Maildir
from examples import demo_virtual_time
from examples.demo_fast_motion import FastMotion
from examples.demo_stage import Mailbox, Stage
from examples.demo_timetable import Pause, ThrottledSend
from examples.demo_virtual_sendgate import Departure
from examples.demo_virtual_time import NoVirtualTime, require_virtual_time
from models.message import MessageStatus


def utc(text: str) -> datetime:
    """Return the instant of "09:30" on the day of the send."""
    return datetime.fromisoformat(f"2040-06-05T{text}+00:00")


@dataclass(frozen=True)
class Email:
    address: str
    received_at: datetime
    message_id: str = "<x>"


#: Nine o'clock is at 00:00, 07:00 and 08:00 UTC; two at a turn, every 40 minutes from 00:00.
ZONES = {
    "tokyo": "Asia/Tokyo",
    "berlin1": "Europe/Berlin",
    "berlin2": "Europe/Berlin",
    "berlin3": "Europe/Berlin",
    "london": "Europe/London",
    "kyoto": "Asia/Tokyo",
    "leeds": "Europe/London",
}
#: Paused over the turns of 08:00 and 08:40. Kyoto and Leeds join then, too late for either: they stand behind.
SEND = ThrottledSend(
    wall_clock=datetime.fromisoformat("2040-06-05T09:00"),
    every=timedelta(minutes=40),
    batch_size=2,
    zones=ZONES,
    joiners={"kyoto", "leeds"},
    pause=Pause(utc("07:50"), utc("09:10")),
)
LEFT = [
    Email("tokyo", utc("00:00:01")),
    Email("berlin1", utc("07:20:01")),
    Email("berlin2", utc("07:20:01")),
    Email("berlin3", utc("09:20:00")),
    Email("london", utc("09:20:02")),
    Email("kyoto", utc("10:00")),
    Email("leeds", utc("10:00")),
]


def changed(index: int, **changes: Any) -> list[Email]:
    return [replace(email, **changes) if n == index else email for n, email in enumerate(LEFT)]


def broken(left: list[Email]) -> dict[str, list[str]]:
    """Return which checks say what."""
    checks = {
        "early": SEND.too_early(left),
        "large": SEND.too_large(left),
        "off": SEND.off_the_grid(left),
        "unlike": SEND.unlike_the_timetable(left),
    }
    return {name: said for name, said in checks.items() if said}


def test_the_timetable_is_the_one_that_is_worked_out_by_hand() -> None:
    assert SEND.timetable() == {
        utc("00:00"): [utc("00:00")],
        utc("07:20"): [utc("07:00")] * 2,
        utc("09:20"): [utc("07:00"), utc("08:00")],
        utc("10:00"): [utc("09:10")] * 2,
    }
    assert SEND.missed_turns == [utc("08:00"), utc("08:40")]


def test_without_a_pause_no_turn_is_missed() -> None:
    send = replace(SEND, pause=None, joiners=())
    assert {turn: len(batch) for turn, batch in send.timetable().items()} == {
        utc("00:00"): 2,
        utc("07:20"): 2,
        utc("08:00"): 2,
        utc("08:40"): 1,
    }
    assert send.missed_turns == []


def test_what_is_right_breaks_no_promise() -> None:
    assert broken(LEFT) == {}


def test_one_who_got_it_too_early_on_their_own_clock_is_told() -> None:
    said = broken(changed(4, received_at=utc("07:20:01")))
    assert said["early"] == ["1 got it too early: london at Tue 08:20."]


def test_a_batch_that_is_too_large_is_told() -> None:
    said = broken(changed(3, received_at=utc("07:20:02")))
    assert said["large"] == ["1 batches are too large: 3 at Tue 07:20 UTC."]
    assert "early" not in said


@pytest.mark.parametrize("text", ["10:05", "09:59:59"])
def test_one_who_got_it_between_the_turns_is_told(text: str) -> None:
    assert broken(changed(6, received_at=utc(text)))["off"] == [
        f"1 got it between the turns: leeds at Tue {text[:5]} UTC."
    ]


def test_a_burst_behind_the_pause_is_told() -> None:
    late = [
        replace(email, received_at=utc("09:20")) if email.address in ("kyoto", "leeds") else email for email in LEFT
    ]
    assert broken(late)["unlike"] == [
        "2 batches are others than worked out: Tue 09:20 UTC (2 expected, 4 left), Tue 10:00 UTC (2 expected, 0 left)."
    ]


def test_a_turn_of_the_pause_that_is_made_up_for_in_it_is_told() -> None:
    assert "Tue 08:40 UTC (0 expected, 1 left)" in broken(changed(3, received_at=utc("08:40")))["unlike"][0]


def test_one_who_got_it_before_somebody_due_longer_is_told() -> None:
    swapped = changed(3, address="kyoto")
    swapped[5] = replace(swapped[5], address="berlin3")
    assert broken(swapped).keys() == {"unlike"}


# -- the claims of the part in fast motion


class Story(FastMotion):
    """One that is over, in which all was well until a test changes what left."""

    def __init__(self, folder: Path) -> None:
        self.stage = Stage(Console(file=io.StringIO(), width=100), Mailbox(folder))

        async def message(_: str) -> Any:
            return SimpleNamespace(status=MessageStatus.SENT)

        self.left: list[Departure] = []
        sendgate: Any = SimpleNamespace(use=SimpleNamespace(message=message), time=None, left=self.left)
        super().__init__(self.stage, sendgate)
        self.pause = Pause(utc("10:30"), utc("17:00"))
        self.promise = replace(self._send, pause=self.pause)
        # Nobody's place in a batch matters but for when they were due.
        waiting = sorted(self.promise.zones, key=self.promise.due)
        for turn, batch in self.promise.timetable().items():
            for _ in batch:
                self.left.append(Departure(waiting.pop(0), f"<{len(self.left)}@x>", turn + timedelta(seconds=1)))

    async def false_claims(self) -> list[str]:
        """Put into the mailbox what left, and return which claims are false."""
        maildir = Maildir(self.stage.mailbox.path)
        for email in self.left:
            maildir.deliver(email.address, datetime.now(UTC), f"Message-ID: {email.message_id}\r\n\r\n".encode())
        await self.claim(self.pause)
        assert self.stage.claims == 6
        return self.stage.false_claims


async def test_every_claim_is_true_when_all_is_well(tmp_path: Path) -> None:
    assert await Story(tmp_path).false_claims() == []


async def test_one_email_in_the_pause_makes_its_claim_false(tmp_path: Path) -> None:
    story = Story(tmp_path)
    story.left[300] = replace(story.left[300], received_at=utc("12:15:01"))
    false = await story.false_claims()
    assert any(claim.startswith("Nothing left between pause and resume. 1 emails arrived") for claim in false)


async def test_one_who_gets_it_twice_makes_its_claim_false(tmp_path: Path) -> None:
    story = Story(tmp_path)
    story.left.append(replace(story.left[-1], message_id="<another@x>"))
    assert "1 got it more than once" in (await story.false_claims())[0]


def test_the_timetable_of_the_sample_is_the_one_that_is_shown(tmp_path: Path) -> None:
    story = Story(tmp_path)
    assert [(f"{turn:%a %H:%M}", len(batch)) for turn, batch in story.promise.timetable().items()] == [
        ("Mon 20:15", 5),
        ("Mon 22:15", 9),
        ("Tue 00:15", 62),
        ("Tue 02:15", 63),
        ("Tue 04:15", 31),
        ("Tue 06:15", 75),
        ("Tue 08:15", 75),
        ("Tue 10:15", 75),
        ("Tue 18:15", 75),
        ("Tue 20:15", 75),
        ("Tue 22:15", 75),
        ("Wed 00:15", 75),
        ("Wed 02:15", 43),
    ]


def test_without_its_server_the_demo_says_what_to_do(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    require_virtual_time()
    monkeypatch.setattr(demo_virtual_time, "_PROGRAM", tmp_path / "temporal-test-server")
    with pytest.raises(NoVirtualTime, match="temporal-test-server is not installed; `make demo` installs it"):
        require_virtual_time()
