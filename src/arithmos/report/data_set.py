"""The data that a result was made from: a few labelled pictures, and how many there are of each class."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from arithmos.report.canvas import THEMES
from arithmos.report.figure import Figure
from arithmos.report.picture_grid import picture_grid

GRID = "data"


@dataclass(frozen=True, slots=True, eq=False)
class DataSet:
    """images: (n, channels, height, width) in [0, 1], 1 or 3 channels, class by class as `labels` says; counts: all
    pictures of each class, not the shown ones alone; names: of each class, "" for its number."""

    title: str
    images: np.ndarray
    labels: Sequence[int]
    counts: Sequence[int]
    names: Sequence[str]


def data_figure(data: DataSet) -> Figure:
    """How many pictures there are of each class, and how many are shown."""
    shown = np.bincount(np.asarray(data.labels, dtype=np.int64), minlength=len(data.counts)).tolist()
    rows = zip(range(len(data.counts)), data.names, data.counts, shown, strict=True)
    return Figure(
        GRID, "Data", "A few of the pictures; below, how many there are of each class.", _COLUMNS, tuple(rows)
    )


_COLUMNS = ("class", "name", "pictures", "shown")


def data_pictures(data: DataSet) -> dict[str, bytes]:
    """theme -> PNG of the grid."""
    five = (data.images, data.labels, data.counts, data.names)
    return {theme: picture_grid(*five, title=data.title, theme=theme) for theme in THEMES}
