"""The SMTP servers that a next hop may turn out to be, and what comes of the emails handed to them.

A table, read by the tests of the transport and by those of whole sends.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from models.recipient import Verdict

#: What gives an email back, to be handed over again.
GIVEN_BACK = {Verdict.NOT_HANDED_OVER, Verdict.NO_SERVER}

PLAIN = ["8BITMIME", "SIZE 33554432"]
PIPELINED = [*PLAIN, "PIPELINING"]
HALF = "r[0-9]*[02468]@"  # of the recipients


def refuse(at: str, reply: str, pattern: str = HALF) -> dict[str, Any]:
    return {"refuse": [{"at": at, "pattern": pattern, "reply": reply}]}


@dataclass(frozen=True)
class Behavior:
    """What the server does, and what comes of it for some emails; the others are sent."""

    script: dict[str, Any] = field(default_factory=dict)
    comes: set[Verdict] = field(default_factory=set)  # for one at least
    may_come: set[Verdict] = field(default_factory=set)


BEHAVIORS = {
    "nothing wrong": Behavior(),
    "no extension at all": Behavior({"offers": []}),
    "STARTTLS that is not used": Behavior({"offers": [*PIPELINED, "STARTTLS"]}),
    "AUTH that is not used": Behavior({"offers": [*PIPELINED, "AUTH PLAIN"]}),
    "replies byte by byte": Behavior({"reply_bytes": 1}),
    "replies cut every 7 bytes": Behavior({"reply_bytes": 7}),
    "slow": Behavior({"delay_ms": 3}),
    "content too large for it": Behavior({"offers": [*PIPELINED, "SIZE 20"]}, {Verdict.FAILED}),
    "sender refused for now": Behavior(refuse("mail", "450 4.2.1 Later", "."), {Verdict.DEFERRED}),
    "sender refused": Behavior(refuse("mail", "550 5.7.1 Not you", "."), {Verdict.NO_SERVER}),
    "recipients refused": Behavior(refuse("rcpt", "550 5.1.1 No such user"), {Verdict.BOUNCED}),
    "recipients refused and DATA taken": Behavior(
        {**refuse("rcpt", "450 4.2.1 Later"), "takes_data_always": True}, {Verdict.DEFERRED}
    ),
    "DATA refused": Behavior(refuse("data", "451 4.3.0 Later"), {Verdict.DEFERRED}),
    "bodies refused": Behavior(refuse("dot", "554 5.6.0 Spam"), {Verdict.BOUNCED}),
    "421 to recipients": Behavior(refuse("rcpt", "421 4.3.2 Bye"), {Verdict.NO_SERVER}),
    "421 to bodies": Behavior(refuse("dot", "421 4.3.2 Bye"), {Verdict.DEFERRED}),
    "421 to every 3rd MAIL": Behavior({"busy_every_mail": 3}, set(), {Verdict.NO_SERVER}),
    "421 to every 2nd connection": Behavior({"busy_every_connection": 2, "most_emails": 5}, set(), {Verdict.NO_SERVER}),
    "5 emails a connection": Behavior({"most_emails": 5}),
    "2 connections": Behavior({"most_connections": 2}),
    "2 connections of 3 emails": Behavior({"most_connections": 2, "most_emails": 3}, set(), {Verdict.NO_SERVER}),
    "gone at the greeting": Behavior({"drop": "connect"}, {Verdict.NO_SERVER}),
    "gone at MAIL": Behavior({"drop": "mail"}, {Verdict.NO_SERVER}),
    "gone at RCPT": Behavior({"drop": "rcpt"}, set(), GIVEN_BACK),
    "gone at DATA": Behavior({"drop": "data"}, set(), GIVEN_BACK),
    "gone amid the body": Behavior({"drop": "body"}, set(), {Verdict.NOT_HANDED_OVER, Verdict.IN_DOUBT}),
    "gone after the final dot": Behavior({"drop": "dot"}, {Verdict.IN_DOUBT}),
}
