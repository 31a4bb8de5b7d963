"""Settling: steps by the rule of a prover that reads them off its own integers, on the calibration samples."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from arithmos.ir.border import to_integers
from arithmos.ir.graph import Graph
from arithmos.ir.interpret import interpret
from arithmos.ir.scale import as_float
from arithmos.lower.calibrate import Stats
from arithmos.lower.choose import choose
from arithmos.lower.grids import assign_grids
from arithmos.lower.lower import lower
from arithmos.lower.recipe import Recipe

ACCUMULATOR = ".acc"


def settle(prepared: Graph, stats: Stats, recipe: Recipe) -> Stats:
    """The statistics with the extremes of accumulators as the integer network has them; its steps follow from these.

    A step that follows from the extent of float accumulators is another one where the extent is just at a power of two
    and rounding moves it across. The accumulators of a layer follow from the steps before it, so in a chain each round
    settles one layer more at least. Where joins make earlier layers share a later step there may be no steps that stay:
    after as many rounds as there are nodes the last are taken. Measured on the samples that stats keep.
    """
    for _ in prepared.nodes:
        choice = choose(prepared, stats, recipe)
        measured = _extremes(lower(prepared, choice, recipe).net, stats)
        seen = {name: replace(stats.observations[name], lo=lo, hi=hi) for name, (lo, hi) in measured.items()}
        stats = replace(stats, observations={**stats.observations, **seen})
        if assign_grids(prepared, stats, recipe) == choice.grids:
            break
    return stats


def _extremes(net: Graph, stats: Stats) -> Mapping[str, tuple[float, float]]:
    """{layer: the least and the largest accumulator in real units} over the kept samples."""
    found: dict[str, tuple[float, float]] = {}
    for sample in stats.samples:
        for name, array in interpret(net, to_integers(net, sample)):
            layer, scale = name.removesuffix(ACCUMULATOR), net.values[name].scale
            if layer in stats.observations and name.endswith(ACCUMULATOR) and scale is not None:
                real = array * as_float(scale)
                lo, hi = found.get(layer, (np.inf, -np.inf))
                found[layer] = min(lo, float(real.min())), max(hi, float(real.max()))
    return found
