"""Runs in processes of this machine, those of joblib (loky): fresh interpreters, one thread of arithmetic each."""

from __future__ import annotations

import os
import re
import threading
import time
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, BrokenExecutor, Future, wait
from contextlib import contextmanager
from functools import partial
from typing import Any

from arithmos.extras import require
from arithmos.sweep.outcome import Died, Session, Work, attempt, failure_of

LIBRARIES = ("OMP_NUM", "OPENBLAS_NUM", "MKL_NUM", "BLIS_NUM", "NUMEXPR_NUM", "VECLIB_MAXIMUM")
ONE_THREAD = {f"{library}_THREADS": "1" for library in LIBRARIES}
"""The workers' environment: as many processes as processors, so each computes in one thread."""


@contextmanager
def joblib_pool(address: str, workers: int | None) -> Iterator[Session]:
    """Processes on this machine, `workers` many or one a processor. address: empty. Raises MissingTool."""
    count = workers or int(require("joblib", "sweep").cpu_count())
    yield Session(f"{count} process{'es' * (count > 1)} on this machine", partial(run, count))


def run(count: int, work: Work, tasks: Sequence[Any]) -> Iterator[tuple[int, Any]]:
    """(position, outcome) by at most `count` processes.

    At most so many tasks are handed out, so that those under suspicion when a process dies are few: all that were
    being worked on. The others go on in a fresh pool. Not by joblib.Parallel: with one process it works in this one,
    which a run could kill, and it does not say which tasks a dead process had.
    """
    waiting = deque(range(len(tasks)))
    while waiting:
        left = len(waiting)
        yield from _until_broken(count, work, tasks, waiting)
        if len(waiting) == left:  # a fresh pool took nothing: without this it would be tried for ever
            yield waiting.popleft(), Died("no process took it")


def _until_broken(count: int, work: Work, tasks: Sequence[Any], waiting: deque[int]) -> Iterator[tuple[int, Any]]:
    loky = require("joblib.externals.loky", "sweep")
    size = min(count, len(waiting))
    pool = loky.ProcessPoolExecutor(size, initializer=end_with, initargs=(os.getpid(),), env=ONE_THREAD)
    running: dict[Future[Any], int] = {}
    results: list[tuple[int, Any]] = []
    broken = False
    try:
        while running or results or (waiting and not broken):
            try:
                while waiting and len(running) < size and not broken:
                    running[pool.submit(attempt, work, tasks[waiting[0]])] = waiting[0]
                    waiting.popleft()
            except BrokenExecutor:  # what was not handed out waits for the next pool
                broken = True
            yield from results  # while the workers go on
            ended = {future: running.pop(future) for future in wait(running, return_when=FIRST_COMPLETED).done}
            results = [(position, _outcome(future)) for future, position in ended.items()]
            broken = broken or any(isinstance(outcome, Died) for _, outcome in results)
    finally:
        pool.shutdown(wait=True, kill_workers=True)


def _outcome(future: Future[Any]) -> Any:
    error = future.exception()
    if isinstance(error, BrokenExecutor):
        codes = re.search(r"exit codes of the workers are \{(.*?)\}", str(error))
        return Died(codes[1] if codes else "")
    if isinstance(error, Exception):
        return failure_of(error)
    return future.result()


def end_with(parent: int) -> None:
    """Let this process end when its parent has: a worker of a sweep that was killed would go on for nobody."""

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(1)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
