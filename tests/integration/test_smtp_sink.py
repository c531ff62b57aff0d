"""Whole sends through Postfix's `smtp-sink`, judged by what it has written down: a file for each email it took."""

from __future__ import annotations

import os
import shutil
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from email import message_from_bytes, policy
from email.message import EmailMessage
from pathlib import Path

import pytest

from benchmarks.postfix import HOW_TO_GET_THEM, SINK_USER, Postfix, find_postfix, running_sink
from client.local.ports import HOST
from client.local.postgres import temporary_directory
from models.message import MessageStatus
from tests.eventually import eventually
from tests.harness import Harness, asked_by

RECIPIENTS = 300


@dataclass(frozen=True, slots=True)
class Sink:
    """One that runs, and the folder of what it took."""

    port: int
    folder: Path

    def taken(self) -> list[EmailMessage]:
        """Return every email, behind lines of its own that say among others for whom it was (X-Rcpt-Args)."""
        dumps = [path.read_bytes().removesuffix(b"\n") for path in self.folder.iterdir()]  # it ends each by a line
        return [message_from_bytes(dump, policy=policy.SMTPUTF8) for dump in dumps]

    def addresses(self) -> Counter[str]:
        """Return how many emails each recipient got."""
        return Counter(
            str(address).strip("<>") for message in self.taken() for address in message.get_all("X-Rcpt-Args", [])
        )


@contextmanager
def sink_of(postfix: Postfix, *options: str) -> Iterator[Sink]:
    folder = temporary_directory("sendgate-sink-")
    try:
        taken = folder / "taken"
        taken.mkdir()
        if os.geteuid() == 0:
            shutil.chown(taken, SINK_USER)
        with running_sink(postfix, folder, ["-d", f"{taken}/", *options]) as (port, _):
            yield Sink(port, taken)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="module")
def postfix() -> Postfix:
    found = find_postfix()
    if found is None:
        pytest.skip(HOW_TO_GET_THEM)
    return found


@pytest.mark.parametrize("options", [(), ("-p",)], ids=["pipelined", "one by one"])
async def test_it_takes_one_email_for_each_over_a_pause(
    harness: Harness, postfix: Postfix, options: tuple[str, ...]
) -> None:
    await harness.add_contacts(RECIPIENTS)
    message_id = await harness.draft()
    with sink_of(postfix, *options) as sink:
        async with harness.worker(smtp_host=HOST, smtp_port=sink.port, smtp_connections=4):
            await harness.send(message_id, emails_per_second=300)
            await eventually(lambda: len(sink.taken()) >= 20)
            receipt = (await harness.use_cases.pause(message_id, asked_by())).receipt
            assert receipt is not None
            assert receipt.counts is not None
            assert (receipt.counts["claimed"], receipt.counts["in_doubt"]) == (0, 0)
            assert 0 < receipt.counts["sent"] == len(sink.taken()) < RECIPIENTS
            await harness.use_cases.resume(message_id, asked_by())
            await harness.until(message_id, MessageStatus.SENT)
        assert sink.addresses() == Counter(f"c{n}@example.com" for n in range(1, RECIPIENTS + 1))
        told = {(str(message["To"]), str(message.get_content())) for message in sink.taken()}
    assert told == {(f"c{n}@example.com", f"Dear N{n},\n\nall is well.\n") for n in range(1, RECIPIENTS + 1)}
    counts = await harness.counts(message_id)
    assert counts == await harness.counted(message_id)
    assert (counts.sent, counts.total) == (RECIPIENTS, RECIPIENTS)


async def test_whom_it_refuses_has_bounced(harness: Harness, postfix: Postfix) -> None:
    await harness.add_contacts(20)
    message_id = await harness.draft()
    with sink_of(postfix, "-f", "RCPT") as sink:
        async with harness.worker(smtp_host=HOST, smtp_port=sink.port):
            await harness.send(message_id)
            await harness.until(message_id, MessageStatus.SENT)
        assert sink.taken() == []
    counts = await harness.counts(message_id)
    assert (counts.bounced, counts.total) == (20, 20)


async def test_where_it_hangs_up_instead_of_answering_an_email_the_recipient_is_in_doubt(
    harness: Harness, postfix: Postfix
) -> None:
    """Nobody knows whether it kept them, and nobody is mailed twice."""
    await harness.add_contacts(20)
    message_id = await harness.draft()
    with sink_of(postfix, "-q", ".") as sink:
        async with harness.worker(smtp_host=HOST, smtp_port=sink.port, smtp_connections=4):
            await harness.send(message_id)
            await harness.until(message_id, MessageStatus.SENT)
        assert max(sink.addresses().values(), default=0) <= 1
    counts = await harness.counts(message_id)
    assert (counts.in_doubt, counts.total) == (20, 20)
