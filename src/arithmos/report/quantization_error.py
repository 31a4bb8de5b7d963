"""Layer by layer: how far the integers are from the float values they stand for."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from arithmos.ir.border import admit, batch_size
from arithmos.ir.graph import Graph, Value, producers
from arithmos.ir.interpret import interpret
from arithmos.ir.interval import Interval
from arithmos.ir.scale import as_float
from arithmos.lower.calibrate import pieces
from arithmos.lower.quantize import prepare
from arithmos.lower.recipe import Recipe
from arithmos.passes.equalize import equalize
from arithmos.targets.run import run

BINS = 64
"""Histograms have at most this many bins, each a whole number of levels wide."""

HISTOGRAM_SPAN = 1 << 16
"""Values with more levels than this (accumulators) get no histogram: they have no grid that would fill it."""


@dataclass(frozen=True, slots=True)
class LayerError:
    """One value of the integer network beside the float value it stands for, over all samples that were compared.

    observed: the least and the greatest integer seen. noise: sum of (q * scale - x)**2; signal: sum of x**2; both None
    where the value has no float partner (a partial sum, say). max_steps: max |q - x / scale|. n_clipped: how many x lie
    beyond the value's range by more than half a step. histogram: counts of bins of `bin_width` integers from its lo on.
    """

    name: str
    float_name: str | None
    observed: Interval
    n: int
    signal: float | None
    noise: float | None
    max_steps: float | None
    n_clipped: int
    histogram: tuple[int, ...]
    bin_width: int

    @property
    def sqnr_db(self) -> float | None:
        """10 log10(signal / noise): signal-to-quantization-noise ratio in decibels; infinite where nothing was lost."""
        if self.signal is None or self.noise is None or self.signal == 0:
            return None
        return math.inf if self.noise == 0 else 10 * math.log10(self.signal / self.noise)


@dataclass(slots=True)
class _Tally:
    """Running sums of one value while the pieces stream past."""

    observed: Interval | None = None
    n: int = 0
    signal: float = 0.0
    noise: float = 0.0
    max_steps: float = 0.0
    n_clipped: int = 0
    histogram: np.ndarray = field(default_factory=lambda: np.zeros(0, np.int64))


def reference(graph: Graph, recipe: Recipe) -> Graph:
    """The float graph that the integers of `quantize(graph, stats, recipe)` stand for: folded, equalised if asked."""
    prepared = prepare(graph)
    return equalize(prepared) if "equalize" in recipe.corrections else prepared


def compare_layers(
    graph: Graph, net: Graph, inputs: Mapping[str, np.ndarray], *, target: str = "interpreter", piece: int = 8
) -> list[LayerError]:
    """Every value of the integer network against the float value of the same name (`NAME.acc` against NAME).

    graph: the float graph `net` was lowered from, see `reference`. inputs: float samples, batch first; run in pieces
    of `piece` samples, so memory is that of one piece. Noise is measured on the float interpreter in float32.
    Raises UsageError for inputs that do not fit.
    """
    arrays = admit(graph, inputs)
    size = next((s for n in graph.inputs if (s := batch_size(graph.values[n].shape, arrays[n].shape))), 1)
    partners = {name: partner for name in _computed(net) if (partner := float_partner(graph, net.values[name]))}
    tallies = {name: _Tally() for name in _computed(net)}
    wanted = set(partners.values())
    for part in pieces(graph, arrays, size, piece):
        floats = {name: array for name, array in interpret(graph, part) if name in wanted}
        for name, q in run(net, part, target=target, every=True).items():
            if name in tallies:
                _add(tallies[name], net, net.values[name], q, floats.get(partners.get(name, "")))
    return [_freeze(net.values[name], partners.get(name), tally) for name, tally in tallies.items()]


def float_partner(graph: Graph, value: Value) -> str | None:
    """The float value an integer value stands for: the same name, or the name before '.acc'; None if there is none."""
    name = value.name.removesuffix(".acc")
    known = graph.values.get(name)
    same = known is not None and value.scale is not None and known.shape == value.shape and name not in graph.constants
    return name if same else None


def _computed(net: Graph) -> list[str]:
    return [*net.inputs, *producers(net)]


def _add(tally: _Tally, net: Graph, value: Value, q: np.ndarray, x: np.ndarray | None) -> None:
    low, high = int(q.min()), int(q.max())
    tally.observed = Interval(low, high) if tally.observed is None else tally.observed | Interval(low, high)
    tally.n += q.size
    assert value.range is not None
    width = bin_width(value.range)
    if width:
        bins = np.bincount(((q.ravel().astype(np.int64) - value.range.lo) // width), minlength=n_bins(value.range))
        tally.histogram = bins if not tally.histogram.size else tally.histogram + bins
    if x is None or x.dtype.kind != "f":
        return
    assert value.scale is not None
    step = as_float(value.scale)
    exact = x.astype(np.float64)
    error = q * step - exact
    tally.signal += float(np.vdot(exact, exact))
    tally.noise += float(np.vdot(error, error))
    tally.max_steps = max(tally.max_steps, float(np.abs(error / step).max()))
    levels = exact / step
    tally.n_clipped += int(((levels > value.range.hi + 0.5) | (levels < value.range.lo - 0.5)).sum())


def _freeze(value: Value, partner: str | None, tally: _Tally) -> LayerError:
    assert tally.observed is not None and value.range is not None
    compared = partner is not None
    return LayerError(
        value.name,
        partner,
        tally.observed,
        tally.n,
        tally.signal if compared else None,
        tally.noise if compared else None,
        tally.max_steps if compared else None,
        tally.n_clipped,
        tuple(tally.histogram.tolist()),
        bin_width(value.range),
    )


def bin_width(levels: Interval) -> int:
    """Integers in one bin of the histogram; 0 where there is none."""
    n_levels = levels.hi - levels.lo + 1
    return -(-n_levels // BINS) if n_levels <= HISTOGRAM_SPAN else 0


def n_bins(levels: Interval) -> int:
    """Bins that cover the range."""
    return -(-(levels.hi - levels.lo + 1) // bin_width(levels))
