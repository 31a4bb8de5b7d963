"""What comes of one run: its result, a failure in words, or the death of the process that worked on it."""

from __future__ import annotations

import pickle
import traceback
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from arithmos.errors import ArithmosError

Work = Callable[[Any], Any]
"""work(task) -> result: a function of a module (or a partial of one), which any worker can import."""


@dataclass(frozen=True, slots=True)
class Failure:
    """A run that came to nothing. sentence: one line; details: the traceback where it is a defect, else empty."""

    sentence: str
    details: str = ""


@dataclass(frozen=True, slots=True)
class Died:
    """The process that worked on the task died, or one beside it in the same pool. how: a few words, or empty."""

    how: str = ""


RunTasks = Callable[[Work, Sequence[Any]], Iterator[tuple[int, Any]]]
"""(work, tasks) -> (position of a task, result | Failure | Died), unordered, each task once."""


@dataclass(frozen=True, slots=True)
class Session:
    """An executor that is ready. words: what it is, for the plan. run: may be called again, for tasks whose process
    died; a single task is run with no other beside it."""

    words: str
    run: RunTasks


def attempt(work: Work, task: Any) -> Any:
    """work(task), or the Failure that it ended in. This is what a worker executes."""
    try:
        result = work(task)
        pickle.dumps(result)  # here it is the failure of one run; on its way back it would be one of the pool
        return result
    except (Exception, SystemExit) as error:  # noqa: BLE001 (one run of many: the others go on, whatever came of it)
        return failure_of(error)


def failure_of(error: BaseException) -> Failure:
    """An error in one line; what is no ArithmosError is a defect and brings its traceback."""
    if isinstance(error, ArithmosError):
        return Failure(f"{error.what}: {' '.join(error.why.split())}")
    said = f"{type(error).__name__}: {error}".partition("\n")[0].removesuffix(": ")
    return Failure(said, "".join(traceback.format_exception(error)))


def failure_of_death(death: Died) -> Failure:
    """The failure of a run whose process died in both attempts."""
    how = f" ({death.how})" if death.how else ""
    return Failure(
        f"its process died twice{how}, the second time with no other run beside it: out of memory, or a crash in "
        "compiled code"
    )
