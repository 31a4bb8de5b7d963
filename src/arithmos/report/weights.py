"""Weights before and after they are quantized, as histograms on one axis: steps of the layer's grid."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from arithmos.ir.graph import Graph
from arithmos.lower.choice import Choice, WeightGrid

BINS = 64
"""About so many bins span the levels, of 1/8 of a step at least; more different integers than this are binned too."""

MOST_STEPS = 256
"""Grids that reach further are shown on an axis from -1 to 1: a wide one, or one with a gap that differs by row."""


def weight_histograms(prepared: Graph, choice: Choice) -> list[dict[str, Any]]:
    """Each layer's weights before and after, by their size in steps of their row's grid, as JSON holds them.

    prepared: the float graph that `decide` returns with the choice. `before`: [[x, count], ...], weights from x to x +
    bin; `after`: [[x, count], ...], integers x to x + after_bin - 1; empty bins are left out. `spacing`: 2 where the
    grid has odd integers alone; `zeros`: share of integers that are 0. `unit`: "step", or "largest" where a grid goes
    further than MOST_STEPS: x is then in units of the layer's largest quantized weight, and bins of `after` from x on.
    """
    parameters = {node.output: node.inputs[1] for node in prepared.nodes if node.op in ("conv", "linear")}
    return [
        _histogram(name, prepared.constants[parameters.get(name, name)].astype(np.float64), grid)
        for name, grid in choice.weights.items()
    ]


def _histogram(name: str, real: np.ndarray, grid: WeightGrid) -> dict[str, Any]:
    steps = grid.steps.reshape(-1, *[1] * (real.ndim - 1))
    known = {
        "name": name,
        "levels": [grid.levels.lo, grid.levels.hi],
        "spacing": 2 if grid.odd else 1,
        "weights": int(real.size),
        "zeros": round(float(np.mean(grid.integers == 0)), 6),
    }
    if grid.levels.hi > MOST_STEPS:
        largest = float(np.abs(grid.integers * steps).max()) or float(np.abs(real).max()) or 1.0
        width = 2 / BINS
        counts = [_counts(x / largest, width, width / 2) for x in (real, grid.integers * steps)]
        return known | {"unit": "largest", "bin": width, "before": counts[0], "after": counts[1], "after_bin": width}
    width = max(1 / 8, 2.0 ** math.ceil(math.log2((grid.levels.hi - grid.levels.lo + 1) / BINS)))
    after_bin = 1 if len(np.unique(grid.integers)) <= BINS else max(1, int(width))
    before, after = _counts(real / steps, width, 0.5), _counts(grid.integers, after_bin, 0)
    return known | {"unit": "step", "bin": width, "before": before, "after": after, "after_bin": after_bin}


def _counts(x: np.ndarray, width: float, offset: float) -> list[list[float]]:
    """[[left edge, count], ...] of the bins [k width - offset, (k + 1) width - offset) that hold something.

    Half a step of offset for the real weights: those of a bin are then the ones that round to its integers.
    """
    found, counts = np.unique(np.floor((x + offset) / width).astype(np.int64), return_counts=True)
    edges = found * width - offset
    return [[float(edge), int(count)] for edge, count in zip(edges, counts, strict=True)]
