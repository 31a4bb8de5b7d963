"""Quantize: from a float graph and its statistics to the exact integer network, by a recipe."""

from __future__ import annotations

import numpy as np

from arithmos.errors import UnsupportedNetwork, UsageError
from arithmos.ir.check import check
from arithmos.ir.graph import Graph, require_graph
from arithmos.lower.analog import Analog, RunNode, run_in_numpy
from arithmos.lower.calibrate import Stats, calibrate
from arithmos.lower.choice import Choice
from arithmos.lower.choose import choose
from arithmos.lower.lower import lower
from arithmos.lower.recipe import Recipe, refuse_unmatched
from arithmos.lower.refine import refine
from arithmos.lower.rules import unsupported
from arithmos.lower.settle import settle
from arithmos.passes.dead_code import dead_code
from arithmos.passes.drop_units import drop_units
from arithmos.passes.equalize import equalize
from arithmos.passes.fold_batch_norm import fold_batch_norm, norm_gain
from arithmos.passes.fold_constants import fold_constants
from arithmos.passes.fold_padding import fold_padding
from arithmos.passes.fuse_requantize import fuse_requantize
from arithmos.passes.merge_tables import merge_tables
from arithmos.passes.rename import rename

PREPARE = (fold_constants, fold_padding, fold_batch_norm, dead_code)
FINISH = (drop_units, fold_constants, fuse_requantize, merge_tables, dead_code)


def quantize(graph: Graph, stats: Stats, recipe: Recipe = Recipe()) -> Graph:
    """The integer network: symmetric grids without zero point, one rounding rule, every range proven.

    graph: a float graph; stats: what `calibrate` saw of it. Values of the result that carry a float value's name stand
    for that value on its grid; `NAME.acc` is the accumulator behind it. Outputs are integers of one step each, without
    clipping. Raises UnsupportedNetwork listing every node without an integer rule, UsageError for foreign statistics,
    RangeError where 64 bits are too few.
    """
    prepared, choice = decide(graph, stats, recipe)
    return finish(lower(prepared, choice, recipe).net, graph)


def decide(
    graph: Graph,
    stats: Stats,
    recipe: Recipe = Recipe(),
    *,
    seed: int = 0,
    analog: Analog | None = None,
    run: RunNode = run_in_numpy,
) -> tuple[Graph, Choice]:
    """Everything that is measured or learned: the float graph as it is lowered, and the choice for it.

    Where batch norms are re-estimated, the float graph's constants are the re-folded ones. seed, analog, run: of
    `refine`. Raises like `quantize`.
    """
    prepared, stats = prepared_by(graph, stats, recipe)
    choice = choose(prepared, stats, recipe, {} if recipe.fusion else norm_gains(graph))
    if not recipe.sees_samples:
        return prepared, choice
    layers = {node.output for node in prepared.nodes if node.op in ("conv", "linear")}
    normed = layers & {node.output for node in graph.nodes if node.op == "batch_norm"}
    return refine(prepared, stats, choice, recipe, normed, seed=seed, analog=analog, run=run)


def norm_gains(graph: Graph) -> dict[str, np.ndarray]:
    """gamma / sqrt(var + eps) of every batch norm, by its value: what folding multiplies the rows of a layer by."""
    norms = [node for node in graph.nodes if node.op == "batch_norm"]
    return {node.output: norm_gain(graph, node) for node in norms if set(node.inputs[1:]) <= set(graph.constants)}


def prepared_by(graph: Graph, stats: Stats, recipe: Recipe = Recipe()) -> tuple[Graph, Stats]:
    """The float graph as it is lowered, with the recipe's changes to it, and its statistics. Raises like `quantize`."""
    require_graph(graph)
    if graph.op_set != "float":
        raise UsageError(
            "only a float graph can be quantized", why="this graph is integers already", fix="give the traced graph"
        )
    for given, kind, made in ((stats, Stats, "ar.calibrate(graph, batches)"), (recipe, Recipe, "ar.Recipe(…)")):
        if not isinstance(given, kind):
            raise UsageError(
                f"quantize needs {kind.__name__}, got {type(given).__name__}",
                why="it is made from it",
                fix=f"give {made}",
            )
    prepared = prepare(graph)
    preflight(prepared)
    refuse_unmatched(recipe, node_names(graph, prepared))
    if "equalize" in recipe.corrections:
        prepared = equalize(prepared)
        stats = calibrate(prepared, stats.samples)
    if recipe.follows("zkcnn"):
        stats = settle(prepared, stats, recipe)
    return prepared, stats


def node_names(*graphs: Graph) -> set[str]:
    """Everything an override may name: value names and module paths, before and after folding."""
    values = [value for graph in graphs for value in graph.values.values()]
    return {v.name for v in values} | {v.source.module for v in values if v.source.module}


def finish(net: Graph, graph: Graph) -> Graph:
    """The lowered network after the passes that drop and fuse, its outputs named like those of the float graph."""
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
            f"{len(problems)} node{'s' * (len(problems) > 1)} cannot become integers",
            why="\n       ".join(listed),
            fix="replace these layers, or quantize the part of the network without them",
        )
