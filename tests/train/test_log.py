"""The logs: a table that Python reads back exactly, and event files that continue."""

from __future__ import annotations

import csv
from dataclasses import replace
from pathlib import Path

import pytest

from arithmos.train.log import tensorboard, write_csv
from arithmos.train.task import Epoch

FIRST = Epoch(epoch=1, learning_rate=0.1, loss=0.1 + 0.2, accuracy=2 / 3, wall_s=1.5, images_per_s=99.5)


def test_the_table_rounds_nothing(tmp_path: Path) -> None:
    file = tmp_path / "metrics.csv"
    write_csv(file, [FIRST])
    write_csv(file, [FIRST, replace(FIRST, epoch=2)])
    with file.open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert [row["epoch"] for row in rows] == ["1", "2"]
    assert float(rows[0]["loss"]) == FIRST.loss and float(rows[0]["accuracy"]) == FIRST.accuracy


def test_event_files_are_written_at_the_first_epoch(tmp_path: Path) -> None:
    pytest.importorskip("tensorboardX", reason='pip install "arithmos[train]"')
    with tensorboard(tmp_path / "events") as report:
        assert not (tmp_path / "events").exists()
        report(FIRST)
        report(replace(FIRST, epoch=2))
    (file,) = (tmp_path / "events").iterdir()
    content = file.read_bytes()
    assert file.name.startswith("events.out.tfevents") and content.count(b"learning_rate") >= 2
