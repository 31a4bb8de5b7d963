"""A data set at a glance: labelled pictures, and how many there are of each class."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from arithmos.report.canvas import THEMES, WIDTH_IN, Theme, as_png, canvas

NAMED_CLASSES = 20
"""Up to so many classes are named: one a row of pictures, one a bar."""

COLUMNS = 12
"""A row has room for so many pictures, so that few of them stand side by side; more are smaller."""


def picture_grid(
    images: np.ndarray,
    labels: Sequence[int],
    counts: Sequence[int],
    names: Sequence[str],
    *,
    title: str,
    theme: str = "light",
) -> bytes:
    """PNG bytes: a grid of pictures with their classes, and the class balance below.

    images: (n, channels, height, width) in [0, 1], 1 or 3 channels, in the order of `labels`. counts: of each class;
    names: of each class, "" for its number alone. Raises MissingTool without matplotlib.
    """
    colors = THEMES[theme]
    few = len(counts) <= NAMED_CLASSES
    groups = _rows_of_classes(labels) if few else _rows_of(COLUMNS, len(labels))
    n_columns = max([COLUMNS, *map(len, groups)])
    with canvas(colors) as figure_class:
        side = min(0.62, (WIDTH_IN - 1.2) / n_columns)
        height = side * len(groups) * (1 if few else 1.28) + 2.4
        picture = figure_class(figsize=(WIDTH_IN, height), layout="constrained")
        above, below = picture.subfigures(2, 1, height_ratios=(height - 2.0, 2.0))
        picture.suptitle(title, x=0.01, ha="left", fontsize=10, color=colors.ink)
        axes = above.subplots(len(groups), n_columns, squeeze=False)
        for line, group in zip(axes, groups, strict=True):
            for ax in line:
                ax.set_axis_off()
            for ax, k in zip(line, group, strict=False):
                _draw(ax, images[k])
                if not few:
                    ax.set_title(_name(labels[k], names), fontsize=6, color=colors.quiet, pad=2)
            if few and group:
                _label(line[0], _name(labels[group[0]], names), colors)
        _balance(below, counts, names, colors, named=few)
        return as_png(picture)


def _rows_of_classes(labels: Sequence[int]) -> list[list[int]]:
    return [[k for k, label in enumerate(labels) if label == found] for found in sorted(set(labels))]


def _rows_of(n_columns: int, n: int) -> list[list[int]]:
    return [list(range(start, min(start + n_columns, n))) for start in range(0, n, n_columns)]


def _draw(ax: Any, image: np.ndarray) -> None:
    shown = image.transpose(1, 2, 0) if image.shape[0] == 3 else image[0]
    ax.imshow(np.clip(shown, 0, 1), cmap="gray", vmin=0, vmax=1, interpolation="nearest")


def _label(ax: Any, text: str, colors: Theme) -> None:
    ax.text(-0.15, 0.5, text, transform=ax.transAxes, ha="right", va="center", fontsize=8, color=colors.ink)


def _name(label: int, names: Sequence[str]) -> str:
    return (names[label] if label < len(names) else "") or str(label)


def _balance(figure: Any, counts: Sequence[int], names: Sequence[str], colors: Theme, *, named: bool) -> None:
    """Bars by class where they have names, else the classes from the rarest to the most frequent."""
    ax = figure.subplots()
    ax.grid(axis="y", linewidth=0.6)
    ax.set_axisbelow(True)
    ax.tick_params(length=0)
    if named:
        ax.bar(range(len(counts)), counts, color=colors.first, width=0.7)
        ax.set_xticks(range(len(counts)), [_name(k, names) for k in range(len(counts))])
        for k, count in enumerate(counts):
            ax.text(k, count, f"{count:,}", ha="center", va="bottom", fontsize=7, color=colors.quiet)
    else:
        ax.stairs(sorted(counts), baseline=0, fill=True, color=colors.first)
        ax.set_xlabel(f"{len(counts):,} classes, from the rarest to the most frequent")
    ax.set_ylim(0, max(1, *counts) * 1.15)
    ax.yaxis.get_major_locator().set_params(integer=True, nbins=5)
    ax.yaxis.set_major_formatter("{x:,.0f}")
    ax.set_ylabel("pictures")
