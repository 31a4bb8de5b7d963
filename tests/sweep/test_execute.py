"""Runs by joblib, Dask and Ray: all results are there, whatever happens to the process of one of them."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import Future
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from arithmos.errors import UsageError
from arithmos.sweep import joblib_pool, ray_cluster
from arithmos.sweep.execute import check, outcomes
from arithmos.sweep.outcome import Died, Failure
from fragile_runs import Task, environment, work

TESTS = Path(__file__).resolve().parent.parent
DEEDS = {2: "refuse", 3: "divide", 4: "unpicklable", 5: "die once", 6: "exit", 7: "die"}
DIED = (
    "its process died twice{how}, the second time with no other run beside it: out of memory, or a crash in "
    "compiled code"
)

CLUSTER = """
import sys
import dask
from distributed import LocalCluster

if __name__ == "__main__":
    dask.config.set({"distributed.comm.timeouts.connect": "3s"})  # so long it looks for the results of the dead
    with LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as cluster:
        print(cluster.scheduler_address, flush=True)
        sys.stdin.read()
"""

INTERRUPTED = """
import sys
from arithmos.sweep import ray_cluster
from arithmos.sweep.execute import outcomes
from fragile_runs import Task, work

for task, result in outcomes(work, [Task(0), *(Task(n, "sleep") for n in range(1, 6))], workers=2):
    print(result, flush=True)
"""


def fragile(folder: Path) -> list[Task]:
    """Twelve runs, half of which come to nothing at first or for good."""
    return [Task(n, DEEDS.get(n, "square"), str(folder)) for n in range(12)]


def expect_all(found: dict[int, Any], how: str) -> None:
    """Every run that can succeed has its result, and each of the others its own failure."""
    squares = {n: n * n for n in range(12) if n not in DEEDS or DEEDS[n] == "die once"}
    assert {n: result for n, result in found.items() if isinstance(result, int)} == squares
    failures = {n: f for n, f in found.items() if isinstance(f, Failure)}
    assert failures[2] == Failure("run 2 is refused: it asks for too much")
    assert failures[3].sentence == "ZeroDivisionError: integer division or modulo by zero"
    assert 'work\n    return task.number**2 // (task.deed != "divide")' in failures[3].details
    assert failures[4].sentence == "TypeError: cannot pickle '_thread.lock' object"
    assert failures[6].sentence == "SystemExit: enough"
    assert failures[7] == Failure(DIED.format(how=how))
    assert len(found) == 12


def environ() -> dict[str, str]:
    """Workers import the runs from the tests, and nobody is told that a cluster is started."""
    return {**os.environ, "PYTHONPATH": str(TESTS), "RAY_USAGE_STATS_ENABLED": "0"}


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


@pytest.fixture(scope="module")
def dask_address() -> Iterator[str]:
    """The scheduler of a cluster of two workers in processes of their own."""
    pytest.importorskip("distributed", reason='pip install "arithmos[dask]"')
    command, pipe = [sys.executable, "-c", CLUSTER], subprocess.PIPE
    quiet = {"stdin": pipe, "stdout": pipe, "stderr": subprocess.DEVNULL}
    with subprocess.Popen(command, env=environ(), text=True, **quiet) as cluster:  # type: ignore[call-overload]
        try:
            yield cluster.stdout.readline().strip().removeprefix("tcp://")
        finally:
            cluster.communicate(timeout=60)


@pytest.fixture(scope="module")
def ray_address() -> Iterator[str]:
    """The client server of a cluster that runs two processes at a time."""
    pytest.importorskip("ray", reason='pip install "arithmos[ray]"')
    port = free_port()
    with tempfile.TemporaryDirectory(prefix="ray", ignore_cleanup_errors=True) as folder:  # sockets: a short path
        flags = {
            "--port": free_port(),
            "--ray-client-server-port": port,
            "--include-dashboard": "false",
            "--num-cpus": 2,
            "--object-store-memory": 100_000_000,
            "--temp-dir": folder,
        }
        command = [sys.executable, "-m", "ray.scripts.scripts", "start", "--head", "--block", "--disable-usage-stats"]
        command += [f"{flag}={value}" for flag, value in flags.items()]
        quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, "env": environ() | {"RAY_TMPDIR": folder}}
        with subprocess.Popen(command, start_new_session=True, **quiet) as cluster:  # type: ignore[call-overload]
            try:
                wait_for(lambda: listens(port) and answers(f"ray://127.0.0.1:{port}"), 150)
                yield f"127.0.0.1:{port}"
            finally:
                os.killpg(cluster.pid, signal.SIGKILL)  # asked politely, it takes half a minute


def listens(port: int) -> bool:
    with socket.socket() as client:
        return client.connect_ex(("127.0.0.1", port)) == 0


def answers(executor: str) -> bool:
    """Whether a run would go well: on a busy machine the first driver may come too early."""
    try:
        check(executor)
    except UsageError:
        return False
    return True


def wait_for(claim: Any, seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while not claim():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.1)


def test_a_killed_process_loses_no_other_run(tmp_path: Path) -> None:
    found = {task.number: result for task, result in outcomes(work, fragile(tmp_path), workers=2)}
    expect_all(found, " (SIGKILL(-9))")


@pytest.mark.slow
def test_a_killed_dask_worker_loses_no_run(dask_address: str, tmp_path: Path) -> None:
    executor = f"dask://{dask_address}"
    assert check(executor) == f"2 workers of the Dask cluster at {dask_address}, 2 threads"
    found = {task.number: result for task, result in outcomes(work, fragile(tmp_path), executor)}
    expect_all(found, " (the Dask workers that had it died)")


@pytest.mark.slow
def test_a_dask_cluster_that_goes_away_is_said(capfd: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("distributed", reason='pip install "arithmos[dask]"')
    quiet = {"stdout": subprocess.PIPE, "stdin": subprocess.PIPE, "stderr": subprocess.DEVNULL}
    command: Any = {"args": [sys.executable, "-c", CLUSTER], "env": environ(), "text": True, "start_new_session": True}
    with subprocess.Popen(**command, **quiet) as cluster:
        address = cluster.stdout.readline().strip().removeprefix("tcp://")
        results = outcomes(work, [Task(3), Task(1, "sleep")], f"dask://{address}")
        assert next(results) == (Task(3), 9)
        os.killpg(cluster.pid, signal.SIGKILL)
        with pytest.raises(UsageError) as ended:
            next(results)
    assert str(ended.value) == (
        f"the cluster went away\n  at   dask://{address}\n"
        "  why  the connection to it was lost; the runs that are done are kept\n"
        "  fix  start the sweep again when the cluster is there: it goes on where it stopped"
    )
    assert capfd.readouterr() == ("", "")


@pytest.mark.slow
def test_a_killed_ray_worker_loses_no_run(ray_address: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    executor = f"ray://{ray_address}"
    assert check(executor) == f"2 processors of the Ray cluster at {ray_address}"
    found = {task.number: result for task, result in outcomes(work, fragile(tmp_path), executor)}
    expect_all(found, "")
    assert capfd.readouterr().out == ""  # Ray has much to say


def test_each_process_computes_in_one_thread() -> None:
    found = [result for _, result in outcomes(environment, [Task(n) for n in range(4)], workers=2)]
    assert {result["threads"] for result in found} == {"1"}
    assert str(os.getpid()) not in {result["pid"] for result in found}


def test_one_worker_is_a_process_of_its_own_too() -> None:
    assert [result["pid"] == str(os.getpid()) for _, result in outcomes(environment, [Task(0)], workers=1)] == [False]


class BreaksBetween:
    """A pool of one process which dies after every result, when nothing runs; or, from birth, takes nothing."""

    def __init__(self, *_: Any, **__: Any) -> None:
        self.left = self.lives

    def submit(self, function: Any, *arguments: Any) -> Future[Any]:
        if not self.left:
            raise BrokenProcessPool("a worker died")
        self.left -= 1
        future: Future[Any] = Future()
        future.set_result(function(*arguments))
        return future

    def shutdown(self, **_: Any) -> None:
        pass


@pytest.mark.parametrize("lives", [1, 0])
def test_a_pool_that_breaks_while_nothing_runs_is_replaced(monkeypatch: pytest.MonkeyPatch, lives: int) -> None:
    pool = type("Pool", (BreaksBetween,), {"lives": lives})
    monkeypatch.setattr(joblib_pool, "require", lambda *_: SimpleNamespace(ProcessPoolExecutor=pool))
    found = dict(joblib_pool.run(1, work, [Task(n) for n in range(3)]))
    assert found == ({0: 0, 1: 1, 2: 4} if lives else dict.fromkeys(range(3), Died("no process took it")))


def test_no_tasks_are_no_runs() -> None:
    assert list(outcomes(work, [])) == []


def test_what_is_not_wanted_any_more_is_stopped() -> None:
    started = time.monotonic()
    results = outcomes(work, [Task(1), Task(2, "sleep")], workers=2)
    assert next(results) == (Task(1), 1)
    results.close()  # type: ignore[attr-defined]
    assert time.monotonic() - started < 60


@pytest.mark.slow
@pytest.mark.parametrize("end", [signal.SIGINT, signal.SIGKILL])
def test_workers_end_with_the_sweep(end: signal.Signals) -> None:
    command, pipe = [sys.executable, "-c", INTERRUPTED], subprocess.PIPE
    sweep = subprocess.Popen(command, env=environ(), text=True, stdout=pipe, stderr=pipe, start_new_session=True)
    assert sweep.stdout is not None
    assert sweep.stdout.readline() == "0\n"
    if end == signal.SIGINT:
        os.killpg(sweep.pid, end)  # as Ctrl-C does
    else:
        sweep.kill()
    _, said = sweep.communicate(timeout=30)
    assert end == signal.SIGKILL or said.rstrip().endswith("KeyboardInterrupt")
    wait_for(lambda: not group_lives(sweep.pid), 20)


def group_lives(group: int) -> bool:
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True


def test_executors_are_loaded_where_they_are_used() -> None:
    code = "import sys, arithmos.cli.sweep; print(*{'joblib', 'ray', 'grpc', 'dask', 'distributed'} & {*sys.modules})"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, text=True).stdout == "\n"


def test_the_processes_of_this_machine_in_words() -> None:
    assert check("joblib", workers=3) == "3 processes on this machine"
    assert check("joblib", workers=1) == "1 process on this machine"


@pytest.mark.parametrize(
    ("executor", "fix"),
    [
        ("joblb", "did you mean joblib?"),
        ("dask", "did you mean dask://HOST:PORT?"),
        ("rays://a:1", "did you mean ray or ray://HOST:PORT?"),
        ("ray://", "did you mean ray or ray://HOST:PORT?"),
        ("joblib://a:1", "did you mean joblib?"),
        ("slurm", "choose one of them; joblib is this machine"),
    ],
)
def test_a_name_that_is_none_is_refused(executor: str, fix: str) -> None:
    with pytest.raises(UsageError) as refused:
        check(executor)
    assert str(refused.value) == (
        f"there is no executor '{executor}'\n"
        "  why  executors are joblib, ray, ray://HOST:PORT and dask://HOST:PORT\n"
        f"  fix  {fix}"
    )


def test_workers_of_a_cluster_are_not_chosen_here() -> None:
    with pytest.raises(UsageError) as refused:
        check("ray", workers=2)
    assert str(refused.value) == (
        "executor 'ray' cannot have 2 workers\n"
        "  why  a cluster has as many as it was started with\n"
        "  fix  leave the number of workers out"
    )
    with pytest.raises(UsageError, match="cannot have 0 workers"):
        check("joblib", workers=0)


DASK = "start one: `dask scheduler --port PORT`, and `dask worker HOST:PORT` on every machine"
RAY = "start one: `ray start --head --ray-client-server-port=PORT`, and `ray start --address=HOST:6379` elsewhere"


@pytest.mark.parametrize(("scheme", "module", "start"), [("dask", "distributed", DASK), ("ray", "ray", RAY)])
def test_nobody_at_the_address(scheme: str, module: str, start: str) -> None:
    pytest.importorskip(module)
    url = f"{scheme}://127.0.0.1:{free_port()}"
    with pytest.raises(UsageError) as refused:
        check(url)
    assert str(refused.value) == (
        f"the cluster cannot be reached\n  at   {url}\n  why  connection refused\n  fix  {start}"
    )


@pytest.mark.slow
@pytest.mark.parametrize(
    ("scheme", "module", "name"), [("dask", "distributed", "Dask scheduler"), ("ray", "ray", "Ray cluster")]
)
def test_somebody_else_at_the_address(scheme: str, module: str, name: str) -> None:
    pytest.importorskip(module)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        started = time.monotonic()
        with pytest.raises(UsageError, match=f"what listens there is no {name}"):
            check(f"{scheme}://127.0.0.1:{silent.getsockname()[1]}")
        assert time.monotonic() - started < 15


def test_an_address_needs_a_port() -> None:
    pytest.importorskip("distributed")
    with pytest.raises(UsageError) as refused:
        check("dask://head")
    assert str(refused.value) == (
        "'dask://head' is not the address of a cluster\n"
        "  why  an address is SCHEME://HOST:PORT\n"
        "  fix  for example dask://localhost:8786"
    )


@pytest.mark.parametrize("failures", [0, 2, 3])
def test_a_busy_ray_cluster_is_asked_three_times(failures: int) -> None:
    calls: list[str] = []

    class Busy:
        def init(self, url: str, **_: object) -> None:
            calls.append(url)
            if len(calls) <= failures:
                raise ConnectionAbortedError("Initialization failure from server:\nmore")

        def shutdown(self) -> None:
            pass

    if failures == 3:
        with pytest.raises(UsageError, match="Initialization failure from server"):
            ray_cluster._connect(Busy(), "ray://a:1")
    else:
        ray_cluster._connect(Busy(), "ray://a:1")
    assert calls == ["ray://a:1"] * min(failures + 1, 3)
