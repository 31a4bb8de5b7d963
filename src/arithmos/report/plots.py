"""The figures drawn: of integer networks here, of few bits, of sweeps and of polynomials in files of their own."""

from __future__ import annotations

from collections.abc import Callable
from itertools import groupby
from typing import Any

from arithmos.report import few_bits_plots, polynomial_plots, sweep_plots
from arithmos.report.canvas import DPI, THEMES, WIDTH_IN, Theme, as_png, canvas, rows_canvas, shortened, with_bars
from arithmos.report.figure import Figure


def png(figure: Figure, theme: str = "light", *, dpi: int = DPI) -> bytes:
    """The figure as PNG bytes, 9 inches wide. Raises MissingTool where matplotlib is not installed."""
    colors = THEMES[theme]
    with canvas(colors) as figure_class:
        return as_png(DRAWN[figure.name](figure_class, figure, colors), dpi)


def _draw_widths(figure_class: Any, figure: Figure, colors: Theme) -> Any:
    picture, (ax,) = rows_canvas(figure_class, figure, 1)
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
    picture, (left, right) = rows_canvas(figure_class, figure, 2)
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
    picture, axes = rows_canvas(figure_class, figure, 2)
    return with_bars(picture, axes, figure, colors, {2: "multiply-accumulates", 3: "parameters"})


def _draw_proof(figure_class: Any, figure: Figure, colors: Theme) -> Any:
    picture, axes = rows_canvas(figure_class, figure, 2, n_names=2)
    return with_bars(picture, axes, figure, colors, {3: "constraints", 4: "non-zeros, at most"})


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
        ax.set_title(shortened(name, 26), fontsize=8, loc="left", color=colors.ink)
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


DRAWN: dict[str, Callable[[Any, Figure, Theme], Any]] = (
    {
        "widths": _draw_widths,
        "error": _draw_error,
        "weights": _draw_weights,
        "activations": _draw_activations,
        "cost": _draw_cost,
        "proof": _draw_proof,
    }
    | few_bits_plots.DRAWN
    | polynomial_plots.DRAWN
    | sweep_plots.DRAWN
)
