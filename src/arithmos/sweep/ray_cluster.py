"""Runs on an existing Ray cluster: ray://HOST:PORT of its client server, or ray for the one on this machine."""

from __future__ import annotations

import signal
import threading
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

from arithmos.extras import require
from arithmos.sweep.address import gone, reach, unreachable
from arithmos.sweep.outcome import Died, Failure, Session, Work, attempt, failure_of
from arithmos.sweep.versions import refuse_other_versions, versions

START = "start one: `ray start --head --ray-client-server-port=PORT`, and `ray start --address=HOST:6379` elsewhere"
PATIENCE_S = 8
ATTEMPTS = 3
HERE = "127.0.0.1:10001"
"""Where `ray start --head` listens for clients, unless told otherwise."""


@contextmanager
def ray_cluster(address: str, workers: int | None) -> Iterator[Session]:
    """The cluster at HOST:PORT, or on this machine. As a client: a driver beside the cluster prints on stdout.

    Raises UsageError, MissingTool.
    """
    ray = require("ray", "ray")
    url = f"ray://{address or HERE}"
    reach(url, start=START)
    _greet(url, address or HERE)
    with warnings.catch_warnings(), _own_signals():
        warnings.simplefilter("ignore")
        _connect(ray, url)
    try:
        refuse_other_versions(url, [outcome for _, outcome in run(ray, url, versions, [None])])
        n_processors = int(ray.cluster_resources().get("CPU", 0))
        words = f"{n_processors} processor{'s' * (n_processors > 1)} of the Ray cluster at {address or HERE}"
        yield Session(words, partial(run, ray, url))
    finally:
        ray.shutdown()


def _connect(ray: Any, url: str) -> None:
    """Connect, if need be once more: a busy cluster may take longer to make a server for a client than it waits."""
    for left in reversed(range(ATTEMPTS)):
        try:
            ray.init(url, logging_level="ERROR", log_to_driver=False)
            return
        except (ConnectionError, TimeoutError) as error:
            ray.shutdown()
            if not left:
                raise unreachable(url, _first_line(error), start=f"try again, or {START}") from error
        except RuntimeError as error:  # other versions of Ray and of Python
            raise unreachable(url, _first_line(error), start="use the cluster's versions here") from error


def run(ray: Any, url: str, work: Work, tasks: Sequence[Any]) -> Iterator[tuple[int, Any]]:
    """(position, outcome). Ray gives each task a process of its own, with one thread of arithmetic.

    Raises UsageError where the cluster goes away.
    """
    remote = ray.remote(attempt).options(max_retries=0, num_cpus=1)
    waiting = {remote.remote(work, task): n for n, task in enumerate(tasks)}
    try:
        while waiting:
            for reference in ray.wait(list(waiting), num_returns=1)[0]:
                yield waiting.pop(reference), _outcome(ray, reference)
    except ConnectionError as error:
        waiting.clear()
        raise gone(url) from error
    finally:
        for reference in waiting:
            ray.cancel(reference, force=True)


def _outcome(ray: Any, reference: Any) -> Any:
    try:
        return ray.get(reference)
    except ray.exceptions.RayTaskError as error:  # the worker cannot import the work
        return Failure(_first_line(error.cause or error), failure_of(error).details)
    except ray.exceptions.WorkerCrashedError:
        return Died()
    except ray.exceptions.RayError as error:
        return Died(_first_line(error))


def _first_line(error: BaseException) -> str:
    return str(error).strip().partition("\n")[0].rstrip(":")


def _greet(url: str, address: str) -> None:
    """Raise UsageError unless what listens there speaks gRPC: Ray itself would try for a minute."""
    grpc = require("grpc", "ray")
    with grpc.insecure_channel(address) as channel:
        try:
            grpc.channel_ready_future(channel).result(timeout=PATIENCE_S)
        except grpc.FutureTimeoutError as error:
            raise unreachable(url, "what listens there is no Ray cluster", start=START) from error


@contextmanager
def _own_signals() -> Iterator[None]:
    """Ray takes over the signal TERM of the process that connects: it is given back."""
    before = signal.getsignal(signal.SIGTERM)
    yield
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, before)
