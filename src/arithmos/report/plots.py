"""The figures drawn with matplotlib, in the only file that loads it: no window, no global state, one look."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import groupby
from typing import Any

from arithmos.extras import require
from arithmos.report.figures import Figure

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


def png(figure: Figure, theme: str = "light") -> bytes:
    """The figure as PNG bytes. Raises MissingTool where matplotlib is not installed."""
    colors = THEMES[theme]
    with canvas(colors) as figure_class:
        return as_png(DRAWN[figure.name](figure_class, figure, colors))


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


def as_png(picture: Any) -> bytes:
    """The bytes of a drawn figure, the same on every run."""
    buffer = io.BytesIO()
    picture.savefig(buffer, format="png", dpi=DPI, metadata={"Software": None})
    return buffer.getvalue()


def _rows_canvas(figure_class: Any, figure: Figure, n_panels: int) -> tuple[Any, list[Any]]:
    """A canvas with one line a row of numbers, its labels at the left, and panels side by side."""
    n = len(figure.rows)
    picture = figure_class(figsize=(WIDTH_IN, ROW_IN * n + 0.75), layout="constrained")
    axes = list(picture.subplots(1, n_panels, sharey=True, squeeze=False)[0])
    for ax in axes:
        ax.set_ylim(n - 0.4, -0.6)
        ax.grid(axis="x", linewidth=0.6)
        ax.set_axisbelow(True)
        ax.tick_params(length=0)
        ax.xaxis.set_label_position("top")
    axes[0].set_yticks(range(n), [_shortened(str(row[0])) for row in figure.rows])
    return picture, axes


def _shortened(name: str, limit: int = 34) -> str:
    """The name, or its end: the end is what tells layers apart."""
    return name if len(name) <= limit else "…" + name[1 - limit :]


def _draw_widths(figure_class: Any, figure: Figure, colors: Theme) -> Any:
    picture, (ax,) = _rows_canvas(figure_class, figure, 1)
    for kind, soft, strong in (
        ("accumulator", colors.first_soft, colors.first),
        ("grid", colors.second_soft, colors.second),
    ):
        chosen = [(y, row) for y, row in enumerate(figure.rows) if row[2] == kind]
        ax.barh([y for y, _ in chosen], [row[5] for _, row in chosen], height=0.72, color=soft, label=f"{kind}, proven")
        ax.plot(
            [row[8] for _, row in chosen],
            [y for y, _ in chosen],
            "o",
            markersize=4,
            color=strong,
            label=f"{kind}, observed",
        )
    top = max(row[5] for row in figure.rows)
    ax.set_xticks([t for t in (0, 4, 8, 16, 24, 32, 40, 48, 64) if t <= top + 7])
    ax.set_xlim(0, top + 1)
    ax.set_xlabel("bits")
    picture.legend(loc="outside lower center", frameon=False, ncols=4)
    return picture


def _draw_error(figure_class: Any, figure: Figure, colors: Theme) -> Any:
    picture, (left, right) = _rows_canvas(figure_class, figure, 2)
    known = [(y, row) for y, row in enumerate(figure.rows) if row[2] != ""]
    left.barh([y for y, _ in known], [row[2] for _, row in known], height=0.5, color=colors.first)
    for y, row in enumerate(figure.rows):
        text = f"{row[2]:.1f}" if row[2] != "" else "nothing lost"
        left.text(row[2] if row[2] != "" else 0, y, f" {text}", va="center", fontsize=7, color=colors.quiet)
    left.set_xlabel("signal-to-noise ratio [dB]")
    left.set_xlim(0, max((row[2] for _, row in known), default=1) * 1.12)
    floor = 0.05  # a logarithmic axis has no zero; half a step is where pure rounding ends
    on_grid = [(y, max(row[3], floor)) for y, row in enumerate(figure.rows) if row[3] != ""]
    ys, steps = [y for y, _ in on_grid], [x for _, x in on_grid]
    right.hlines(ys, floor, steps, color=colors.second_soft, linewidth=2)
    right.plot(steps, ys, "o", markersize=4, color=colors.second)
    right.axvline(0.5, color=colors.quiet, linewidth=0.8, linestyle=(0, (4, 3)))
    right.set_xscale("log")
    top = max(steps, default=1.0) * 1.5
    right.set_xlim(floor, max(top, 1))
    right.set_xticks(
        ticks := [t for t in (0.1, 0.5, 1, 2, 5, 10, 50, 100, 1000) if t <= max(top, 1)], [f"{t:g}" for t in ticks]
    )
    right.minorticks_off()
    right.set_xlabel("largest error [steps], dashed: 0.5")
    return picture


def _draw_cost(figure_class: Any, figure: Figure, colors: Theme) -> Any:
    picture, axes = _rows_canvas(figure_class, figure, 2)
    for ax, column, color, label in zip(
        axes, (2, 3), (colors.first, colors.second), ("multiply-accumulates", "parameters"), strict=True
    ):
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


def _draw_histograms(figure_class: Any, figure: Figure, colors: Theme, *, color: str, logarithmic: bool) -> Any:
    panels = [(name, list(rows)) for name, rows in groupby(figure.rows, key=lambda row: row[0])]
    n_columns = min(4, len(panels))
    n_lines = -(-len(panels) // n_columns)
    picture = figure_class(figsize=(WIDTH_IN, 1.45 * n_lines + 0.2), layout="constrained")
    axes = picture.subplots(n_lines, n_columns, squeeze=False).ravel()
    for ax, (name, rows) in zip(axes, panels, strict=False):
        edges = [row[1] for row in rows] + [rows[-1][2] + 1]
        ax.stairs([row[3] for row in rows], edges, fill=True, color=color, baseline=0.5 if logarithmic else 0)
        if logarithmic:
            ax.set_yscale("log")
            ax.set_ylim(bottom=0.5)
        ax.set_title(_shortened(name, 26), fontsize=8, loc="left", color=colors.ink)
        ax.set_xlim(edges[0], edges[-1])
        ax.set_xticks(
            [x for x in (edges[0], 0, edges[-1] - 1) if x in (edges[0], edges[-1] - 1) or 0.2 < _share(x, edges) < 0.8]
        )
        ax.set_yticks([])
        ax.minorticks_off()
        ax.tick_params(length=2, labelsize=7)
    for ax in axes[len(panels) :]:
        ax.set_visible(False)
    return picture


def _share(x: int, edges: list[int]) -> float:
    return (x - edges[0]) / max(edges[-1] - 1 - edges[0], 1)


def _draw_weights(figure_class: Any, figure: Figure, colors: Theme) -> Any:
    return _draw_histograms(figure_class, figure, colors, color=colors.first, logarithmic=False)


def _draw_activations(figure_class: Any, figure: Figure, colors: Theme) -> Any:
    return _draw_histograms(figure_class, figure, colors, color=colors.second, logarithmic=True)


DRAWN: dict[str, Callable[[Any, Figure, Theme], Any]] = {
    "widths": _draw_widths,
    "error": _draw_error,
    "weights": _draw_weights,
    "activations": _draw_activations,
    "cost": _draw_cost,
}
