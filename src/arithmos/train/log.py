"""The logs of a run: a CSV file of its epochs, and TensorBoard's event files."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

from arithmos.atomic import output_file
from arithmos.extras import require
from arithmos.train.task import Epoch

METRICS, EVENTS = "metrics.csv", "tensorboard"
Report = Callable[[Epoch], None]


def write_csv(file: Path, history: Sequence[Epoch]) -> None:
    """One line an epoch, the fields of Epoch as columns; numbers as Python writes them, so none is rounded."""
    with output_file(file, force=True) as draft, draft.open("w", newline="") as stream:
        writer = csv.DictWriter(stream, [f.name for f in fields(Epoch)])
        writer.writeheader()
        writer.writerows(asdict(epoch) for epoch in history)


@contextmanager
def tensorboard(folder: Path) -> Iterator[Report]:
    """A report that adds loss, accuracy, rate and speed of an epoch to event files in `folder`.

    The folder is made by the first epoch reported, which hides what earlier files say of it and of later ones: those
    of a run that was interrupted. Raises MissingTool without tensorboardX, which writes the files without TensorBoard.
    """
    library = require("tensorboardX", "train")
    writers: list[Any] = []

    def report(epoch: Epoch) -> None:
        if not writers:
            writers.append(library.SummaryWriter(str(folder), purge_step=epoch.epoch))
        for name in ("loss", "accuracy", "learning_rate", "images_per_s"):
            writers[0].add_scalar(name, getattr(epoch, name), epoch.epoch)
        writers[0].flush()

    try:
        yield report
    finally:
        for writer in writers:
            writer.close()
