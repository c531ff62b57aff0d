"""The signals that end the demo: put off while something is started, never lost."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator

import pytest

from examples.demo_stack import handled_by, held_back, take_signals

THOSE = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@pytest.fixture(autouse=True)
def handlers_as_before() -> Iterator[None]:
    before = {number: signal.getsignal(number) for number in THOSE}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.parametrize("number", THOSE)
def test_a_signal_that_is_held_back_ends_the_demo_afterwards(number: signal.Signals) -> None:
    take_signals()
    done = []
    with pytest.raises(KeyboardInterrupt), held_back():  # noqa: PT012
        os.kill(os.getpid(), number)
        done.append("what must not be cut in two")
    assert done
    assert signal.getsignal(number) is signal.default_int_handler


def test_a_signal_that_is_held_back_goes_to_whoever_handles_it_around() -> None:
    take_signals()
    came: list[int] = []
    with handled_by(lambda number, _: came.append(number)):
        with held_back():
            os.kill(os.getpid(), signal.SIGTERM)
            os.kill(os.getpid(), signal.SIGHUP)
            assert came == []
        assert came == [signal.SIGTERM]  # one interruption, however often it is asked for


def test_a_signal_that_is_ignored_stays_ignored() -> None:
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    take_signals()
    with held_back():
        os.kill(os.getpid(), signal.SIGHUP)
    assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN


def test_what_goes_wrong_while_signals_are_held_back_is_what_is_told() -> None:
    take_signals()
    with pytest.raises(OSError, match="no such program"), held_back():  # noqa: PT012
        os.kill(os.getpid(), signal.SIGTERM)
        raise OSError("no such program")
    assert signal.getsignal(signal.SIGTERM) is signal.default_int_handler
