"""Runs on the workers of an existing Dask cluster, dask://HOST:PORT of its scheduler."""

from __future__ import annotations

import asyncio
import logging
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

from arithmos.extras import require
from arithmos.sweep.address import gone, reach, unreachable
from arithmos.sweep.outcome import Died, Session, Work, attempt, failure_of
from arithmos.sweep.versions import refuse_other_versions, versions

START = "start one: `dask scheduler --port PORT`, and `dask worker HOST:PORT` on every machine"
PATIENCE_S = 8


@contextmanager
def dask_cluster(address: str, workers: int | None) -> Iterator[Session]:
    """The workers of the scheduler at HOST:PORT, as many as there are. Raises UsageError, MissingTool."""
    distributed = require("distributed", "dask")
    url = f"dask://{address}"
    reach(url, start=START)
    try:
        asyncio.run(asyncio.wait_for(_greet(address), PATIENCE_S))
    except (OSError, TimeoutError, ValueError, TypeError, LookupError, MemoryError) as error:  # any bytes may come
        raise unreachable(url, "what listens there is no Dask scheduler", start=START) from error
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # other versions are refused below where they matter
        for logger in ("distributed", "distributed.client"):
            logging.getLogger(logger).setLevel(logging.CRITICAL + 1)  # what it logs are deaths that are coped with
        client = distributed.Client(f"tcp://{address}", timeout=PATIENCE_S, set_as_default=False)
    with client:
        try:
            client.wait_for_workers(1, timeout=PATIENCE_S)
        except TimeoutError as error:
            raise unreachable(url, "the scheduler has no workers", start=START) from error
        outcomes = client.run(attempt, versions, None, on_error="return")
        refuse_other_versions(url, outcomes.values())
        n_threads = sum(client.nthreads().values())
        words = f"{len(outcomes)} worker{'s' * (len(outcomes) > 1)} of the Dask cluster at {address}"
        yield Session(f"{words}, {n_threads} thread{'s' * (n_threads > 1)}", partial(run, distributed, client))


def run(distributed: Any, client: Any, work: Work, tasks: Sequence[Any]) -> Iterator[tuple[int, Any]]:
    """(position, outcome). A task is tried on other workers when one dies, until the scheduler suspects it.

    Raises UsageError where the scheduler goes away.
    """
    futures = {client.submit(attempt, work, task, pure=False): n for n, task in enumerate(tasks)}
    try:
        for future in distributed.as_completed(list(futures), loop=client.loop):
            yield futures[future], _outcome(distributed, client, future)
    finally:
        client.cancel([future for future in futures if not future.done()])


def _outcome(distributed: Any, client: Any, future: Any) -> Any:
    try:
        error = future.exception()
        if error is None:
            return future.result()  # where the worker has died with it meanwhile, this waits until it is made again
    except distributed.KilledWorker as killed:
        error = killed
    except distributed.CancelledError as cancelled:
        raise gone(f"dask://{client.scheduler.address.removeprefix('tcp://')}") from cancelled
    return (
        Died("the Dask workers that had it died") if isinstance(error, distributed.KilledWorker) else failure_of(error)
    )


async def _greet(address: str) -> None:
    """The handshake of Dask's protocol, by itself: a client that fails at it lingers for a quarter of a minute."""
    connect = require("distributed.comm", "dask").connect
    comm = await connect(f"tcp://{address}")
    await comm.close()
