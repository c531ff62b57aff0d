"""Sendgate shown in less than a minute: `make demo`, or `python -m examples.demo`.

A local stack of its own, a newsletter to 2,400 people who do not exist, and three things that go wrong: a page that
breaks in mid-send, a date that was a slip, a text that is wrong when a third of it has left. Then a send that takes a
day and a half, in fast motion. Every line with a mark is a claim, checked against the mailbox; the exit code is 0 only
if all are true. `--keep` leaves the stack running.
"""

from __future__ import annotations

import argparse
import csv
import math
import os
import signal
import sys
import time
from contextlib import suppress
from datetime import datetime, timedelta
from email import policy
from email.parser import BytesHeaderParser
from pathlib import Path
from typing import Any, NoReturn
from urllib.parse import quote

from rich.console import Console
from rich.text import Text

from client.cli.exits import ExitCode
from client.local.mail_catcher import CaughtEmail
from client.local.stack_file import DATA_VARIABLE, Stack
from examples.demo_check import Stop, broken_claims
from examples.demo_fast_motion import fast_motion
from examples.demo_stack import forget_other_servers, running_stack, take_signals
from examples.demo_stage import Mailbox, Stage
from examples.demo_virtual_time import require_virtual_time
from models.errors import SendgateError
from models.message import workflow_id

HERE = Path(__file__).parent
LIST = "newsletter"
SENDER = ("--from", "letters@kettle.example.com", "--from-name", "Kettle & Compass")
_SILENCE_SECONDS = 2.0
_UNTIL_THE_SLIP = timedelta(seconds=4)  # and up to a second more, to a full one
_WIDTH_OF_A_PIPE = 100


def tell(stage: Stage, stack: Stack) -> None:
    """Tell the story from the import to the last claim."""
    first, joiners = addresses("contacts.csv"), addresses("joiners.csv")
    import_contacts(stage)
    pause_and_resume(stage, stack, first, joiners)
    everybody = first + joiners
    unschedule(stage)
    cancel_and_copy(stage, everybody)
    fast_motion(stage, stack)


def import_contacts(stage: Stage) -> None:
    stage.heading("1  People")
    with (HERE / "contacts.csv").open(encoding="utf-8", newline="") as file:
        zones = {row["time_zone"] for row in csv.DictReader(file)} - {""}
    stage.say(f"A CSV file of people who do not exist, in {len(zones)} time zones.")
    stage.sendgate("contacts", "import", sample("contacts.csv"), "--list", LIST)


def pause_and_resume(stage: Stage, stack: Stack, first: list[str], joiners: list[str]) -> None:
    """Pause in mid-send, let people join, resume: everybody gets it once, nobody in the pause."""
    stage.heading("2  A newsletter, and a page that breaks in mid-send")
    message_id = create(stage, "Spring teas", "{{ contact.first_name }}, the first spring teas are here")
    stage.sendgate("messages", "preview", message_id, lines=17)
    stage.sendgate("send", message_id)
    stage.say(f"  Its workflow: {workflow_page(stack, message_id)}")
    stage.watch_mailbox(until=len(first) // 3, total=len(first))

    stage.say("\nThe page that it links to is down. Stop:")
    stage.sendgate("pause", message_id, "--reason", "the landing page is down")
    paused = receipt(stage, message_id)
    left = len(stage.mailbox.arrived())
    stage.claim(
        f"The pause took hold in mid-send: {left:,} had left, as the receipt says, and {len(first) - left:,} had not.",
        broken=differences(status=("paused", paused["status_after"]), left=(paused["counts"]["sent"], left))
        + ([] if 0 < left < len(first) else ["That is no middle."]),
    )
    silence = stage.watch_silence(_SILENCE_SECONDS, total=len(first))
    stage.claim(f"Nothing more arrived in the {_SILENCE_SECONDS:g} seconds that we watched.", broken=silence)

    stage.say(f"\nMeanwhile {len(joiners)} more people sign up. The page is back: what would a resume do?")
    stage.sendgate("contacts", "import", sample("joiners.csv"), "--list", LIST)
    stage.sendgate("resume", message_id, "--preview")
    preview = stage.ask("resume", message_id, "--preview")
    to_go = len(first) + len(joiners) - left
    stage.claim(
        f"It would mail {to_go:,}: the rest and the {len(joiners)} who joined.",
        broken=differences(to_send=(to_go, preview["to_send"]), joiners=(len(joiners), preview["joiners"])),
    )
    stage.sendgate("resume", message_id, "--reason", "the landing page is back")
    resumed = receipt(stage, message_id)
    everybody = first + joiners
    stage.watch_until(message_id, "sent", total=len(everybody))
    caught = stage.mailbox.arrived()
    stage.claim(
        f"In the mailbox: {len(everybody):,} people got it exactly once, the {len(joiners)} joiners too,"
        " and no email is dated between the receipts of pause and resume.",
        broken=broken_claims(everybody, caught, [Stop(instant(paused), instant(resumed))]),
    )


def unschedule(stage: Stage) -> None:
    """Schedule a message for the wrong time and take it back: nothing of it leaves."""
    stage.heading("3  A date that was a slip")
    message_id = create(stage, "Tasting evening", "Come to our tasting evening, {{ contact.first_name }}")
    at = datetime.fromtimestamp(math.ceil((datetime.now().astimezone() + _UNTIL_THE_SLIP).timestamp())).astimezone()
    stage.sendgate("send", message_id, "--at", at.isoformat())
    stage.say("\nThat is today, in a few seconds, and was meant to be next week. Take it back:")
    stage.sendgate("unschedule", message_id, "--reason", "wrong date")
    unscheduled = stage.message(message_id)
    until_its_time = (at - datetime.now().astimezone()).total_seconds()
    silence = stage.watch_silence(max(until_its_time, 0.0) + 1.0, total=unscheduled["audience_estimate"])
    stage.claim(
        "It is a draft again, its time has come and gone, and nothing of it arrived.",
        broken=differences(status=("draft", stage.message(message_id)["status"]), arrived=(0, stage.mailbox.count()))
        + silence,
    )


def cancel_and_copy(stage: Stage, everybody: list[str]) -> None:
    """Cancel in mid-send and send the corrected text to the rest: everybody once over both."""
    stage.heading("4  A text that is wrong when the send has begun")
    message_id = create(stage, "Invitation", "See you on Tuesday, {{ contact.first_name }}")
    stage.sendgate("send", message_id)
    stage.watch_mailbox(until=len(everybody) // 3, total=len(everybody))
    stage.say("\nNot Tuesday, Thursday! Stop for good:")
    stage.sendgate("cancel", message_id, "--reason", "wrong day")
    canceled = receipt(stage, message_id)
    left = len(stage.mailbox.arrived())
    stage.claim(
        f"The cancel took hold in mid-send: {left:,} had left, as the receipt says.",
        broken=differences(status=("canceled", canceled["status_after"]), left=(canceled["counts"]["sent"], left))
        + ([] if 0 < left < len(everybody) else ["That is no middle."]),
    )
    stage.say("\nA copy without those whom the first one reached, corrected, to the rest:")
    stage.sendgate("copy", message_id, "--exclude-recipients", "--name", "Invitation, corrected")
    copy_id = stage.newest()
    stage.sendgate("messages", "edit", copy_id, "--subject", "See you on Thursday, {{ contact.first_name }}")
    stage.sendgate("send", copy_id)
    sent_again = receipt(stage, copy_id)
    stage.watch_until(copy_id, "sent", total=len(everybody))
    caught = stage.mailbox.arrived()
    stage.claim(
        f"In the mailbox: over both, {len(everybody):,} people got it exactly once,"
        " and nothing is dated behind the receipt of the cancel and before the copy was sent.",
        broken=broken_claims(everybody, caught, [Stop(instant(canceled), instant(sent_again))]),
    )
    days = [day_of(email) for email in caught]
    stage.claim(
        f"{left:,} read Tuesday, and the {len(everybody) - left:,} others Thursday.",
        broken=differences(
            Tuesday=(left, days.count("Tuesday")), Thursday=(len(everybody) - left, days.count("Thursday"))
        ),
    )


def create(stage: Stage, name: str, subject: str) -> str:
    """Write a draft and return its id; what arrives from here on is its own."""
    stage.mailbox.begin()
    bodies = "--html", sample("newsletter.html"), "--text", sample("newsletter.txt")
    stage.sendgate(
        *("messages", "create", "--name", name, *SENDER), *("--subject", subject, *bodies, "--audience-list", LIST)
    )
    return stage.newest()


def receipt(stage: Stage, message_id: str) -> Any:
    """Return the receipt of the message's latest command, as `messages show --json` has it."""
    return stage.message(message_id)["receipt"]


def instant(of: Any) -> datetime:
    return datetime.fromisoformat(of["effective_at"])


def differences(**pairs: tuple[object, object]) -> list[str]:
    """Return a sentence for each pair (what was claimed, what is) that differs."""
    return [
        f"{name}: {claimed} was claimed, and it is {found}."
        for name, (claimed, found) in pairs.items()
        if claimed != found
    ]


def day_of(email: CaughtEmail) -> str:
    """Return the day that an invitation's subject names."""
    with email.path.open("rb") as file:
        subject = str(BytesHeaderParser(policy=policy.default).parse(file)["Subject"])
    return subject.removeprefix("See you on ").partition(",")[0]


def addresses(name: str) -> list[str]:
    with (HERE / name).open(encoding="utf-8", newline="") as file:
        return [row["email"] for row in csv.DictReader(file)]


def sample(name: str) -> str:
    """Return the path of a file beside this one, as one would type it here."""
    return os.path.relpath(HERE / name)


def workflow_page(stack: Stack, message_id: str) -> str:
    """Return the address of the message's first workflow in Temporal's UI."""
    return (
        f"{stack.ui_url}/namespaces/{stack.temporal_namespace}/workflows/{quote(workflow_id(message_id, 1), safe='')}"
    )


def introduce(console: Console, stack: Stack) -> None:
    """Say where everything is while it runs."""
    for label, place in (
        ("Temporal UI", f"{stack.ui_url}  (every message is a workflow there)"),
        ("Mailbox", str(stack.mailbox)),
        ("To look too", f"export {DATA_VARIABLE}={stack.data}  (in another terminal)"),
    ):
        console.print(f"  {label:<13} {place}", soft_wrap=True)


def conclude(stage: Stage, began: float) -> ExitCode:
    """Say whether all was true, and how to go on."""
    stage.heading("And now")
    false = stage.false_claims
    if false:
        stage.say(f"Of {stage.claims} claims these are false:")
        for each in false:
            stage.console.print(Text(f"✘ {each}", style="bold red"))
        return ExitCode.FAILED
    stage.say(f"All {stage.claims} claims are true. It took {time.monotonic() - began:.0f} seconds.")
    stage.say("Go on with a stack of your own:")
    for command, does in (
        (". .venv/bin/activate", "puts sendgate on the path"),
        ("sendgate up", "the same stack, with its data in ./.sendgate"),
        (f"sendgate contacts import {sample('contacts.csv')} --list {LIST}", ""),
        ("sendgate --help", "a first use, and every verb"),
        ("python -m examples.demo --keep", "this again, and the stack stays up to look around in"),
    ):
        stage.console.print(f"  $ {command}" + (f"{'':>{max(32 - len(command), 2)}}# {does}" if does else ""))
    return ExitCode.DONE


def play(console: Console, *, keep: bool, only_fast_motion: bool = False) -> ExitCode:
    """Play the whole demo on a stack of its own, which is stopped however it ends."""
    began = time.monotonic()
    take_signals()
    forget_other_servers()
    try:
        require_virtual_time()
        console.print("Sendgate: batch email that can be stopped.")
        console.print("Starting PostgreSQL, Temporal, a mail catcher and a worker, only for this demo ...")
        with running_stack() as stack:
            assert stack.mailbox is not None  # no other next hop is configured: it is the catcher
            introduce(console, stack)
            stage = Stage(console, Mailbox(stack.mailbox))
            if only_fast_motion:
                fast_motion(stage, stack)
            else:
                tell(stage, stack)
            code = conclude(stage, began)
            if keep:
                _stay(console)
    except KeyboardInterrupt:
        console.print("\nInterrupted; the stack is stopped and its data removed.")
        return ExitCode.INTERRUPTED
    except SendgateError as error:
        console.print(Text(f"✘ The demo cannot go on: {error.message}", style="bold red"))
        return ExitCode.FAILED
    return code


def _stay(console: Console) -> None:
    console.print("\nThe stack stays up until Ctrl-C; its data goes with it.")
    with suppress(KeyboardInterrupt):
        signal.pause()
    console.print("\nStopping the stack ...")


def main() -> NoReturn:
    parser = argparse.ArgumentParser(prog="python -m examples.demo", description="Show Sendgate in less than a minute.")
    parser.add_argument("--keep", action="store_true", help="leave the stack running at the end, until Ctrl-C")
    parser.add_argument("--fast-motion", action="store_true", help="play only the part that plays in fast motion")
    given = parser.parse_args()
    if hasattr(sys.stdout, "reconfigure"):
        sys.stdout.reconfigure(errors="replace")
    width = None if sys.stdout.isatty() or "COLUMNS" in os.environ else _WIDTH_OF_A_PIPE
    code = play(
        Console(width=width, markup=False, emoji=False, highlight=False),
        keep=given.keep,
        only_fast_motion=given.fast_motion,
    )
    sys.stdout.flush()
    # Temporal's client aborts a few short processes in a hundred at interpreter exit; there is nothing left to do.
    os._exit(code)


if __name__ == "__main__":
    main()
