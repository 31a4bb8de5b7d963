"""The figures of a sweep drawn."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import groupby
from typing import Any

import numpy as np

from arithmos.extras import require
from arithmos.report.canvas import WIDTH_IN, Theme, framed, labelled_logarithms, ramp, rows_canvas, shortened
from arithmos.report.figure import Figure
from arithmos.report.runs import bits_of

NEAR_POINTS = 6.0
"""A second panel shows what is at most so many percentage points below the float network, or below the best."""

LEGEND_IN = 0.18
"""Height of a line of a legend."""

MARKERS = "osD^vP*X"
DASHES = (0, (4, 3))


def _draw_by_bits(figure_class: Any, figure: Figure, colors: Theme) -> Any:
    accuracies = [x for row in figure.rows for x in (row[2], row[4]) if x != ""]
    picture, ((whole, near),) = _panels(figure_class, accuracies, [row[3] for row in figure.rows], colors, 1)
    shades = _shades(colors, [row[0] for row in figure.rows])
    for name, group in groupby(figure.rows, key=lambda row: row[0]):
        rows = list(group)
        in_integers = [row for row in rows if row[4] != ""]
        for ax in filter(None, (whole, near)):
            _line(ax, [r[1] for r in rows], [r[2] for r in rows], shades[name], name if ax is whole else None)
            xs, ys = [r[1] for r in in_integers], [r[4] for r in in_integers]
            ax.plot(xs, ys, "s", markersize=7, fillstyle="none", markeredgewidth=0.9, color=shades[name])
    for ax in filter(None, (whole, near)):
        ax.set_xlabel("bits")
        ax.set_xticks(sorted({row[1] for row in figure.rows}))
    _legend(picture, shades)
    return picture


def _draw_by_scalar(figure_class: Any, figure: Figure, colors: Theme) -> Any:
    names = list(dict.fromkeys(row[0] for row in figure.rows))
    accuracies, floats = ([row[k] for row in figure.rows] for k in (3, 4))
    picture, axes = _panels(figure_class, accuracies, floats, colors, len(names))
    shades = _shades(colors, sorted({row[1] for row in figure.rows}))
    for (name, line), (whole, near) in zip(groupby(figure.rows, key=lambda r: r[0]), axes, strict=True):
        for bits, group in groupby(line, key=lambda row: row[1]):
            rows = list(group)
            for ax in filter(None, (whole, near)):
                _line(ax, [r[2] for r in rows], [r[3] for r in rows], shades[bits])
        if len(names) > 1:
            whole.set_title(shortened(name, 60), fontsize=8, loc="left", color=colors.ink)
    for ax in filter(None, axes[-1]):
        ax.set_xlabel("scalar")
    _legend(picture, {bits_of(f"{bits:g}"): shade for bits, shade in shades.items()}, n_columns=8)
    return picture


def _draw_heat_map(figure_class: Any, figure: Figure, colors: Theme) -> Any:
    names = list(dict.fromkeys(row[0] for row in figure.rows))
    widths, scalars = (sorted({row[k] for row in figure.rows}) for k in (1, 2))
    cells = {row[:3]: row[3] for row in figure.rows}
    least, most = min(cells.values()), max(cells.values())
    height = len(names) * (0.3 * len(widths) + 0.35) + 0.5
    picture = figure_class(figsize=(WIDTH_IN, height), layout="constrained")
    axes = picture.subplots(len(names), 1, squeeze=False, sharex=True)[:, 0]
    size = min(7.5, 110 / len(scalars))
    for ax, name in zip(axes, names, strict=True):
        grid = np.array([[cells.get((name, bits, x), np.nan) for x in scalars] for bits in widths])
        ax.imshow(grid, aspect="auto", cmap="viridis", vmin=least, vmax=max(most, least + 1e-9))
        ax.grid(visible=False)
        for y, line in enumerate(grid):
            for x, value in enumerate(line):
                dark = value < (least + most) / 2
                if not np.isnan(value) and size > 3:
                    ink = "#ffffff" if dark else "#000000"
                    ax.text(x, y, f"{value:.1f}", ha="center", va="center", fontsize=size, color=ink)
            if not np.isnan(line).all():
                ax.add_patch(_frame(int(np.nanargmax(line)), y, colors))
        ax.set_yticks(range(len(widths)), [f"{bits:g}" for bits in widths])
        ax.set_ylabel("bits")
        ax.tick_params(length=0)
        if len(names) > 1:
            ax.set_title(shortened(name, 60), fontsize=8, loc="left", color=colors.ink)
    every = -(-len(scalars) // 24)
    axes[-1].set_xticks(range(0, len(scalars), every), [f"{x:g}" for x in scalars[::every]])
    axes[-1].set_xlabel("scalar")
    return picture


def _draw_layer_errors(figure_class: Any, figure: Figure, colors: Theme) -> Any:
    layers = list(dict.fromkeys(row[0] for row in figure.rows))
    at = {layer: y for y, layer in enumerate(layers)}
    one_a_layer = Figure(figure.name, "", "", (), tuple((layer,) for layer in layers))
    picture, (ax,) = rows_canvas(figure_class, one_a_layer, 1)
    runs = list(dict.fromkeys(row[1:3] for row in figure.rows))
    shades = _shades(colors, runs)
    least = min((row[3] for row in figure.rows if row[3] > 0), default=1e-3) / 2  # a logarithmic axis has no zero
    for run, shade in shades.items():
        known = [(max(row[3], least), at[row[0]]) for row in figure.rows if row[1:3] == run]
        is_thick = any(row[1:3] == run and row[4] == "yes" for row in figure.rows)
        ax.plot(*zip(*known, strict=True), "o-", markersize=4, linewidth=2.2 if is_thick else 0.9, color=shade)
    ax.set_xscale("log")
    errors = [max(row[3], least) for row in figure.rows]
    labelled_logarithms(ax, min(errors) / 1.3, max(errors) * 1.3)
    ax.set_xlabel("relative error")
    _legend(picture, {name: shade for (name, _), shade in shades.items()})
    return picture


def _draw_sparsity(figure_class: Any, figure: Figure, colors: Theme) -> Any:
    picture = figure_class(figsize=(WIDTH_IN, 4.2), layout="constrained")
    ax = picture.subplots()
    names = list(dict.fromkeys(row[0] for row in figure.rows))
    widths = sorted({row[1] for row in figure.rows}, key=lambda bits: (len(bits), bits))
    shades = _shades(colors, widths)
    for (name, bits), group in groupby(figure.rows, key=lambda row: row[:2]):
        rows = list(group)
        marker = MARKERS[names.index(name) % len(MARKERS)]
        _line(ax, [r[3] for r in rows], [r[4] for r in rows], shades[bits], marker=marker)
    ringed = [row for row in figure.rows if row[6] == "yes"]
    ring = {"markersize": 10, "fillstyle": "none", "markeredgewidth": 0.9, "color": colors.ink}
    ax.plot([r[3] for r in ringed], [r[4] for r in ringed], "o", **ring)
    _float_lines(ax, [row[5] for row in figure.rows], colors)
    framed(ax)
    ax.set_xlabel("zeros [%]")
    ax.set_ylabel("top-1 [%]")
    picture.draw_without_rendering()
    in_order = sorted(figure.rows, key=lambda row: row[6] == "no")
    _named_points(ax, [(f"{r[2]:g}", r[3], r[4], shades[r[1]]) for r in in_order])
    shown = [ax.plot([], [], "o-", color=shades[b], markersize=4, linewidth=1.1, label=bits_of(b))[0] for b in widths]
    if len(names) > 1:
        marks = [(name, MARKERS[k % len(MARKERS)]) for k, name in enumerate(names)]
        shown += [ax.plot([], [], m, color=colors.quiet, markersize=4, linestyle="", label=n)[0] for n, m in marks]
    n_columns = len(shown) if len(shown) <= 6 else 4
    picture.legend(handles=_by_lines(shown, n_columns), loc="outside lower center", frameon=False, ncols=n_columns)
    return picture


def _draw_size(figure_class: Any, figure: Figure, colors: Theme) -> Any:
    accuracies, floats = ([row[k] for row in figure.rows] for k in (2, 3))
    picture, (panels,) = _panels(figure_class, accuracies, floats, colors, 1)
    shades = _shades(colors, [row[0] for row in figure.rows])
    best = sorted((row[1], row[2]) for row in figure.rows if row[5] == "yes")
    for ax in filter(None, panels):
        ax.step(*zip(*best, strict=True), where="post", color=colors.quiet, linewidth=1.1, zorder=1)
        for name, shade in shades.items():
            rows = [row for row in figure.rows if row[0] == name]
            ax.plot([r[1] for r in rows], [r[2] for r in rows], "o", markersize=3.5, alpha=0.75, color=shade)
        ax.set_xlabel("bits per weight")
    _legend(picture, shades, line="")
    return picture


def _draw_times(figure_class: Any, figure: Figure, colors: Theme) -> Any:
    one_line = len({row[0] for row in figure.rows}) == 1
    named = [(bits_of(row[1]) if one_line else f"{row[0]}, {bits_of(row[1])}", *row[1:]) for row in figure.rows]
    shown = Figure(figure.name, "", "", (), tuple(named))
    picture, axes = rows_canvas(figure_class, shown, 2)
    sides = (
        (3, colors.first, colors.first_soft, "seconds"),
        (6, colors.second, colors.second_soft, "peak memory [MiB]"),
    )
    for ax, (column, strong, soft, said) in zip(axes, sides, strict=True):
        known = [(y, *row[column : column + 3]) for y, row in enumerate(figure.rows) if row[column] != ""]
        for y, middle, least, most in known:
            ax.hlines(y, least, most, color=soft, linewidth=4)
            ax.plot(middle, y, "o", markersize=4, color=strong)
            said_middle = f"  {middle:,.3g}" if middle < 1000 else f"  {middle:,.0f}"
            ax.text(most, y, said_middle, va="center", fontsize=7, color=colors.quiet)
        ax.set_xlim(0, (max((row[3] for row in known), default=0.0) or 1.0) * 1.15)
        ax.set_xlabel(said)
    return picture


def _panels(
    figure_class: Any, accuracies: Sequence[float], floats: Sequence[Any], colors: Theme, n: int
) -> tuple[Any, list[tuple[Any, Any]]]:
    """n lines of axes for top-1, the right one (None where it would show the same) near the float network."""
    exact = [x for x in floats if x != ""]
    top = max([*exact, *accuracies])
    floor = min(exact, default=top) - NEAR_POINTS
    columns = 2 if min(accuracies) < floor else 1
    picture = figure_class(figsize=(WIDTH_IN, 0.6 + (2.8 if n == 1 else 2.1) * n), layout="constrained")
    axes = picture.subplots(n, columns, squeeze=False, sharex=True)
    for line in axes:
        for ax in line:
            _float_lines(ax, exact, colors)
            framed(ax)
        line[0].set_ylabel("top-1 [%]")
        line[-1].margins(y=0.08)
        if columns == 2:
            line[1].set_ylim(floor, top + 0.5)
    return picture, [(line[0], line[1] if columns == 2 else None) for line in axes]


def _line(
    ax: Any, x: Sequence[float], y: Sequence[float], color: Any, name: str | None = None, marker: str = "o"
) -> None:
    ax.plot(x, y, marker=marker, markersize=4, linewidth=1.1, color=color, label=name)


def _float_lines(ax: Any, floats: Sequence[Any], colors: Theme) -> None:
    for exact in sorted({x for x in floats if x != ""}):
        ax.axhline(exact, color=colors.quiet, linewidth=0.8, linestyle=DASHES, zorder=1)


def _shades(colors: Theme, names: Sequence[Any]) -> dict[Any, Any]:
    """A colour for each name, in the order in which they first occur; two are the theme's own."""
    found = list(dict.fromkeys(names))
    return dict(zip(found, [colors.first, colors.second] if len(found) == 2 else ramp(colors, len(found)), strict=True))


def _legend(picture: Any, shades: dict[Any, Any], *, n_columns: int = 4, line: str = "-") -> None:
    """Names of colours below the picture; none where there is one alone."""
    if len(shades) < 2:
        return
    ax = picture.axes[0]
    style = {"marker": "o", "markersize": 4, "linewidth": 1.1, "linestyle": line}
    shown = [ax.plot([], [], color=shade, label=shortened(name, 60), **style)[0] for name, shade in shades.items()]
    n_columns = min(n_columns, max(1, 120 // (max(len(name) for name in shades) + 8)))
    picture.set_figheight(picture.get_figheight() + LEGEND_IN * -(-len(shown) // n_columns))
    picture.legend(handles=_by_lines(shown, n_columns), loc="outside lower center", frameon=False, ncols=n_columns)


def _by_lines(shown: Sequence[Any], n_columns: int) -> list[Any]:
    """Handles so that a legend, which fills its columns one after the other, reads line by line in their order."""
    return [shown[k] for column in range(n_columns) for k in range(column, len(shown), n_columns)]


def _named_points(ax: Any, points: Sequence[tuple[str, float, float, Any]]) -> None:
    """Names beside points (name, x, y, colour), those first that come first, where neither a point nor a name is."""
    taken = [tuple(ax.transData.transform(point[1:3])) for point in points]
    for k, (name, x, y, color) in enumerate(points):
        for offset in ((15, 9), (15, -9), (-15, -9), (-15, 9)):
            near = (taken[k][0] + offset[0], taken[k][1] + offset[1])
            if all(abs(near[0] - u) > 20 or abs(near[1] - v) > 11 for n, (u, v) in enumerate(taken) if n != k):
                taken.append(near)
                style = {"ha": "center", "va": "center", "fontsize": 6.5, "color": color}
                points_of = [72 / ax.figure.dpi * pixels for pixels in offset]
                ax.annotate(name, (x, y), points_of, textcoords="offset points", **style)
                break


def _frame(x: int, y: int, colors: Theme) -> Any:
    patches = require("matplotlib.patches", "report")
    return patches.Rectangle(
        (x - 0.5, y - 0.5), 1, 1, fill=False, edgecolor=colors.second, linewidth=1.6, clip_on=False
    )


DRAWN: dict[str, Callable[[Any, Figure, Theme], Any]] = {
    "accuracy_by_bits": _draw_by_bits,
    "accuracy_by_scalar": _draw_by_scalar,
    "bits_by_scalar": _draw_heat_map,
    "layer_errors": _draw_layer_errors,
    "sparsity": _draw_sparsity,
    "accuracy_by_size": _draw_size,
    "run_time": _draw_times,
}
