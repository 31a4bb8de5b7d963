"""Runs that fail, kill their process once or always, or take a while: what executors must survive."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from pathlib import Path
from typing import NamedTuple

from arithmos.errors import UsageError


class Task(NamedTuple):
    """What the run does: "square", "die once", "die", "refuse", "divide", "unpicklable", "exit"."""

    number: int
    deed: str = "square"
    folder: str = ""


def work(task: Task) -> int:
    """number ** 2, unless the deed prevents it."""
    mark = Path(task.folder, f"{task.number}.mark")
    if task.deed == "die" or (task.deed == "die once" and not mark.exists()):
        mark.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    if task.deed == "refuse":
        raise UsageError(f"run {task.number} is refused", why="it asks\nfor too much", fix="ask for less")
    if task.deed == "unpicklable":
        return threading.Lock()  # type: ignore[return-value]
    if task.deed == "exit":
        sys.exit("enough")
    if task.deed == "sleep":
        time.sleep(600)
    return task.number**2 // (task.deed != "divide")


def environment(_: Task) -> dict[str, str]:
    """The process that works, and its threads."""
    return {"pid": str(os.getpid()), "threads": os.environ.get("OMP_NUM_THREADS", "")}
