"""Refine: better weights layer by layer, on samples that go through the quantised network as far as it is done."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Mapping, Sequence

import numpy as np

from arithmos.errors import UsageError
from arithmos.ir.graph import Graph, Node, spent_after
from arithmos.ir.interpret import indices
from arithmos.ir.scale import as_float
from arithmos.lower.analog import Analog, RunNode, advance, as_real, is_layer, layer_inputs, run_in_numpy
from arithmos.lower.calibrate import Stats
from arithmos.lower.choice import Choice, LayerFit, WeightGrid
from arithmos.lower.choose import layer_recipes
from arithmos.lower.fit import fitted
from arithmos.lower.lower import lower
from arithmos.lower.recipe import Recipe
from arithmos.lower.renormalise import moments, moved, renormalised
from arithmos.lower.weights import corrected_bias
from arithmos.quant.grid import Grid
from arithmos.quant.rtn import least_steps

LARGEST = 1e15
"""The largest magnitude that a solved layer may read: 2**25 squares of it stay within float32."""


def refine(
    prepared: Graph,
    stats: Stats,
    choice: Choice,
    recipe: Recipe,
    normed: Collection[str],
    *,
    seed: int = 0,
    analog: Analog | None = None,
    run: RunNode = run_in_numpy,
) -> tuple[Graph, Choice]:
    """Solved weights and re-estimated batch norms, as the recipe asks; the float graph and the choice that result.

    Node by node the samples kept by calibration pass through the float graph, with weights on their grids and values
    too, as far as the recipe's error_correction goes. At a layer its weights are solved for the inputs it really gets,
    and where the layer was followed by a batch norm (normed: the names of those) the norm's statistics are
    re-estimated and folded again. Memory: the live values of all samples, in the float network too where its layers'
    results are the target or the norms' reference, and the Gram matrices of one layer. seed: of everything drawn.
    analog: the float network's inputs of every layer, where they are known already. run: what computes a node. Raises
    UsageError where calibration kept no samples.
    """
    _check_samples(stats)
    _check_sizes(prepared, stats)
    locals_, corrects = layer_recipes(prepared, recipe), recipe.error_correction != "none"
    norms = set(normed) if "batch_norm" in recipe.corrections else set()
    grids = rounded_values(prepared, choice, recipe) if recipe.error_correction == "activations" else {}
    floats = None
    if corrects and (recipe.method.mismatched or norms):
        floats = layer_inputs(prepared, stats.samples, run) if analog is None else analog
    constants, weights, fits = dict(prepared.constants), dict(choice.weights), dict[str, LayerFit]()
    whole, spent = indices(prepared), spent_after(prepared)
    live = [{n: _on_grid(as_real(s[n], n in whole), grids.get(n)) for n in prepared.inputs} for s in stats.samples]
    for place, node in enumerate(prepared.nodes):
        name = node.output
        results: Sequence[np.ndarray] = ()
        if is_layer(prepared, node) and name in weights:
            inputs = [piece[node.inputs[0]] for piece in live]
            in_float = inputs if floats is None else _at(floats, name)
            streams = [inputs, in_float] if floats is not None and recipe.method.mismatched else [inputs]
            floor = _bias_floor(choice, node, constants)
            chosen, fits[name] = fitted(node, constants, weights[name], streams, locals_[name], (seed, place), floor)
            chosen = _with_bias(node, constants, chosen, stats, recipe)
            results = _results(node, inputs, chosen, run) if corrects or name in norms else ()
            if name in norms:
                parameters = [as_real(constants[parameter], False) for parameter in node.inputs[1:]]
                wanted = moments([run(node, (x, *parameters)) for x in in_float], 1)
                before = chosen
                chosen, folded = renormalised(node, constants, before, moments(results, 1), wanted, recipe)
                results = moved(results, before, chosen)
                constants |= folded
            weights[name] = chosen
        if results and corrects:
            for piece, result in zip(live, results, strict=True):
                piece[name] = result
        else:
            advance(prepared, node, live, whole, run)
        for piece in live:
            piece[name] = _on_grid(piece[name], grids.get(name))
            for used in spent[name]:
                piece.pop(used, None)
    return dataclasses.replace(prepared, constants=constants), Choice(choice.grids, weights, fits)


def rounded_values(prepared: Graph, choice: Choice, recipe: Recipe) -> dict[str, Grid]:
    """The float values that the integer network has as integers of one step, with their grids."""
    net = lower(prepared, choice, recipe).net
    grids = {}
    for name in (*net.inputs, *(n.output for n in net.nodes if n.op in ("requantize", "clip", "table"))):
        value = net.values[name]
        if name in prepared.values and value.scale is not None and value.range is not None:
            grids[name] = Grid(float(as_float(value.scale)), value.range)
    return grids


def _check_samples(stats: Stats) -> None:
    if not stats.samples:
        raise UsageError(
            "there are no samples to solve weights on",
            why="calibration kept none of them",
            fix="calibrate with keep=256, say: ar.calibrate(graph, batches, keep=256)",
        )


def _check_sizes(prepared: Graph, stats: Stats) -> None:
    """Raise UsageError where the squares of a layer's inputs, summed, would leave float32."""
    inputs = dict.fromkeys(node.inputs[0] for node in prepared.nodes if is_layer(prepared, node))
    seen = {name: stats.observations[name].magnitude for name in inputs if name in stats.observations}
    huge = [f"'{name}' reaches {largest:.3g}" for name, largest in seen.items() if largest > LARGEST]
    if huge:
        raise UsageError(
            "the inputs of layers are too large to solve weights on",
            why="\n".join(huge) + f"\nsums of their squares leave float32 from about {LARGEST:g} on",
            fix="scale the samples, and the first layer's weights against it",
        )


def _at(floats: Analog, name: str) -> Sequence[np.ndarray]:
    """The inputs of this layer: those of layers that are not rounded are passed over."""
    return next(pieces for layer, pieces in floats if layer == name)


def _with_bias(
    node: Node, constants: Mapping[str, np.ndarray], chosen: WeightGrid, stats: Stats, recipe: Recipe
) -> WeightGrid:
    """The layer with the bias that goes with its integers."""
    if "bias" not in recipe.corrections:
        return chosen
    weight = constants[node.inputs[1]].astype(np.float64)
    bias = constants[node.inputs[2]].astype(np.float64) if len(node.inputs) > 2 else None
    return dataclasses.replace(chosen, bias=corrected_bias(stats, node, weight, bias, chosen.weight))


def _results(node: Node, inputs: Sequence[np.ndarray], chosen: WeightGrid, run: RunNode) -> list[np.ndarray]:
    """The layer on weights of its grid."""
    weight = chosen.weight.astype(np.float32)
    bias = () if chosen.bias is None else (chosen.bias.astype(np.float32),)
    return [run(node, (x, weight, *bias)) for x in inputs]


def _bias_floor(choice: Choice, node: Node, constants: Mapping[str, np.ndarray]) -> np.ndarray:
    """The least step of each row for which its bias fits, where the step of the input is known: else none."""
    bias = constants[node.inputs[2]] if len(node.inputs) > 2 else np.zeros(len(constants[node.inputs[1]]))
    grid = choice.grids.get(node.inputs[0])
    return least_steps(bias, grid.step) if grid else np.zeros(len(bias))


def _on_grid(x: np.ndarray, grid: Grid | None) -> np.ndarray:
    """step * clip(floor(x / step + 1/2), range) in float32: for statistics, not for exactness."""
    if grid is None or x.dtype.kind != "f":
        return x
    step = np.float32(grid.step)
    return np.clip(np.floor(x / step + np.float32(0.5)), grid.range.lo, grid.range.hi).astype(np.float32) * step
