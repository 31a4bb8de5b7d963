"""Choose: from what calibration saw, by a recipe, to every step and every integer weight."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

import numpy as np

from arithmos.ir.graph import Graph, producers
from arithmos.lower.calibrate import Stats
from arithmos.lower.choice import Choice, WeightGrid
from arithmos.lower.grids import assign_grids, edge_layers
from arithmos.lower.lower import lower_with
from arithmos.lower.recipe import Recipe
from arithmos.lower.weights import factor_weights, layer_weights, weight_recipe


def layer_recipes(prepared: Graph, recipe: Recipe) -> dict[str, Recipe]:
    """The recipe of the weights of every conv and linear, by its value: overrides and edge_bits applied."""
    edges = {node.output for node in edge_layers(prepared)}
    layers = [node for node in prepared.nodes if node.op in ("conv", "linear")]
    return {n.output: weight_recipe(prepared, recipe, edges, n.output, n.inputs[1]) for n in layers}


def weight_bits(prepared: Graph, recipe: Recipe) -> dict[str, int]:
    """Bits of the weights of every conv and linear, by its value."""
    return {name: local.weight_bits for name, local in layer_recipes(prepared, recipe).items()}


def choose(
    prepared: Graph, stats: Stats, recipe: Recipe = Recipe(), gains: Mapping[str, np.ndarray] = MappingProxyType({})
) -> Choice:
    """The grids of all values and the weights of all layers. gains: what folding multiplied the rows of layers by.

    A layer's weight steps depend on the step of its input (its bias must fit the accumulator), which is known only
    once everything before it is lowered: so the network is lowered once, and what was chosen on the way is kept.
    Raises UsageError for foreign statistics, RangeError where 64 bits are too few.
    """
    grids, locals_ = assign_grids(prepared, stats, recipe), layer_recipes(prepared, recipe)
    layers, edges = producers(prepared), {node.output for node in edge_layers(prepared)}
    weights: dict[str, WeightGrid] = {}

    def choose_weights(name: str, input_step: float) -> WeightGrid:
        node = layers.get(name)
        if node is None:
            chosen = factor_weights(prepared.constants[name], weight_recipe(prepared, recipe, edges, name))
        else:
            gain = None if recipe.fusion else gains.get(name)
            chosen = layer_weights(prepared, stats, locals_[name], node, input_step, gain)
        return weights.setdefault(name, chosen)

    lower_with(prepared, grids, recipe, choose_weights)
    return Choice(grids, weights)
