"""Results: each run is kept as it ends, what is done is not done again, and a kill at any moment changes no row."""

from __future__ import annotations

import csv
import errno
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from arithmos.errors import UsageError
from arithmos.sweep import results
from arithmos.sweep.columns import TIMES
from arithmos.sweep.configuration import Configuration
from arithmos.sweep.outcome import Failure
from arithmos.sweep.results import by_digest, made, ordered, pending
from arithmos.sweep.store import RUNS, read_rows
from made_up_runs import configurations

PROGRAM = Path(__file__).resolve().parent.parent / "made_up_runs.py"


@pytest.fixture
def at_hand(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Runs are made in this process, the last one first; what was begun and whether it was closed is listed."""
    log: list[str] = []

    def outcomes(work: Any, tasks: Sequence[Any], executor: str, *, workers: int | None) -> Iterator[tuple[Any, Any]]:
        try:
            for task in reversed(tasks):
                log.append("run")
                yield task, work(task)
        finally:
            log.append("closed")

    monkeypatch.setattr(results, "outcomes", outcomes)
    return log


def measured(configuration: Configuration) -> dict[str, Any]:
    return {"Quantized Top1 Accuracy": configuration.recipe["weight_bits"] / 8}


def test_rows_are_in_grid_order_whatever_order_they_ended_in(tmp_path: Path, at_hand: list[str]) -> None:
    wanted = by_digest(configurations("bits=1-3", "scalar=1,2"))
    tasks = pending({}, wanted)
    assert [row["Bits"] for _, row in made(tmp_path, tasks, measured, "joblib", None)] == [3, 3, 2, 2, 1, 1]
    rows = ordered(tmp_path, wanted)
    assert [(row["Bits"], row["CNN_Alphabet_Scalar"]) for row in rows] == [(b, s) for b in (1, 2, 3) for s in (1, 2)]
    assert pending(read_rows(tmp_path), wanted) == [] and at_hand.count("run") == 6


def test_points_of_one_recipe_are_one_run() -> None:
    assert len(by_digest(configurations("scalar=1", "stochastic=false", "method=gpfq"))) == 1
    twice = [*configurations("bits=3", "scalar=1"), *configurations("bits=3", "cnn_scalar=1", "scalar=1")]
    assert len(by_digest(twice)) == 2 and len(by_digest([*twice, *twice])) == 2


def test_what_failed_is_kept_and_tried_again(tmp_path: Path, at_hand: list[str]) -> None:
    wanted = by_digest(configurations("bits=1-3", "scalar=1"))

    def fails_at_2(configuration: Configuration) -> Any:
        return Failure("it cannot") if configuration.point["bits"] == 2 else measured(configuration)

    list(made(tmp_path, pending({}, wanted), fails_at_2, "joblib", None))
    assert [row["Status"] for row in ordered(tmp_path, wanted)] == ["done", "it cannot", "done"]
    again = pending(read_rows(tmp_path), wanted)
    assert [task.point["bits"] for task in again] == [2]
    list(made(tmp_path, again, measured, "joblib", None))
    assert [row["Status"] for row in ordered(tmp_path, wanted)] == ["done", "done", "done"]


def test_a_reader_that_stops_closes_the_executor_and_keeps_what_ended(tmp_path: Path, at_hand: list[str]) -> None:
    wanted = by_digest(configurations("bits=1-3", "scalar=1"))
    running = made(tmp_path, pending({}, wanted), measured, "joblib", None)
    next(running)
    running.close()
    assert at_hand == ["run", "closed"] and len(ordered(tmp_path, wanted)) == 1


def test_a_full_disk_stops_the_sweep_and_keeps_what_was_there(
    tmp_path: Path, at_hand: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted = by_digest(configurations("bits=1-3", "scalar=1"))
    running = made(tmp_path, pending({}, wanted), measured, "joblib", None)
    next(running)

    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(UsageError, match="the disk is full"):
        next(running)
    monkeypatch.undo()
    assert at_hand[-1] == "closed" and [row["Bits"] for row in ordered(tmp_path, wanted)] == [3]
    assert [task.point["bits"] for task in pending(read_rows(tmp_path), wanted)] == [1, 2]


def started(folder: Path, seconds: float) -> subprocess.Popen[bytes]:
    environment = {**os.environ, "PYTHONPATH": str(PROGRAM.parent)}
    return subprocess.Popen([sys.executable, str(PROGRAM), str(folder), str(seconds)], env=environment)


def table(folder: Path) -> list[dict[str, str]]:
    with (folder / "results.csv").open(newline="") as stream:
        return [{k: v for k, v in row.items() if k not in TIMES} for row in csv.DictReader(stream)]


@pytest.mark.slow
def test_killed_at_random_moments_and_resumed_it_gives_the_same_table(tmp_path: Path) -> None:
    pytest.importorskip("joblib", reason='pip install "arithmos[sweep]"')
    assert started(tmp_path / "whole", 0.0).wait(120) == 0
    rng, folder, counts = np.random.default_rng(0), tmp_path / "killed", [0]
    while len(counts) < 5:
        before = (folder / RUNS).read_bytes() if (folder / RUNS).exists() else b""
        process = started(folder, 0.15)
        enough = rng.integers(1, 4)  # lines that are waited for, so that every process gets somewhere
        while process.poll() is None and not ((folder / RUNS).exists() and _lines(folder) >= counts[-1] + enough):
            time.sleep(0.001)
        time.sleep(rng.uniform(0, 0.15))
        assert process.poll() is None
        process.kill()
        process.wait()
        assert (folder / RUNS).read_bytes().startswith(before)
        counts.append(_lines(folder))
    assert 5 <= counts[-1] < 24
    assert started(folder, 0.0).wait(120) == 0
    assert _lines(folder) == 24  # what was done was not done again
    assert table(folder) == table(tmp_path / "whole") and len(table(folder)) == 24


def _lines(folder: Path) -> int:
    return (folder / RUNS).read_bytes().count(b"\n")
