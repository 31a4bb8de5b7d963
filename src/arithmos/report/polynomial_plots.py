"""The figures of polynomials drawn: curves, levels, ranges, attribution, the front of an allocation, a sweep."""

from __future__ import annotations

from collections.abc import Callable
from itertools import groupby
from typing import Any

from arithmos.extras import require
from arithmos.report.canvas import WIDTH_IN, Theme, framed, ramp, rows_canvas, with_bars
from arithmos.report.figure import Figure

MOST_NAMED = 40
"""A legend has at most so many names; more are told apart by the table alone."""


def _draw_curves(figure_class: Any, figure: Figure, colors: Theme) -> Any:
    panels = {key: list(rows) for key, rows in groupby(figure.rows, key=lambda row: row[:2])}
    names = list(dict.fromkeys(name for name, _ in panels))
    lines = -(-len(names) // 4) if len(names) <= MOST_NAMED else 0
    picture = figure_class(figsize=(WIDTH_IN, 7.2 + 0.17 * lines), layout="constrained")
    axes = picture.subplots(3, 2)
    shades = dict(zip(names, ramp(colors, len(names)), strict=True))
    for (name, axis), rows in panels.items():
        color = shades[name]
        x, sign, relu, low, high = ([row[k] for row in rows] for k in range(2, 7))
        top, middle, bottom = axes[:, 0 if axis == "linear" else 1]
        top.plot(x, sign, color=color, linewidth=1.1, label=name if axis == "linear" else None)
        middle.plot(x, relu, color=color, linewidth=1.1)
        if axis == "linear":
            bottom.fill_between(x, low, high, color=color, linewidth=0.4)
        else:
            bottom.plot(x, [max(-a, b) for a, b in zip(low, high, strict=True)], color=color, linewidth=1.1)
    _frame_curves(axes, figure, colors)
    if lines:
        picture.legend(loc="outside lower center", frameon=False, ncols=4)
    return picture


def _frame_curves(axes: Any, figure: Figure, colors: Theme) -> None:
    """Names, scales and the exact ReLU."""
    smallest = min(row[2] for row in figure.rows if row[1] == "logarithmic")
    for ax, label in zip(axes[:, 0], ("sign p(x)", "ReLU r(x)", "error r(x) − max(x, 0)"), strict=True):
        ax.set_ylabel(label)
        ax.set_xlim(-1, 1)
    for ax, label in zip(axes[:, 1], ("", "", "largest |error|"), strict=True):
        ax.set_ylabel(label)
        ax.set_xscale("log", base=2)
        ax.set_xlim(smallest, 1)
    for ax in axes[1:, 1]:
        ax.set_yscale("log", base=2)
    axes[1, 0].plot([-1, 0, 1], [0, 0, 1], color=colors.ink, linewidth=0.8, linestyle=(0, (4, 3)))
    axes[1, 1].plot([smallest, 1], [smallest, 1], color=colors.ink, linewidth=0.8, linestyle=(0, (4, 3)))
    axes[1, 1].set_ylim(smallest, 2)
    least = min(max(-row[5], row[6]) for row in figure.rows if row[1] == "logarithmic")
    axes[2, 1].set_ylim(bottom=max(least, smallest**1.25))
    for ax in axes.ravel():
        framed(ax)
    for ax in axes[2]:
        ax.set_xlabel("x = u / B")


def _draw_levels(figure_class: Any, figure: Figure, colors: Theme) -> Any:
    picture, axes = rows_canvas(figure_class, figure, 2, n_names=2)
    return with_bars(picture, axes, figure, colors, {2: "levels", 3: "multiplications"})


def _draw_ranges(figure_class: Any, figure: Figure, colors: Theme) -> Any:
    picture, (left, right) = rows_canvas(figure_class, figure, 2)
    for y, (_, bound, low, high, used, raised) in enumerate(figure.rows):
        soft, strong = (colors.second_soft, colors.second) if raised == "yes" else (colors.first_soft, colors.first)
        if bound != "":
            left.barh(y, 2 * bound, left=-bound, height=0.72, color=soft)
        if "" not in (low, high):
            left.barh(y, high - low, left=low, height=0.3, color=strong)
        if used != "":
            right.hlines(y, 0, used, color=soft, linewidth=2)
            right.plot(used, y, "o", markersize=4, color=strong)
            right.text(max(used, 100), y, f"  {used:.0f} %", va="center", fontsize=7, color=colors.quiet)
    right.axvline(100, color=colors.quiet, linewidth=0.8, linestyle=(0, (4, 3)))
    right.set_xlim(0, max([100.0, *(row[4] for row in figure.rows if row[4] != "")]) * 1.12)
    left.set_xlabel("what the polynomial reads; pale: from −B to B")
    right.set_xlabel("largest magnitude [% of B]")
    return picture


def _draw_attribution(figure_class: Any, figure: Figure, colors: Theme) -> Any:
    picture, (left, right) = rows_canvas(figure_class, figure, 2)
    for ax, columns, soft, strong in (
        (left, (1, 2, 3), colors.first_soft, colors.first),
        (right, (4, 4, 5), colors.second_soft, colors.second),
    ):
        shown = [row[k] for row in figure.rows for k in columns if row[k] != "" and row[k] > 0]
        least = min(shown, default=1e-6) / 2  # a logarithmic axis has no zero
        for y, row in enumerate(figure.rows):
            dot, bar = (max(row[k], least) for k in columns[:2])
            ax.hlines(y, dot, bar, color=soft, linewidth=6)
            ax.plot(dot, y, "o", markersize=4, color=strong)
            if row[columns[2]] != "":
                ax.plot(max(row[columns[2]], least), y, "|", markersize=9, color=colors.ink)
        ax.set_xscale("log")
        ax.set_xlim(least, max(shown, default=1.0) * 2)
        _label_logarithms(ax.xaxis, least, max(shown, default=1.0))
        ax.minorticks_off()
    left.set_xlabel("of the margin: |Σ J e| (dot) to Σ |J||e| (bar); certificate (tick)")
    right.set_xlabel("largest |e|: seen (dot), certified (tick)")
    return picture


def _draw_front(figure_class: Any, figure: Figure, colors: Theme) -> Any:
    picture = figure_class(figsize=(WIDTH_IN, 3.2), layout="constrained")
    left, right = picture.subplots(1, 2)
    plans = [row for row in figure.rows if row[5] == "no"] or list(figure.rows)
    left.plot([r[0] for r in plans], [r[2] for r in plans], color=colors.first, linewidth=1.1, label="predicted")
    for ax, column, color, label in (
        (left, 3, colors.second, "measured"),
        (right, 4, colors.first, None),
    ):
        known = [row for row in figure.rows if row[column] != ""]
        ax.plot([r[0] for r in known], [r[column] for r in known], "o", markersize=4, color=color, label=label)
        ringed = [row for row in known if row[5] == "yes"]
        ax.plot([r[0] for r in ringed], [r[column] for r in ringed], "o", markersize=9, fillstyle="none", color=color)
    lost = [row for row in figure.rows if row[3] == ""]
    left.plot([r[0] for r in lost], [r[2] for r in lost], "x", markersize=6, color=colors.second)
    left.set_yscale("log")
    predicted = [row[2] for row in figure.rows]
    _label_logarithms(left.yaxis, min(predicted), max(predicted))
    for ax, label in ((left, "rms deviation of the outputs"), (right, "top-1 [%]")):
        framed(ax)
        ax.set_xlabel("levels of all polynomials on the longest path")
        ax.set_ylabel(label)
    left.legend(frameon=False)
    return picture


def _draw_sweep(figure_class: Any, figure: Figure, colors: Theme) -> Any:
    picture = figure_class(figsize=(WIDTH_IN, 5.2), layout="constrained")
    axes = picture.subplots(2, 2, sharex="col", sharey="row")
    for column, k, label in ((0, 0, "alpha"), (1, 2, "levels of the network")):
        top, bottom = axes[:, column]
        series = (
            (top, 4, colors.first, "top-1"),
            (top, 5, colors.second, "agreement"),
            (bottom, 6, colors.first, None),
        )
        for ax, y, color, name in series:
            known = [row for row in figure.rows if row[y] != ""]
            style = {"marker": "o", "markersize": 4, "linewidth": 1.1, "color": color}
            ax.plot([row[k] for row in known], [row[y] for row in known], label=name, **style)
        lost = [row[k] for row in figure.rows if row[8]]
        low = min((row[y] for row in figure.rows for y in (4, 5) if row[y] != ""), default=0.0)
        top.plot(lost, [low] * len(lost), "x", markersize=6, color=colors.ink)
        if (exact := next((row[7] for row in figure.rows if row[7] != ""), None)) is not None:
            top.axhline(exact, color=colors.quiet, linewidth=0.8, linestyle=(0, (4, 3)), label="exact top-1")
        bottom.set_yscale("log")
        bottom.set_xlabel(label)
        if column == 0:
            bottom.set_xticks([row[k] for row in figure.rows])
        for ax in (top, bottom):
            framed(ax)
    axes[0, 0].set_ylabel("per cent of the images")
    axes[1, 0].set_ylabel("rms deviation of the outputs")
    axes[0, 1].legend(frameon=False, loc="lower right")
    return picture


def _label_logarithms(axis: Any, least: float, most: float) -> None:
    """Labels at 1, 2 and 5 where the axis has few powers of ten."""
    if most < 100 * least:
        ticker = require("matplotlib.ticker", "report")
        axis.set_major_locator(ticker.LogLocator(subs=(1, 2, 5)))
        axis.set_major_formatter(ticker.StrMethodFormatter("{x:g}"))


DRAWN: dict[str, Callable[[Any, Figure, Theme], Any]] = {
    "curves": _draw_curves,
    "levels": _draw_levels,
    "ranges": _draw_ranges,
    "attribution": _draw_attribution,
    "front": _draw_front,
    "sweep": _draw_sweep,
}
