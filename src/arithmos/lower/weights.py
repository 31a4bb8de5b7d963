"""Weights on their grids: steps by an observer, integers by rounding, the bias corrected if the recipe asks for it."""

from __future__ import annotations

import dataclasses

import numpy as np

from arithmos.ir.graph import Graph, Node
from arithmos.lower.calibrate import Stats
from arithmos.lower.choice import WeightGrid
from arithmos.lower.recipe import Recipe
from arithmos.quant.grid import symmetric
from arithmos.quant.rtn import round_to_nearest, weight_steps


def layer_weights(graph: Graph, stats: Stats, recipe: Recipe, node: Node, input_step: float) -> WeightGrid:
    """Weights of a conv or linear rounded to nearest, the bias corrected if asked for; recipe: the layer's own."""
    parameters = [graph.constants[name].astype(np.float64) for name in node.inputs[1:]]
    weight, bias = parameters[0], parameters[1] if len(parameters) > 1 else None
    levels, odd = symmetric(recipe.weight_bits), recipe.weight_bits == 1
    per_channel = recipe.weight_scale == "channel"
    steps = weight_steps(
        weight,
        levels,
        recipe.weight_observer_used,
        recipe.scales,
        per_channel=per_channel,
        bias=bias,
        input_step=input_step,
        odd=odd,
    )
    rounded = round_to_nearest(weight, steps, levels, odd=odd)
    if "bias" in recipe.corrections:
        bias = corrected_bias(stats, node, weight, bias, rounded * steps.reshape(-1, *[1] * (weight.ndim - 1)))
    return WeightGrid(steps if per_channel else steps[:1], levels, rounded, bias, odd)


def corrected_bias(
    stats: Stats, node: Node, weight: np.ndarray, bias: np.ndarray | None, on_grid: np.ndarray
) -> np.ndarray:
    """b - E[(W_q - W) x] per output channel, with the channel means of the float input; on_grid: W_q.

    Padding is left out of account. Source: Nagel et al., arXiv 1906.04721, section 4.2.
    """
    before = np.zeros(len(weight)) if bias is None else bias
    return np.asarray(before - _mean_output(stats, node, on_grid - weight))


def factor_weights(array: np.ndarray, recipe: Recipe) -> WeightGrid:
    """A constant operand of a product on one weight grid."""
    levels, odd = symmetric(recipe.weight_bits), recipe.weight_bits == 1
    rows = array.astype(np.float64).reshape(1, -1)
    steps = weight_steps(rows, levels, recipe.weight_observer_used, recipe.scales, per_channel=False, odd=odd)
    return WeightGrid(steps, levels, round_to_nearest(rows, steps, levels, odd=odd).reshape(array.shape), odd=odd)


def weight_recipe(graph: Graph, recipe: Recipe, edges: set[str], name: str, *parameters: str) -> Recipe:
    """The recipe of the weights that make the value; edges: first and last layers, with at least edge_bits unless an
    override says their bits.

    parameters: constants whose module path counts too: a batch norm's value is made by the convolution it was folded
    into, which its weight still names.
    """
    names = [*(graph.values[n].source.module for n in (name, *parameters)), name]
    local = recipe.at(*names)
    if name in edges and "weight_bits" not in recipe.chosen(*names):
        return dataclasses.replace(local, weight_bits=max(local.weight_bits, local.edge_bits))
    return local


def _mean_output(stats: Stats, node: Node, error: np.ndarray) -> np.ndarray:
    """E[error * x] per output channel from the mean of each input channel."""
    seen = stats.observations[node.inputs[0]]
    mean = seen.channel_mean if node.op == "conv" else seen.feature_mean
    per_channel = error.reshape(*error.shape[:2], -1).sum(axis=2)
    groups = node.attrs.get("groups", 1)
    means = mean.reshape(groups, -1).repeat(error.shape[0] // groups, axis=0)
    return np.asarray((per_channel * means).sum(axis=1))
