"""The envelope in one write (RFC 2920): every mix of replies to it, and silence, noise and loss amid them.

Every test runs on asyncio's event loop and on uvloop's.
"""

from __future__ import annotations

import itertools
from datetime import timedelta

import pytest

from activities.smtp.lines import PipelinedLine
from activities.smtp.wire import stuffed
from models.recipient import Outcome, Verdict
from tests.eventually import eventually
from tests.integration.smtp_transport.canned import CLOSE, SILENCE, Canned, canned
from tests.integration.smtp_transport.transports import (
    CONTENT,
    email,
    hand_over,
    hand_over_when_it_connects,
    on_both_loops,
    transport,
)
from tests.smtp_log_server import SmtpLogServer

BODY = stuffed(CONTENT)
ENVELOPE = b"MAIL FROM:<news@shop.example>\r\nRCPT TO:<ola@example.com>\r\nDATA\r\n"
WITHOUT_PIPELINING = "250 canned"


@on_both_loops
async def test_an_envelope_is_one_write_and_an_email_two() -> None:
    async with canned() as server:
        way = transport(server, connections=1)
        assert [(await hand_over(way)).verdict for _ in range(3)] == [Verdict.SENT] * 3
        assert server.packets[1:] == [ENVELOPE, BODY] * 3
        await way.aclose()
        await eventually(lambda: server.commands[-1] == "QUIT")


@on_both_loops
async def test_rset_goes_in_the_same_write_after_a_refusal() -> None:
    async with canned() as server:
        way = transport(server, connections=1)
        server.answer({"RCPT": "550 5.1.1 No", "DATA": "503 5.5.1 No recipients"})
        assert (await hand_over(way)).verdict is Verdict.BOUNCED
        server.answer({})
        assert (await hand_over(way)).verdict is Verdict.SENT
        assert server.packets == [b"RSET\r\n" + ENVELOPE, BODY]


@on_both_loops
async def test_without_pipelining_one_command_waits_for_the_reply_to_the_other() -> None:
    async with canned() as server:
        server.answer({"EHLO": WITHOUT_PIPELINING})
        way = transport(server, connections=1)
        assert (await hand_over(way)).verdict is Verdict.SENT
        assert server.packets[1:] == [*(line + b"\r\n" for line in ENVELOPE.splitlines()), BODY]


# ------------------------------------------------------------------------------------------------ the mix of replies

COMMON = ["250 2.1.0 Ok", "354 Go on", "450 4.2.1 Later", "550 5.1.1 No", "503 5.5.1 What?", "421 4.3.2 Bye"]
NOISE = ["no reply at all", CLOSE]


@pytest.mark.parametrize("mail", [*COMMON, *NOISE])
@on_both_loops
async def test_every_mix_of_replies_means_what_it_means_one_by_one(mail: str) -> None:
    async with canned() as server:
        for rcpt, data in itertools.product([*COMMON, *NOISE], repeat=2):
            answers = {"MAIL": mail, "RCPT": rcpt, "DATA": data}
            one_by_one = await verdict_of(server, {**answers, "EHLO": WITHOUT_PIPELINING})
            one_by_one_bodies = server.bodies
            at_once = await verdict_of(server, answers)
            assert (answers, at_once) == (answers, one_by_one)
            alone_in_refusing = mail[:3] == "250" and rcpt[:3] in ("450", "550", "503", "354")
            if one_by_one_bodies == [BODY]:
                assert server.bodies == [BODY], answers
            elif alone_in_refusing and data[:3] == "354" and rcpt[:3] != "354":
                assert server.bodies == [b".\r\n"], answers
            else:
                assert server.bodies == [], answers


async def verdict_of(server: Canned, answers: dict[str, str]) -> tuple[Verdict, int | None]:
    """Hand one email over to a server that answers so, and then one to the same, mended, on the same transport."""
    way = transport(server, connections=1)
    server.answer(answers)
    outcome = await hand_over(way)
    await way.aclose() if outcome.verdict is Verdict.SENT else None
    seen = server.bodies
    server.answer({"EHLO": answers.get("EHLO", server.answers["EHLO"])})
    if outcome.verdict is not Verdict.SENT:
        assert (await hand_over(way)).verdict is Verdict.SENT, answers
        assert server.bodies == [BODY]
        await way.aclose()
    server.bodies = seen
    return outcome.verdict, outcome.smtp_code if (outcome.smtp_code or 0) > 0 else None


@pytest.mark.parametrize(
    ("answer", "kept"),
    [("250 2.0.0 Ok", True), ("554 5.5.1 No valid recipients", True), ("421 4.3.2 Bye", False), (CLOSE, False)],
)
@on_both_loops
async def test_a_lone_dot_ends_data_for_nobody_and_is_no_hand_over(answer: str, kept: bool) -> None:
    async with canned() as server:
        way = transport(server, connections=1)
        server.answer({"RCPT": "550 5.1.1 No such user", "body": answer})
        outcome = await hand_over(way)
        assert outcome == Outcome(Verdict.BOUNCED, None, 550, "5.1.1", "5.1.1 No such user")
        assert server.bodies == [b".\r\n"]
        server.answer({})
        assert (await hand_over(way)).verdict is Verdict.SENT
        assert server.connections == (1 if kept else 2)


@on_both_loops
async def test_no_dot_is_written_where_an_earlier_recipient_may_wait() -> None:
    async with canned() as server:
        way = transport(server, connections=1)
        server.answer({"DATA": "450 4.3.2 Later"})  # which leaves a sender and a recipient behind
        assert (await hand_over(way)).verdict is Verdict.DEFERRED
        server.answer({"RSET": "500 What?", "MAIL": "503 Nested", "RCPT": "550 No", "DATA": "354 Go on"})
        assert (await hand_over(way)).verdict is Verdict.NO_SERVER
        assert server.bodies == []
        assert server.connections == 2


@on_both_loops
async def test_a_canceled_wait_for_the_reply_to_a_lone_dot_keeps_the_refusal() -> None:
    async with canned() as server:
        way = transport(server, connections=1)
        server.answer({"RCPT": "550 5.1.1 No such user", "body": SILENCE})
        task = hand_over(way)
        await eventually(lambda: server.bodies)
        task.cancel()
        assert (await task).verdict is Verdict.BOUNCED
        await eventually(lambda: not server.writers)


# ------------------------------------------------------------------------------------------- out of turn, and too much


@on_both_loops
async def test_what_is_said_on_an_idle_connection_is_nobodys_fault() -> None:
    async with canned() as server:
        way = transport(server, connections=1)
        assert (await hand_over(way)).verdict is Verdict.SENT
        server.say(b"421 4.4.2 Idle for too long\r\n")
        await eventually(lambda: not server.writers)
        assert (await hand_over(way)).verdict is Verdict.SENT
        assert (server.connections, server.bodies) == (2, [BODY] * 2)


@on_both_loops
async def test_no_body_is_written_behind_a_reply_that_answers_nothing() -> None:
    async with canned() as server:
        way = transport(server)
        server.answer({"DATA": "354 Go on\r\n421 4.4.2 Too slow"})
        outcome = await hand_over(way)
        assert outcome.verdict is Verdict.NOT_HANDED_OVER
        assert "421 4.4.2 Too slow" in (outcome.reply or "")
        await eventually(lambda: not server.writers)
        assert server.bodies == []


@pytest.mark.parametrize("more", ["421 4.3.2 Bye", "250 Ok", "noise", "250-unfinished"])
@on_both_loops
async def test_what_follows_the_reply_to_a_body_does_not_change_it_and_ends_the_connection(more: str) -> None:
    async with canned() as server:
        way = transport(server, connections=1)
        server.answer({"body": f"250 2.0.0 Ok\r\n{more}"})
        outcome = await hand_over(way)
        assert (outcome.verdict, outcome.reply) == (Verdict.SENT, "2.0.0 Ok")
        server.answer({})
        assert (await hand_over(way)).verdict is Verdict.SENT
        assert server.connections == 2


@pytest.mark.parametrize(
    ("at", "verdict"),
    [("MAIL", Verdict.NO_SERVER), ("RCPT", Verdict.NOT_HANDED_OVER), ("body", Verdict.IN_DOUBT)],
)
@on_both_loops
async def test_a_reply_without_end_is_not_read_to_its_end(at: str, verdict: Verdict) -> None:
    async with canned() as server:
        server.answer({at: "\r\n".join(["250-more"] * 10_000)})
        outcome = await hand_over(transport(server))
        assert outcome.verdict is verdict
        assert "longer than" in (outcome.reply or "")


# ---------------------------------------------------------------------------------------------------------- silence


@on_both_loops
async def test_each_reply_has_the_whole_time_for_itself(smtp_server: SmtpLogServer) -> None:
    smtp_server.set(delay_ms=1300)  # four of them
    way = transport(smtp_server, timeout=timedelta(seconds=5))
    assert (await hand_over(way)).verdict is Verdict.SENT


@pytest.mark.parametrize(
    ("answered", "verdict"),
    [(0, Verdict.NO_SERVER), (1, Verdict.NOT_HANDED_OVER), (2, Verdict.NOT_HANDED_OVER)],
)
@on_both_loops
async def test_commands_go_one_by_one_after_only_some_were_answered(answered: int, verdict: Verdict) -> None:
    """Whether the server threw the others away, or is slow, cannot be told. None at all says nothing of the kind."""
    async with canned() as server:
        way = transport(server, connections=2, timeout=timedelta(seconds=0.4))
        server.answer(dict.fromkeys(["MAIL", "RCPT", "DATA"][answered:], SILENCE))
        assert (await hand_over(way)).verdict is verdict
        server.answer({})
        assert (await hand_over_when_it_connects(way)).verdict is Verdict.SENT
        assert (ENVELOPE in server.packets) == (answered == 0)


@on_both_loops
async def test_a_server_that_lies_about_pipelining_costs_one_time_out(smtp_server: SmtpLogServer) -> None:
    smtp_server.set(loses_pipelined=True)
    way = transport(smtp_server, connections=1, timeout=timedelta(seconds=2))
    assert (await hand_over(way)).verdict is Verdict.NOT_HANDED_OVER
    assert [(await hand_over(way)).verdict for _ in range(5)] == [Verdict.SENT] * 5
    assert (smtp_server.seen()["connect"], len(smtp_server.accepted())) == (2, 5)


@on_both_loops
async def test_lines_that_were_opened_before_pipelining_was_distrusted_are_used_no_more() -> None:
    async with canned() as server:
        way = transport(server, connections=3, timeout=timedelta(seconds=2))
        server.answer({"body": SILENCE})
        tasks = [hand_over(way) for _ in range(3)]
        await eventually(lambda: len(server.bodies) == 3)
        server.say(b"250 2.0.0 Ok\r\n")
        assert [(await task).verdict for task in tasks] == [Verdict.SENT] * 3  # and three are idle now
        server.answer({"RCPT": SILENCE, "DATA": SILENCE})
        assert (await hand_over(way)).verdict is Verdict.NOT_HANDED_OVER
        server.answer({})
        assert [(await hand_over(way)).verdict for _ in range(3)] == [Verdict.SENT] * 3
        assert ENVELOPE not in server.packets


@on_both_loops
async def test_a_line_in_use_when_pipelining_is_distrusted_is_used_no_more() -> None:
    async with canned() as server:
        way = transport(server, connections=1)
        server.answer({"body": SILENCE})
        task = hand_over(way)
        await eventually(lambda: server.bodies)
        way._opener.distrust_pipelining()
        server.say(b"250 2.0.0 Ok\r\n")
        assert (await task).verdict is Verdict.SENT
        server.answer({})
        assert (await hand_over(way)).verdict is Verdict.SENT
        assert ENVELOPE not in server.packets


@on_both_loops
async def test_a_body_that_was_not_taken_in_in_time_was_not_handed_over(smtp_server: SmtpLogServer) -> None:
    way = transport(smtp_server, timeout=timedelta(seconds=1))
    smtp_server.set(stop_reading=True)
    large = CONTENT + b"x" * 70 + (b"\r\n" + b"x" * 70) * 200_000
    outcome = await hand_over(way, email(content=large))
    assert (outcome.verdict, outcome.handed_over_at) == (Verdict.NOT_HANDED_OVER, None)
    smtp_server.set(stop_reading=False)
    assert (await hand_over(way)).verdict is Verdict.SENT
    assert smtp_server.seen()["dot"] == 1


# ------------------------------------------------------------------------------------------------------ cancellation


@pytest.mark.parametrize(("which", "verdict"), [(1, Verdict.NOT_HANDED_OVER), (2, Verdict.SENT)])
@on_both_loops
async def test_a_cancellation_that_comes_together_with_a_reply_does_not_hide_it(which: int, verdict: Verdict) -> None:
    """`which`: the replies to the envelope, or the one to the body."""
    original = PipelinedLine.data_received
    left = 0

    def data_received(self: PipelinedLine, data: bytes) -> None:
        nonlocal left
        original(self, data)
        left -= 1
        if left == 0:
            task.cancel()

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(PipelinedLine, "data_received", data_received)  # before a connection is made: uvloop keeps it
        async with canned() as server:
            way = transport(server, connections=1)
            task = hand_over(way)
            assert (await task).verdict is Verdict.SENT
            left, task = which, hand_over(way)
            assert (await task).verdict is verdict
            await eventually(lambda: not server.writers)
            assert server.bodies == [BODY] * which
