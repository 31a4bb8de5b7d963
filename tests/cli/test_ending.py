"""SIGTERM and SIGHUP unwind as Ctrl-C does, once, and only where nobody else has taken them."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator

import pytest

from arithmos.cli.ending import SIGNALS, Ended, ended_in_order


@pytest.fixture(autouse=True)
def default_handlers() -> Iterator[None]:
    """Of a process that nobody started under nohup, which these tests may well be."""
    before = {number: signal.signal(number, signal.SIG_DFL) for number in SIGNALS}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGHUP, 129)])
def test_the_first_signal_ends_the_block_and_a_second_one_does_not_disturb(number: int, code: int) -> None:
    tidied = []
    with pytest.raises(Ended) as caught, ended_in_order():
        try:
            os.kill(os.getpid(), number)
        finally:
            for each in SIGNALS:
                os.kill(os.getpid(), each)
            tidied.append(1)
    assert caught.value.exit_code == code and tidied
    assert [signal.getsignal(each) for each in SIGNALS] == [signal.SIG_DFL] * 2


def test_what_is_taken_stays_so() -> None:
    """nohup ignores SIGHUP: the verb goes on when the terminal closes."""
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with ended_in_order():
            os.kill(os.getpid(), signal.SIGHUP)
        assert signal.getsignal(signal.SIGHUP) == signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, signal.SIG_DFL)


def test_a_forked_child_dies_of_it() -> None:
    with ended_in_order():
        child = os.fork()
        if not child:
            os.kill(os.getpid(), signal.SIGTERM)
            os._exit(0)
        _, status = os.waitpid(child, 0)
    assert os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGTERM
