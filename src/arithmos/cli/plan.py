"""The plan of a quantization: what it would make and what it cannot, before any work is done on real data."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

import arithmos
from arithmos.cli.output import table
from arithmos.cli.samples import Samples, first
from arithmos.cli.subject import Subject
from arithmos.ir.border import format_shape
from arithmos.ir.cost import cost
from arithmos.ir.graph import Graph
from arithmos.ir.interpret import indices
from arithmos.lower.calibrate import calibrate
from arithmos.lower.choose import weight_bits
from arithmos.lower.quantize import prepare, quantize
from arithmos.lower.recipe import Recipe
from arithmos.lower.rules import unsupported


@dataclass(frozen=True, slots=True)
class Plan:
    """unsupported: {node, why, source} of every node without an integer rule; nodes: what the others become."""

    name: str
    n_nodes: int
    macs: int
    parameters: int
    unsupported: tuple[dict[str, str], ...]
    nodes: tuple[dict[str, Any], ...]
    table_entries: int
    widest_bits: int
    calibrate_s: float
    activation_mb: float


def plan(subject: Subject, recipe: Recipe, samples: Samples | None, *, n_calibration: int, seed: int) -> Plan:
    """Trace and lower on one sample (a real one, or a random one of the example's shape); time that sample.

    Accumulator widths depend on weights and grids alone, so they hold up to the bias; ranges of activations do not.
    Raises UnsupportedNetwork where tracing itself fails.
    """
    graph = arithmos.trace(subject.network, subject.example)
    prepared = prepare(graph)
    refused = tuple(
        {"node": n.output, "why": why, "source": str(prepared.values[n.output].source)}
        for n in prepared.nodes
        if (why := unsupported(prepared, n))
    )
    sample = first(samples.calibration, 1) if samples else _random(graph, seed)
    stats = calibrate(graph, [sample])
    start = time.perf_counter()
    calibrate(graph, [sample])  # once more: the first time pays for loading and warming up
    per_sample = time.perf_counter() - start
    quick = replace(recipe, rounding="nearest", corrections=())  # what is learned needs more samples, and is no wider
    net = None if refused else quantize(graph, stats, quick)
    total = cost(net or prepared)
    return Plan(
        subject.name,
        len(net.nodes if net else prepared.nodes),
        total.macs,
        total.parameters,
        refused,
        _node_rows(net, weight_bits(prepared, recipe)) if net else (),
        total.table_entries,
        total.widest_bits,
        round(per_sample * n_calibration, 1),
        round(sum(8 * abs(math.prod(v.shape)) for v in prepared.values.values()) / 1e6, 1),
    )


def as_text(made: Plan, recipe: Recipe) -> str:
    """The plan for people."""
    lines = [
        f"{made.name}: {made.n_nodes} nodes, {made.macs:,} MACs, {made.parameters:,} parameters, "
        f"{made.table_entries:,} table entries, widest value {made.widest_bits} bits",
        f"recipe: {recipe.weight_bits}-bit weights ({recipe.weight_observer_used}, per {recipe.weight_scale}), "
        f"{recipe.activation_bits}-bit activations ({recipe.activation_observer_used}), {recipe.scales} scales, "
        f"{recipe.joins} joins, {recipe.rounding} rounding, corrections: {', '.join(recipe.corrections) or 'none'}",
        f"calibration: about {made.calibrate_s:.1f} s, {made.activation_mb:,.1f} MB a sample (from one sample)",
    ]
    parts = ["\n".join(lines)]
    if made.nodes:
        header = ("node", "op", "shape", "bits", "weight bits", "table entries", "MACs")
        parts.append(table(header, [tuple(node.values()) for node in made.nodes]))
    if made.unsupported:
        parts.append(table(("unsupported", "why", "source"), [tuple(node.values()) for node in made.unsupported]))
    return "\n\n".join(parts)


def _node_rows(net: Graph, bits: Mapping[str, int]) -> tuple[dict[str, Any], ...]:
    rows = []
    for row in cost(net).nodes:
        rows.append(
            {
                "node": row.name,
                "op": row.op,
                "shape": format_shape(net.values[row.name].shape),
                "bits": row.bits,
                "weight_bits": bits.get(row.name.removesuffix(".acc"), "") if row.op in ("conv", "linear") else "",
                "table_entries": row.table_entries or "",
                "macs": row.macs or "",
            }
        )
    return tuple(rows)


def _random(graph: Graph, seed: int) -> dict[str, np.ndarray]:
    """One sample of every input: standard normal numbers, as normalised pictures are; row 0 where rows are chosen."""
    rng, chosen = np.random.default_rng(seed), indices(graph)
    shapes = {name: tuple(abs(e) for e in graph.values[name].shape) for name in graph.inputs}
    return {
        name: np.zeros(shape, np.int64) if name in chosen else rng.standard_normal(shape).astype(np.float32)
        for name, shape in shapes.items()
    }
