"""What a sweep leaves beside its rows: tables where their library is, the best row, its recipe, the summary."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from arithmos.cli import sweep_output
from arithmos.cli.sweep_output import best_of, write_best, write_tables
from arithmos.cli.sweeping import summary
from arithmos.errors import MissingTool
from arithmos.lower.recipe import Recipe, read_recipe
from arithmos.sweep.columns import row_of
from arithmos.sweep.select import rule_of
from made_up_runs import configurations, made_up_run

RUNS = configurations("bits=2-4", "scalar=1")
ROWS = [row_of(run, made_up_run(0, run)) for run in RUNS]


def test_tables_are_written_where_their_library_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(*_: Any) -> None:
        raise MissingTool("this needs pyarrow", why="pyarrow is not installed", fix='pip install "arithmos[data]"')

    monkeypatch.setattr(sweep_output, "write_parquet", missing)
    assert write_tables(tmp_path, ROWS) == (
        ["results.csv"],
        ['results.parquet: pyarrow is not installed: pip install "arithmos[data]"'],
    )
    assert [p.name for p in tmp_path.iterdir()] == ["results.csv"]


def test_the_best_row_is_that_of_the_rule_or_of_the_most_accurate_run() -> None:
    failed = row_of(RUNS[2], {}, "it died")
    assert best_of([*ROWS[:2], failed], None) == (ROWS[1], "")
    assert best_of(ROWS, rule_of("min accuracy")) == (ROWS[0], "")
    assert best_of([failed], None) == (None, "")
    sentence = "no run fits the rule: none of the 3 finished runs meets its conditions"
    assert best_of(ROWS, rule_of("max accuracy where bits>4")) == (None, sentence)


def test_the_best_recipe_is_one_that_quantize_reads(tmp_path: Path) -> None:
    run = replace(RUNS[0], seed=7)
    given = {"model": "net.py:make", "weights": Path("my weights.pt"), "example": "1x3x8x8", "mean": (0.5, 0.25)}
    given |= {
        "std": (),
        "classes": None,
        "data_dir": Path("my data"),
        "n_labelled": 60,
        "n_calibration": 999,
        "scalar": 2,
    }
    write_best(tmp_path, "max accuracy", ROWS[0], run, given)
    lines = (tmp_path / "best.toml").read_text().splitlines()
    assert lines[:3] == [
        "# max accuracy: bits=2 scalar=1.0, 0.9375 of the images right with float activations",
        "# arithmos quantize 'my weights.pt' --model net.py:make --example 1x3x8x8 --mean 0.5,0.25 "
        f"--data-dir 'my data' --n-calibration 16 --evaluate 60 --seed 7 --recipe {tmp_path}/best.toml -o FOLDER",
        "",
    ]
    assert read_recipe(tmp_path / "best.toml") == Recipe(**run.recipe)


def test_the_summary_says_what_was_done_what_failed_and_what_is_missing() -> None:
    document = {
        "out": "out",
        "runs": 30,
        "skipped": 5,
        "done": 8,
        "wall_s": 125.0,
        "rule": "max accuracy",
        "best": {"run": "bits=4", "row": {**ROWS[2], "Original Top1 Accuracy": 0.99, "Wall Seconds": 1.25}},
        "unfit": "",
        "failed": [{"run": f"bits={n}", "why": "it died"} for n in range(22)],
        "files": ["results.csv", "index.html"],
        "missing": ["results.parquet: no pyarrow"],
    }
    lines = summary(document).splitlines()
    assert lines[:5] == [
        "5 of 30 runs were done already and are not made again",
        "8 of 30 runs done, in 2 min",
        "max accuracy: bits=4: 98.44 %, float 99.00 %, 1.2 s",
        "22 failed:",
        "  bits=0: it died",
    ]
    assert lines[-3:] == [
        "  and 2 more, see results.csv",
        "not written: results.parquet: no pyarrow",
        "wrote out: results.csv, index.html",
    ]
