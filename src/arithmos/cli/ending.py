"""SIGTERM and SIGHUP end a verb as Ctrl-C does: what it was writing is removed, and its child processes end."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

SIGNALS = (signal.SIGTERM, signal.SIGHUP)


class Ended(KeyboardInterrupt):
    """One of SIGNALS came. A KeyboardInterrupt, so that whatever tidies up for Ctrl-C does so for it."""

    def __init__(self, number: int) -> None:
        super().__init__(f"ended by {signal.Signals(number).name}; nothing was left behind")
        self.exit_code = 128 + number


@contextmanager
def ended_in_order() -> Iterator[None]:
    """Within the block the first of SIGNALS raises Ended; a second one must not disturb the tidying, and is ignored.

    A signal that is ignored or handled already (nohup, a program that calls the verb) stays so, and so do all of them
    outside the main thread. A forked child dies of them as it did.
    """
    taken: tuple[signal.Signals, ...] = ()
    owner = os.getpid()

    def end(number: int, frame: FrameType | None) -> None:
        for each in taken:
            signal.signal(each, signal.SIG_IGN if os.getpid() == owner else signal.SIG_DFL)
        if os.getpid() != owner:
            os.kill(os.getpid(), number)
        raise Ended(number)

    if threading.current_thread() is threading.main_thread():
        taken = tuple(each for each in SIGNALS if signal.getsignal(each) is signal.SIG_DFL)
    for each in taken:
        signal.signal(each, end)
    try:
        yield
    finally:
        for each in taken:
            signal.signal(each, signal.SIG_DFL)
