"""The sheet that figures are drawn on, in the only file that loads matplotlib: no window, no global state, one look."""

from __future__ import annotations

import io
import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from arithmos.extras import require
from arithmos.report.figure import Figure

WIDTH_IN = 9.0
ROW_IN = 0.19
DPI = 144


@dataclass(frozen=True, slots=True)
class Theme:
    """Colours of one look of the page; `paper` is the page's own background."""

    paper: str
    ink: str
    quiet: str
    rule: str
    first: str
    first_soft: str
    second: str
    second_soft: str


THEMES = {
    "light": Theme("#ffffff", "#1c2024", "#60646c", "#e0e1e6", "#0b68cb", "#b7d6f7", "#b45309", "#f5d3a8"),
    "dark": Theme("#16181c", "#edeef0", "#a5abb5", "#33373f", "#70b8ff", "#1f4a78", "#f5a742", "#6b4410"),
}


@contextmanager
def canvas(colors: Theme) -> Iterator[Any]:
    """matplotlib's Figure, in our style as long as the block runs."""
    matplotlib = require("matplotlib", "report")
    drawing = require("matplotlib.figure", "report")
    style = {
        "font.family": "DejaVu Sans",  # ships with matplotlib, so the picture does not depend on the machine's fonts
        "font.size": 8,
        "text.color": colors.ink,
        "axes.edgecolor": colors.rule,
        "axes.labelcolor": colors.quiet,
        "axes.facecolor": colors.paper,
        "figure.facecolor": colors.paper,
        "xtick.color": colors.quiet,
        "ytick.color": colors.ink,
        "grid.color": colors.rule,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.spines.left": False,
    }
    with matplotlib.rc_context(style):
        yield drawing.Figure


def as_png(picture: Any, dpi: int = DPI) -> bytes:
    """The bytes of a drawn figure, the same on every run."""
    buffer = io.BytesIO()
    picture.savefig(buffer, format="png", dpi=dpi, metadata={"Software": None})
    return buffer.getvalue()


def rows_canvas(figure_class: Any, figure: Figure, n_panels: int, n_names: int = 1) -> tuple[Any, list[Any]]:
    """A canvas with one line a row of numbers, its first n_names columns at the left, and panels side by side."""
    n = len(figure.rows)
    picture = figure_class(figsize=(WIDTH_IN, ROW_IN * n + 0.75), layout="constrained")
    axes = list(picture.subplots(1, n_panels, sharey=True, squeeze=False)[0])
    for ax in axes:
        ax.set_ylim(n - 0.4, -0.6)
        ax.grid(axis="x", linewidth=0.6)
        ax.set_axisbelow(True)
        ax.tick_params(length=0)
        ax.xaxis.set_label_position("top")
    axes[0].set_yticks(range(n), [shortened(", ".join(row[:n_names])) for row in figure.rows])
    return picture, axes


def framed(ax: Any) -> None:
    """A panel with a grid behind what is drawn, and no ticks."""
    ax.grid(linewidth=0.6)
    ax.set_axisbelow(True)
    ax.tick_params(length=0)
    ax.minorticks_off()


def ramp(colors: Theme, n: int) -> list[Any]:
    """n colours in order, each readable on the paper; one is the theme's first."""
    if n == 1:
        return [colors.first]
    low, high = (0.0, 0.85) if colors is THEMES["light"] else (0.2, 1.0)
    scale = require("matplotlib", "report").colormaps["viridis"]
    return [scale(high - (high - low) * k / (n - 1)) for k in range(n)]


def shortened(name: str, limit: int = 34) -> str:
    """The name, or its end: the end is what tells layers apart."""
    return name if len(name) <= limit else "…" + name[1 - limit :]


def labelled_logarithms(ax: Any, low: float, high: float) -> None:
    """A horizontal axis of logarithms from low to high, with decimals at 1, 2 and 5, at 1 alone over many powers."""
    steps = (1, 2, 5) if high < 1000 * low else (1,)
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    ticks = [t for power in powers for step in steps if low <= (t := step * 10.0**power) <= high]
    ax.set_xlim(low, high)
    ax.set_xticks(ticks, [f"{t:g}" for t in ticks])
    ax.minorticks_off()


def with_bars(picture: Any, axes: list[Any], figure: Figure, colors: Theme, columns: Mapping[int, str]) -> Any:
    """Two panels of bars with their numbers; columns: which column each panel shows, and its label."""
    for ax, (column, label), color in zip(axes, columns.items(), (colors.first, colors.second), strict=True):
        ax.barh(range(len(figure.rows)), [row[column] for row in figure.rows], height=0.6, color=color)
        top = max(row[column] for row in figure.rows)
        for y, row in enumerate(figure.rows):
            ax.text(row[column], y, f" {row[column]:,}", va="center", fontsize=7, color=colors.quiet)
        ax.set_xlim(0, (top or 1) * 1.2)
        ax.xaxis.set_major_locator(_few_ticks())
        ax.xaxis.set_major_formatter(_engineering())
        ax.set_xlabel(label)
    return picture


def _few_ticks() -> Any:
    return require("matplotlib.ticker", "report").MaxNLocator(4)


def _engineering() -> Any:
    return require("matplotlib.ticker", "report").EngFormatter(sep="")
