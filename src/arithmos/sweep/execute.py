"""Execute: many runs by a named executor; none that fails or kills its process loses the result of another one."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Generator, Sequence
from contextlib import AbstractContextManager
from typing import Any

from arithmos.errors import UsageError
from arithmos.sweep.dask_cluster import dask_cluster
from arithmos.sweep.joblib_pool import joblib_pool
from arithmos.sweep.outcome import Died, Session, Work, failure_of_death
from arithmos.sweep.ray_cluster import ray_cluster

OpenSession = Callable[[str, int | None], AbstractContextManager[Session]]
"""(address, workers) -> the executor, ready until the block ends, when whatever still runs is stopped."""

EXECUTORS: dict[str, OpenSession] = {"joblib": joblib_pool, "ray": ray_cluster, "dask": dask_cluster}

FORMS = {"joblib": "joblib", "ray": "ray or ray://HOST:PORT", "dask": "dask://HOST:PORT"}
ADDRESSED = {"joblib": (False,), "ray": (False, True), "dask": (True,)}
"""Whether an executor is named with an address, without one, or either."""


def outcomes(
    work: Work, tasks: Sequence[Any], executor: str = "joblib", *, workers: int | None = None
) -> Generator[tuple[Any, Any], None, None]:
    """(task, its result or the Failure of it), in the order in which they end.

    work: a function of a module; tasks and results can be pickled. An exception in a run is the Failure of that run.
    Runs whose process died are tried once more at the end, one after the other, each alone: they are the ones under
    suspicion of having used up the memory. executor: one of FORMS; workers: processes, for joblib alone (all
    processors by default). Closing the generator stops what still runs. Raises UsageError and MissingTool as `check`.
    """
    with _session(executor, workers) as session:
        suspects = []
        for position, outcome in session.run(work, tasks):
            if isinstance(outcome, Died):
                suspects.append(position)
            else:
                yield tasks[position], outcome
        for position in suspects:
            for _, outcome in session.run(work, [tasks[position]]):
                yield tasks[position], failure_of_death(outcome) if isinstance(outcome, Died) else outcome


def check(executor: str, *, workers: int | None = None) -> str:
    """What the executor is, in words, once it was reached: said before work is done for it.

    Raises UsageError for a name that is none, an unreachable cluster, one without workers and one of another Python;
    MissingTool where the library is not installed.
    """
    with _session(executor, workers) as session:
        return session.words


def _session(executor: str, workers: int | None) -> AbstractContextManager[Session]:
    kind, separator, address = executor.partition("://")
    if kind not in EXECUTORS or bool(separator) != bool(address) or bool(address) not in ADDRESSED[kind]:
        close = difflib.get_close_matches(kind, EXECUTORS, 1)
        raise UsageError(
            f"there is no executor '{executor}'",
            why="executors are joblib, ray, ray://HOST:PORT and dask://HOST:PORT",
            fix=f"did you mean {FORMS[close[0]]}?" if close else "choose one of them; joblib is this machine",
        )
    if workers is not None and (workers < 1 or kind != "joblib"):
        raise UsageError(
            f"executor '{executor}' cannot have {workers} workers",
            why="a cluster has as many as it was started with" if kind != "joblib" else "runs need at least one",
            fix="leave the number of workers out" if kind != "joblib" else "give 1 or more",
        )
    return EXECUTORS[kind](address, workers)
