"""The numbers behind the figures of an integer network."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from arithmos.ir.cost import cost
from arithmos.ir.graph import Graph
from arithmos.ir.interval import Interval, interval_of
from arithmos.report.facts import width
from arithmos.report.few_bits_figures import fit, quantized_weights
from arithmos.report.figure import Figure
from arithmos.report.quantization_error import bin_width, n_bins

LAYOUT_OPS = frozenset({"reshape", "transpose", "slice", "pad", "expand"})
"""Ops that only move integers: their ranges and errors repeat those of their input."""

ACCUMULATES = frozenset({"conv", "linear", "matmul", "mul", "add", "sub", "sum_pool", "reduce_sum"})
"""Ops whose results are sums and products, in finer steps than any grid between layers."""

GRID_BITS = 16
"""The widest value that still counts as living on a grid; what is wider accumulates."""


def figures(net: Graph, facts: Mapping[str, Any]) -> list[Figure]:
    """Every figure that has something to show, in the order of the page."""
    layers = facts.get("layers", [])
    proved = proof(facts.get("proof", {}))
    fitted = facts.get("weights") or []
    of_weights = quantized_weights(fitted) if fitted else weights(net)
    lost = fit(facts.get("fit") or {})
    made = (widths(net, layers), error(layers), lost, of_weights, activations(layers), macs(net), proved)
    return [figure for figure in made if figure.rows]


def widths(net: Graph, layers: list[dict[str, Any]]) -> Figure:
    """Bits of every value: what is proven, what was observed, and the grid it was clipped to."""
    grids = {n.output: Interval(n.attrs["lo"], n.attrs["hi"]) for n in net.nodes if _has_grid(n.attrs)}
    grids |= {name: interval for name in net.inputs if (interval := net.values[name].range)}
    rows = []
    for layer in layers:
        if layer["op"] in LAYOUT_OPS:
            continue
        proven, seen = Interval(*layer["proven"]), Interval(*layer["observed"])
        grid = grids.get(layer["name"])
        on_grid = layer["op"] not in ACCUMULATES and width(proven) <= GRID_BITS
        rows.append(
            (
                layer["name"],
                layer["op"],
                "grid" if on_grid else "accumulator",
                *(proven.lo, proven.hi, width(proven)),
                *(seen.lo, seen.hi, width(seen)),
                *((grid.lo, grid.hi) if grid else ("", "")),
            )
        )
    return Figure(
        "widths",
        "Widths: proven and observed",
        "Bar: bits that hold every value the proof allows; dot: bits that the samples needed. Unsigned values are "
        "counted without a sign bit. A dot far left of its bar's end is head room that no input has used.",
        (
            "value",
            "op",
            "kind",
            "proven_lo",
            "proven_hi",
            "proven_bits",
            "observed_lo",
            "observed_hi",
            "observed_bits",
            "grid_lo",
            "grid_hi",
        ),
        tuple(rows),
    )


def _has_grid(attrs: Mapping[str, Any]) -> bool:
    lo, hi = attrs.get("lo"), attrs.get("hi")
    return lo is not None and hi is not None and width(Interval(lo, hi)) <= GRID_BITS


def error(layers: list[dict[str, Any]]) -> Figure:
    """Signal-to-noise ratio and the largest deviation in steps, for each value that stands for a float value."""
    rows = tuple(
        (
            x["name"],
            x["op"],
            "" if x["sqnr_db"] is None else x["sqnr_db"],
            x["max_steps"] if x["op"] not in ACCUMULATES and width(Interval(*x["proven"])) <= GRID_BITS else "",
            x["n_clipped"],
            x["n"],
        )
        for x in layers
        if x["compared"] and x["op"] not in LAYOUT_OPS
    )
    return Figure(
        "error",
        "Error: integers against float",
        "Left: power of the float value over power of the difference, in decibels (6 dB is one bit); higher is better. "
        "Right: the largest difference in steps of the value's own grid (accumulators have none); 0.5 is rounding "
        "alone, more was inherited or clipped.",
        ("value", "op", "sqnr_db", "max_steps", "n_clipped", "n"),
        rows,
    )


def weights(net: Graph) -> Figure:
    """Histograms of the integer weights of every layer that has some."""
    rows: list[tuple[Any, ...]] = []
    for node in net.nodes:
        array = net.constants.get(node.inputs[1]) if node.op in ("conv", "linear", "matmul") else None
        if array is None:
            continue
        span = interval_of(array)
        step, count = bin_width(span) or 1, n_bins(span) if bin_width(span) else 1
        counts = np.bincount((array.ravel().astype(np.int64) - span.lo) // step, minlength=count)
        rows += _bins(node.inputs[1], span, step, counts.tolist())
    return Figure(
        "weights",
        "Weights",
        "Histogram of the integer weights of each layer; the horizontal axis spans the integers that occur.",
        ("value", "from", "to", "count"),
        tuple(rows),
    )


def activations(layers: list[dict[str, Any]]) -> Figure:
    """Histograms of the values that live on a grid."""
    rows: list[tuple[Any, ...]] = []
    for layer in layers:
        if layer["histogram"] and layer["op"] not in LAYOUT_OPS:
            rows += _bins(layer["name"], Interval(*layer["proven"]), layer["bin_width"], layer["histogram"])
    return Figure(
        "activations",
        "Activations",
        "Histogram of the integers between layers on a logarithmic scale, over the whole proven range; a tall last bin "
        "is saturation.",
        ("value", "from", "to", "count"),
        tuple(rows),
    )


def _bins(name: str, span: Interval, step: int, counts: list[int]) -> list[tuple[Any, ...]]:
    starts = (span.lo + i * step for i in range(len(counts)))
    return [(name, start, min(start + step - 1, span.hi), count) for start, count in zip(starts, counts, strict=True)]


def macs(net: Graph) -> Figure:
    """Multiply-accumulates and parameters of the layers that multiply, for one sample."""
    rows = tuple((r.name, r.op, r.macs, r.parameters, r.elements, r.bits) for r in cost(net).nodes if r.macs)
    return Figure(
        "cost",
        "Cost of one sample",
        "Multiply-accumulates (left) and parameters (right) of each layer that multiplies.",
        ("value", "op", "macs", "parameters", "elements", "accumulator_bits"),
        rows,
    )


def proof(facts: Mapping[str, Any]) -> Figure:
    """Constraints and non-zeros of a proof's circuit by layer and gadget; facts: report.json's "proof"."""
    columns = ("value", "gadget", "elements", "constraints", "nonzeros")
    return Figure(
        "proof",
        "Constraints of the proof",
        "Constraints (left) and the coefficients in them, at most (right), of each layer and gadget. A layer that is "
        "linear costs none: its weights are constants.",
        columns,
        tuple(tuple(row[key] for key in columns) for row in facts.get("rows", [])),
    )
