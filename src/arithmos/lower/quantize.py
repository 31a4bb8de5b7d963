"""Quantize: from a float graph and its statistics to the exact integer network, by a recipe."""

from __future__ import annotations

import numpy as np

from arithmos.errors import UnsupportedNetwork, UsageError
from arithmos.ir.check import check
from arithmos.ir.graph import Graph
from arithmos.ir.interval import Interval
from arithmos.ir.scale import exact_scale
from arithmos.lower.calibrate import Stats, calibrate
from arithmos.lower.form import Form, single
from arithmos.lower.grids import assign_grids
from arithmos.lower.lowering import Lowering
from arithmos.lower.recipe import Recipe
from arithmos.lower.rules import RULES, unsupported
from arithmos.passes.dead_code import dead_code
from arithmos.passes.equalize import equalize
from arithmos.passes.fold_batch_norm import fold_batch_norm
from arithmos.passes.fold_constants import fold_constants
from arithmos.passes.fold_padding import fold_padding
from arithmos.passes.fuse_requantize import fuse_requantize
from arithmos.passes.merge_tables import merge_tables
from arithmos.passes.rename import rename

PREPARE = (fold_constants, fold_padding, fold_batch_norm, dead_code)
FINISH = (fold_constants, fuse_requantize, merge_tables, dead_code)


def quantize(graph: Graph, stats: Stats, recipe: Recipe = Recipe()) -> Graph:
    """The integer network: symmetric grids without zero point, one rounding rule, every range proven.

    graph: a float graph; stats: what `calibrate` saw of it. Values of the result that carry a float value's name stand
    for that value on its grid; `NAME.acc` is the accumulator behind it. Outputs are integers of one step each, without
    clipping. Raises UnsupportedNetwork listing every node without an integer rule, UsageError for foreign statistics,
    RangeError where 64 bits are too few.
    """
    if graph.op_set != "float":
        raise UsageError(
            "only a float graph can be quantized", why="this graph is integers already", fix="give the traced graph"
        )
    prepared = prepare(graph)
    preflight(prepared)
    if "equalize" in recipe.corrections:
        prepared = equalize(prepared)
        stats = calibrate(prepared, stats.samples)
    net = lower(prepared, stats, recipe)
    for run_pass in FINISH:
        net = run_pass(net)
    net = rename(net, dict(zip(net.outputs, graph.outputs, strict=True)))
    check(net)
    return net


def prepare(graph: Graph) -> Graph:
    """The float graph as it is lowered: constants folded, batch norms folded, dead code dropped."""
    for run_pass in PREPARE:
        graph = run_pass(graph)
    return graph


def preflight(graph: Graph) -> None:
    """Raise UnsupportedNetwork with every node that has no integer rule, each with its module path and line."""
    problems = [(node.output, why) for node in graph.nodes if (why := unsupported(graph, node))]
    problems += [
        (name, "this output does not depend on any input") for name in graph.outputs if name in graph.constants
    ]
    if problems:
        sources = {name: str(graph.values[name].source) for name, _ in problems}
        listed = [f"{name}: {why}" + (f", at {sources[name]}" if sources[name] else "") for name, why in problems]
        raise UnsupportedNetwork(
            f"{len(problems)} nodes cannot become integers",
            why="\n       ".join(listed),
            fix="replace these layers, or quantize the part of the network without them",
        )


def lower(graph: Graph, stats: Stats, recipe: Recipe) -> Graph:
    """Rule by rule, in graph order; then each output on one step."""
    state = Lowering(graph, stats, recipe, assign_grids(graph, stats, recipe))
    for name in graph.inputs:
        _bind_input(state, name)
    for node in graph.nodes:
        for name in node.inputs:
            array = state.array(name)
            if array is not None and name not in state.forms:
                state.bind(name, _constant_form(array))
        state.bind(node.output, RULES[node.op](state, node))
    outputs = [state.output(name) for name in graph.outputs]
    return state.builder.graph(*outputs)


def _bind_input(state: Lowering, name: str) -> None:
    """An input becomes integers on its grid; one that only indexes rows is integers already."""
    value = state.value(name)
    if name in state.grids:
        grid = state.grids[name]
        state.builder.input(name, value.shape, grid.range, exact_scale(grid.step), value.source)
        state.bind(name, single(name, grid.step))
        return
    rows = [n for n in state.consumers[name] if n.op == "gather" and n.inputs[1] == name]
    count = min(state.value(n.inputs[0]).shape[0] for n in rows)
    state.builder.input(name, value.shape, Interval(0, count - 1), None, value.source)
    state.bind(name, single(name, 1.0))


def _constant_form(array: np.ndarray) -> Form:
    return Form((), np.asarray(array, dtype=np.float64))
