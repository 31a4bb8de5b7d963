"""Which grid each float value gets when it must become narrow integers, and which values must share one."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

import numpy as np

from arithmos.errors import UsageError
from arithmos.ir.graph import Graph, Node, consumers, producers
from arithmos.ir.interval import Interval
from arithmos.lower.calibrate import Stats
from arithmos.lower.recipe import Recipe
from arithmos.quant.grid import Grid, admissible_step, symmetric
from arithmos.quant.observe import threshold

NONNEGATIVE = frozenset(
    {"relu", "step", "sigmoid", "hard_sigmoid", "softmax", "exp", "abs", "sqrt", "rsqrt", "softplus"}
)
"""Ops whose results are never negative, whatever comes in."""

KEEPS_SIGN = frozenset(
    {
        "max_pool",
        "avg_pool",
        "sum_pool",
        "reduce_max",
        "reduce_sum",
        "reduce_mean",
        "reshape",
        "transpose",
        "slice",
        "expand",
    }
)
"""Ops whose results are not negative if their first input is not."""

SHARES_GRID = frozenset({"concat", "where", "maximum"})
"""Ops that put integers of several values into one: they need one grid."""


def assign_grids(graph: Graph, stats: Stats, recipe: Recipe) -> dict[str, Grid]:
    """A grid for every float value that calibration saw: step = threshold / last level, unified at the joins.

    Values that are proven non-negative use 0 .. 2**bits - 1, all others a symmetric range. The inputs, and what the
    first and last layers read, have at least edge_bits unless an override says their bits.
    """
    missing = [n.output for n in graph.nodes if n.output not in stats.observations and _is_real(graph, n)]
    missing += [
        n
        for n in graph.inputs
        if n not in stats.observations and graph.values[n].range is None and not _is_index(graph, n)
    ]
    if missing:
        raise UsageError(
            f"calibration has not seen {len(missing)} values of this graph",
            why=f"the first is '{missing[0]}'; the statistics belong to another graph",
            fix="call ar.calibrate on the same graph",
        )
    positive, made_by = nonnegative_values(graph, stats), producers(graph)
    edges = {node.inputs[0] for node in edge_layers(graph)} | set(graph.inputs)
    grids = {}
    for name, seen in stats.observations.items():
        if name not in graph.values:
            continue
        names = (graph.values[name].source.module, name)
        local = recipe.at(*names)
        if name in edges and "activation_bits" not in recipe.chosen(*names):
            local = dataclasses.replace(local, activation_bits=max(recipe.edge_bits, local.activation_bits))
        bits, observer = local.activation_bits, local.activation_observer_used
        levels = symmetric(bits, nonnegative=name in positive)
        if observer == "zkcnn":
            limit = zkcnn_threshold(made_by, stats, name)
        else:
            limit = threshold(seen, observer, levels, recipe.scales)
        grids[name] = Grid(admissible_step(limit / levels.hi, recipe.scales), levels, name)
    grids = unify_scales(graph, grids, equal_joins=recipe.joins == "equal")
    return unify_scales(graph, coarsen_joins(graph, grids, recipe), equal_joins=recipe.joins == "equal")


def zkcnn_threshold(made_by: Mapping[str, Node], stats: Stats, name: str) -> float:
    """max(x, 0) + max(-x, 0) of the accumulators x behind a relu, of both signs although relu keeps one; else max |x|.

    With 255 levels and a power of two this is the step that zkCNN takes for accumulators of this extent. 1.0 for a
    value that was zero throughout. Source: Liu, Xie, Zhang, doi:10.1145/3460120.3485379, and its program.
    """
    node, seen = made_by.get(name), stats.observations[name]
    if node is None or node.op != "relu":
        return seen.magnitude or 1.0
    before = node.inputs[0]
    while (pool := made_by.get(before)) is not None and pool.op == "max_pool":
        before = pool.inputs[0]  # maxima are taken of accumulators, too: the extent is of those before
    x = stats.observations[before]
    return (max(x.hi, 0.0) - min(x.lo, 0.0)) or 1.0


def edge_layers(graph: Graph) -> list[Node]:
    """The first layers (no layer between them and an input) and the last ones (none between them and an output)."""
    layers = [node for node in graph.nodes if node.op in ("conv", "linear")]
    after_layer: set[str] = set()
    for node in graph.nodes:
        if node.op in ("conv", "linear") or any(name in after_layer for name in node.inputs):
            after_layer.add(node.output)
    before_output = set(graph.outputs)
    for node in reversed(graph.nodes):
        if node.output in before_output and node.op not in ("conv", "linear"):
            before_output.update(node.inputs)
    return [n for n in layers if n.inputs[0] not in after_layer or n.output in before_output]


def coarsen_joins(graph: Graph, grids: Mapping[str, Grid], recipe: Recipe) -> dict[str, Grid]:
    """The result of a join is no finer than its operands: their multipliers then stay below 1 and the shift at 24.

    A ratio just above 1 would otherwise force the shift down to 16 and leave the accumulator a multiplier of 3 bits.
    """
    margin = 1.0 if recipe.scales == "power_of_two" or recipe.joins == "equal" else 1 + 2.0**-20
    readers, coarser = consumers(graph), dict(grids)
    for node in graph.nodes:
        if node.op not in ("add", "sub") or node.output not in grids:
            continue
        after = readers[node.output]
        rounded = [node.output, *(n.output for n in after if n.op in ("relu", "clip"))]
        operands = [coarser[n].step for n in node.inputs if n in coarser and len(readers[n]) > 1]
        for name in rounded if operands else []:
            step = admissible_step(max(coarser[name].step, max(operands) * margin), recipe.scales)
            coarser[name] = Grid(step, coarser[name].range, coarser[name].owner)
    return coarser


def nonnegative_values(graph: Graph, stats: Stats) -> set[str]:
    """Values that cannot be negative by their op; inputs count if no calibration sample was negative."""
    positive = {n for n in graph.inputs if n in stats.observations and stats.observations[n].lo >= 0}
    positive |= {n for n, a in graph.constants.items() if a.size and a.dtype.kind != "b" and a.min() >= 0}
    for node in graph.nodes:
        if (
            node.op in NONNEGATIVE
            or (node.op == "clip" and (node.attrs["lo"] is not None and node.attrs["lo"] >= 0))
            or (node.op in KEEPS_SIGN and node.inputs[0] in positive)
            or (node.op in ("add", "mul", "concat", "maximum") and all(n in positive for n in node.inputs))
            or (node.op == "pad" and node.inputs[0] in positive and node.attrs["fill"] >= 0)
            or (node.op == "where" and all(n in positive for n in node.inputs[1:]))
        ):
            positive.add(node.output)
    return positive


def unify_scales(graph: Graph, grids: Mapping[str, Grid], *, equal_joins: bool) -> dict[str, Grid]:
    """Give one step, and one owner, to the values that concat, where and maximum bring together, and their result.

    With equal_joins also to the operands and the result of every residual add, which then needs no multiplier. The
    coarsest step of a group is taken, so that nothing saturates more than before. Values between a join and the op
    that really rounds (relu, pooling, layout) pass the group on. An input, or a value that others read too, keeps its
    own step (except for equal_joins) and is rounded to the group's at the join.
    """
    parent = {name: name for name in grids}

    def root(name: str) -> str:
        while parent[name] != name:
            name = parent[name]
        return name

    made_by, readers = producers(graph), consumers(graph)

    def free(name: str) -> bool:
        return equal_joins or (name not in graph.inputs and len(readers[name]) == 1 and name not in graph.outputs)

    for node in graph.nodes:
        joins = node.op in SHARES_GRID or (equal_joins and node.op == "add")
        passes_on = node.op in KEEPS_SIGN - {"avg_pool", "reduce_mean", "reduce_sum", "sum_pool"} or node.op in (
            "pad",
            "clip",
            "relu",
        )
        read = [n for n in (node.inputs if joins else node.inputs[:1] if passes_on else ()) if free(n)]
        names = [node.output, *read] if read else []
        members = [n for n in names if n in grids]
        if names and not joins and (members != names or not _rounds_nothing(made_by, node, equal_joins)):
            continue
        for other in members[1:]:
            parent[root(other)] = root(members[0])
    coarsest: dict[str, float] = {}
    for name, grid in grids.items():
        coarsest[root(name)] = max(coarsest.get(root(name), 0.0), grid.step)
    return {name: Grid(coarsest[root(name)], grid.range, root(name)) for name, grid in grids.items()}


def _rounds_nothing(made_by: Mapping[str, Node], node: Node, equal_joins: bool) -> bool:
    """Whether the op works on its input's integers as they are; relu and clip of an accumulator round afresh."""
    before = made_by.get(node.inputs[0])
    if node.op in ("relu", "clip"):
        return before is None or before.op in SHARES_GRID or (equal_joins and before.op == "add")
    return True


def _is_real(graph: Graph, node: Node) -> bool:
    return node.op != "argmax"


def _is_index(graph: Graph, name: str) -> bool:
    return any(node.op == "gather" and node.inputs[1] == name for node in graph.nodes)


def levels_of(step: float, lo: float | None, hi: float | None, levels: Interval) -> Interval:
    """The integers of a grid that a clip to real bounds leaves: [round(lo / step), round(hi / step)] within levels."""
    low = levels.lo if lo is None else nearest_level(lo, step)
    high = levels.hi if hi is None else nearest_level(hi, step)
    return Interval(min(low, high), high).clip(levels.lo, levels.hi)


def nearest_level(bound: float, step: float) -> int:
    """floor(bound / step + 1/2), kept within 2**62 (bounds such as 1e30 or infinity mean: none)."""
    return int(np.clip(np.floor(bound / step + 0.5), -(2.0**62), 2.0**62))
