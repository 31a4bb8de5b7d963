"""The figures of weights of few bits drawn."""

from __future__ import annotations

from collections.abc import Callable
from itertools import groupby
from typing import Any

from arithmos.report.canvas import WIDTH_IN, Theme, labelled_logarithms, rows_canvas, shortened
from arithmos.report.figure import Figure


def _draw_weights(figure_class: Any, figure: Figure, colors: Theme) -> Any:
    panels = [(name, list(rows)) for name, rows in groupby(figure.rows, key=lambda row: row[0])]
    n_columns = min(4, len(panels))
    n_lines = -(-len(panels) // n_columns)
    picture = figure_class(figsize=(WIDTH_IN, 1.5 * n_lines + 0.2), layout="constrained")
    axes = picture.subplots(n_lines, n_columns, squeeze=False).ravel()
    for ax, (name, rows) in zip(axes, panels, strict=False):
        before, after = ([row for row in rows if row[1] == kind] for kind in ("before", "after"))
        _stems(ax, after, colors)
        _outline(ax, before, colors)
        ax.set_ylim(bottom=0)
        ax.set_yticks([])
        edges = [row[2] for row in after] + [row[3] for row in after]
        ticks = sorted({min(edges), 0, max(edges)})
        ax.set_xticks(ticks, [f"{x:.3g}".replace("-", "−") for x in ticks])
        ax.tick_params(length=2, labelsize=7)
        zero = sum(row[4] for row in after if row[2] == 0 == row[3]) / sum(row[4] for row in after)
        ax.set_title(shortened(name, 22), fontsize=8, loc="left", color=colors.ink)
        if zero:
            ax.set_title(f"{100 * zero:.0f} %", fontsize=7, loc="right", color=colors.quiet)
    for ax in axes[len(panels) :]:
        ax.set_visible(False)
    return picture


def _stems(ax: Any, rows: list[tuple[Any, ...]], colors: Theme) -> None:
    if all(row[2] == row[3] for row in rows):
        xs, ys = [(row[2] + row[3]) / 2 for row in rows], [row[5] for row in rows]
        ax.vlines(xs, 0, ys, color=colors.second, linewidth=2 if len(rows) <= 20 else 1.2)
        ax.plot(xs, ys, "o", markersize=3 if len(rows) <= 20 else 1.8, color=colors.second)
    else:
        low, high = _steps(rows, 0.5)
        ax.fill_between(low, high, step="post", color=colors.second_soft, linewidth=0)


def _outline(ax: Any, rows: list[tuple[Any, ...]], colors: Theme) -> None:
    ax.plot(*_steps(rows, 0.0), drawstyle="steps-post", color=colors.first, linewidth=1)


def _steps(rows: list[tuple[Any, ...]], margin: float) -> tuple[list[float], list[float]]:
    """Left edges and heights of bins, with zeros where bins are missing, and a last edge; margin: to either side."""
    xs: list[float] = []
    ys: list[float] = []
    for row in rows:
        if xs and row[2] - margin > xs[-1]:
            ys[-1] = 0.0
        if not xs or row[2] - margin != xs[-1]:
            xs.append(row[2] - margin)
            ys.append(0.0)
        ys[-1] = row[5]
        xs.append(row[3] + margin)
        ys.append(0.0)
    return [xs[0], *xs], [0.0, *ys]


def _draw_fit(figure_class: Any, figure: Figure, colors: Theme) -> Any:
    picture, (left, right) = rows_canvas(figure_class, figure, 2)
    known = [(y, row[5]) for y, row in enumerate(figure.rows) if row[5] != ""]
    least = min((error for _, error in known if error > 0), default=1e-3) / 2  # a logarithmic axis has no zero
    for y, error in known:
        left.hlines(y, least / 1.3, max(error, least), color=colors.first_soft, linewidth=2)
        left.plot(max(error, least), y, "o", markersize=4, color=colors.first)
        left.text(max(error, least), y, f"  {error:.2g}", va="center", fontsize=7, color=colors.quiet)
    left.set_xscale("log")
    labelled_logarithms(left, least / 1.3, 1.6 * max([2 * least, *(error for _, error in known)]))
    left.set_xlabel("relative error")
    zeros = [(y, row[6]) for y, row in enumerate(figure.rows) if row[6] != ""]
    right.barh([y for y, _ in zeros], [share for _, share in zeros], height=0.5, color=colors.second)
    for y, share in zeros:
        right.text(share, y, f" {share:.1f}", va="center", fontsize=7, color=colors.quiet)
    right.set_xlim(0, max([1.0, *(share for _, share in zeros)]) * 1.15)
    right.set_xlabel("zeros [%]")
    return picture


DRAWN: dict[str, Callable[[Any, Figure, Theme], Any]] = {"quantized_weights": _draw_weights, "fit": _draw_fit}
