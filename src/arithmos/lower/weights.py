"""Weights on their grids: steps by an observer, integers by rounding, the bias corrected if the recipe asks for it."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np

from arithmos.ir.graph import Graph, Node
from arithmos.ir.interval import Interval
from arithmos.lower.calibrate import Stats
from arithmos.lower.choice import WeightGrid
from arithmos.lower.fit import has_gram
from arithmos.lower.recipe import Recipe
from arithmos.quant.grid import published, symmetric
from arithmos.quant.rtn import round_to_nearest, usable_steps, weight_steps
from arithmos.quant.steps import published_step


def layer_weights(
    graph: Graph, stats: Stats, recipe: Recipe, node: Node, input_step: float, gain: np.ndarray | None = None
) -> WeightGrid:
    """Weights of a conv or linear rounded to nearest, the bias corrected if asked for; recipe: the layer's own.

    gain: what folding multiplied each row by, where the published step is to be that of the rows before.
    """
    weight = graph.constants[node.inputs[1]]  # as it is stored: layers of 100 million weights exist
    bias = graph.constants[node.inputs[2]].astype(np.float64) if len(node.inputs) > 2 else None
    levels, odd = weight_levels(recipe)
    per_channel = recipe.weight_scale == "channel"
    limits: dict[str, Any] = {"per_channel": per_channel, "bias": bias, "input_step": input_step, "odd": odd}
    if recipe.scalar is None:
        observer = provisional_observer(recipe, has_gram(weight[0].size))
        steps = weight_steps(weight, levels, observer, recipe.scales, **limits)
    else:
        step = published_step(weight, recipe.scalar, recipe.percentile, levels.hi, gain)
        steps = usable_steps(step * np.abs(np.ones(len(weight)) if gain is None else gain), recipe.scales, **limits)
    rounded = round_to_nearest(weight, steps, levels, odd=odd)
    if "bias" in recipe.corrections:
        bias = corrected_bias(stats, node, weight, bias, rounded * steps.reshape(-1, *[1] * (weight.ndim - 1)))
    return WeightGrid(steps if per_channel else steps[:1], levels, rounded, bias, odd)


def weight_levels(recipe: Recipe) -> tuple[Interval, bool]:
    """The integers of weights by the recipe's levels and bits, and whether they are odd numbers alone."""
    if recipe.levels == "published":
        return published(recipe.weight_bits), False
    return symmetric(recipe.weight_bits), recipe.weight_bits == 1


def provisional_observer(recipe: Recipe, is_solved: bool = False) -> str:
    """The weight observer that needs no samples: "hessian" begins as "mse", as "minmax" where it is sure to follow."""
    if recipe.weight_observer_used != "hessian":
        return recipe.weight_observer_used
    return "minmax" if is_solved else "mse"


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
    levels, odd = weight_levels(recipe)
    rows = array.astype(np.float64).reshape(1, -1)
    steps = weight_steps(rows, levels, provisional_observer(recipe), recipe.scales, per_channel=False, odd=odd)
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
