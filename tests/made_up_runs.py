"""A sweep whose runs are made up, as a program: `python made_up_runs.py FOLDER SECONDS` does it, or goes on with it."""

from __future__ import annotations

import sys
import time
from functools import partial
from pathlib import Path
from typing import Any

from arithmos.lower.recipe import Recipe, plain
from arithmos.sweep.configuration import Configuration, recipe_at
from arithmos.sweep.folder import opened
from arithmos.sweep.grid import grid_of, points
from arithmos.sweep.results import by_digest, made, ordered, pending
from arithmos.sweep.store import read_rows
from arithmos.sweep.table import write_csv

LAYERS = {"conv": ["conv1"], "linear": ["fc"]}


def configurations(*items: str) -> list[Configuration]:
    """The runs of a grid on a network that nobody has."""
    base = plain(Recipe(rounding="gpfq"))
    return [
        Configuration("made_up", "0123", 16, 0, recipe_at(point, base, LAYERS), False, point)
        for point in points(grid_of({}, items))
    ]


def made_up_run(seconds: float, configuration: Configuration) -> dict[str, Any]:
    """A row that the configuration determines, after so many seconds."""
    time.sleep(seconds)
    recipe = configuration.recipe
    return {
        "Quantized Top1 Accuracy": 1 - 0.5 ** recipe["weight_bits"] * recipe["scalar"] / 4,
        "Wall Seconds": time.perf_counter(),  # another one in every run
    }


def main(folder: Path, seconds: float) -> None:
    """Do what is not done yet, then write the table."""
    wanted = by_digest(configurations("bits=1-4", "scalar=1.0:1.5:0.1"))
    with opened(folder):
        tasks = pending(read_rows(folder), wanted)
        for _ in made(folder, tasks, partial(made_up_run, seconds), "joblib", 2):
            pass
        write_csv(folder, ordered(folder, wanted))


if __name__ == "__main__":
    main(Path(sys.argv[1]), float(sys.argv[2]))
