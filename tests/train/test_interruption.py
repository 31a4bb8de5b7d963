"""Ctrl-C is noticed, a second one interrupts, and afterwards all is as before."""

from __future__ import annotations

import os
import signal
import threading

import pytest

from arithmos.train.interruption import noticed


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_first_signal_is_noticed_and_the_second_interrupts(number: signal.Signals) -> None:
    before = signal.getsignal(number)
    with pytest.raises(KeyboardInterrupt), noticed() as stop:
        assert not stop()
        os.kill(os.getpid(), number)
        assert stop()
        os.kill(os.getpid(), number)
    assert signal.getsignal(number) is before


def test_outside_the_main_thread_nothing_changes() -> None:
    before, answers = signal.getsignal(signal.SIGINT), []

    def other() -> None:
        with noticed() as stop:
            answers.append((stop(), signal.getsignal(signal.SIGINT) is before))

    thread = threading.Thread(target=other)
    thread.start()
    thread.join()
    assert answers == [(False, True)]
