"""Lower: a prepared float graph and a choice of all its steps -> integers, rule by rule."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from arithmos.ir.graph import Graph
from arithmos.ir.interval import Interval
from arithmos.ir.scale import exact_scale
from arithmos.lower.choice import Choice, WeightGrid
from arithmos.lower.derived import Derived
from arithmos.lower.factor import Factor, constant
from arithmos.lower.form import Form, single
from arithmos.lower.lowering import Lowering, Weights
from arithmos.lower.recipe import Recipe
from arithmos.lower.rules import RULES
from arithmos.quant.grid import Grid


@dataclass(frozen=True, slots=True, eq=False)
class Lowered:
    """An integer network before the finishing passes, and how its constants follow from steps and float parameters.

    derived: by integer constant. None have one: table entries, masks and indices, and weights that were not rounded to
    nearest. A constant is narrower than its derivation where the numbers repeat. steps: by owner, those of the choice
    and "NAME.aligned" of outputs that were put on one step, which follows from the others. outputs: the step of each.
    fixed: the owners of steps that tables were made with.
    """

    net: Graph
    derived: Mapping[str, Derived]
    steps: Mapping[str, np.ndarray]
    outputs: Mapping[str, Factor]
    fixed: frozenset[str]


def lower(prepared: Graph, choice: Choice, recipe: Recipe = Recipe()) -> Lowered:
    """The integer network of a choice; of the recipe only joins and multiplier_bits count here."""

    def chosen(name: str, input_step: float) -> WeightGrid:
        return choice.weights[name]

    return lower_with(prepared, choice.grids, recipe, chosen)


def lower_with(prepared: Graph, grids: Mapping[str, Grid], recipe: Recipe, weights: Weights) -> Lowered:
    """Rule by rule, in graph order, asking for the weights of a layer when it comes; then each output on one step."""
    state = Lowering(prepared, grids, recipe, weights)
    for name in prepared.inputs:
        _bind_input(state, name)
    for node in prepared.nodes:
        for name in node.inputs:
            array = state.array(name)
            if array is not None and name not in state.forms:
                state.bind(name, Form((), np.asarray(array, dtype=np.float64)))
        state.bind(node.output, RULES[node.op](state, node))
    outputs = [state.output(name) for name in prepared.outputs]
    return Lowered(state.builder.graph(*outputs), state.derived, state.steps, state.outputs, frozenset(state.fixed))


def _bind_input(state: Lowering, name: str) -> None:
    """An input becomes integers on its grid; one that only indexes rows is integers already."""
    value = state.value(name)
    if name in state.grids:
        grid = state.grids[name]
        state.builder.input(name, value.shape, grid.range, exact_scale(grid.step), value.source)
        state.bind(name, single(name, state.grid_step(name)))
        return
    rows = [n for n in state.consumers[name] if n.op == "gather" and n.inputs[1] == name]
    count = min(state.value(n.inputs[0]).shape[0] for n in rows)
    state.builder.input(name, value.shape, Interval(0, count - 1), None, value.source)
    state.bind(name, single(name, constant(1.0)))
