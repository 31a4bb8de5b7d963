"""Weights on their grids under float activations: the graph says what the choice says, and nothing else changes."""

from __future__ import annotations

import dataclasses

import numpy as np

from arithmos.ir.build import Builder
from arithmos.ir.check import check
from arithmos.ir.interpret import evaluate
from arithmos.lower.calibrate import calibrate
from arithmos.lower.derived import along
from arithmos.lower.float_activations import float_activations
from arithmos.lower.quantize import decide
from arithmos.lower.recipe import Recipe
from lower.trained import CALIBRATION, trained

COARSE = Recipe(rounding="gpfq", overrides={"*": {"weight_bits": 3}}, corrections=("bias", "batch_norm"))


def test_weights_and_biases_are_those_of_the_choice() -> None:
    graph, stats = trained()
    prepared, choice = decide(graph, stats, COARSE)
    alone = float_activations(prepared, choice)
    check(alone)
    assert [n.output for n in alone.nodes] == [n.output for n in prepared.nodes]
    for node in alone.nodes:
        chosen = choice.weights.get(node.output)
        if chosen is None:
            continue
        weight = alone.constants[node.inputs[1]]
        assert np.array_equal(weight, (chosen.integers * along(chosen.steps, -weight.ndim)).astype(np.float32))
        assert chosen.bias is not None
        assert np.array_equal(alone.constants[node.inputs[2]], chosen.bias.astype(np.float32))


def test_many_bits_are_the_float_network() -> None:
    graph, stats = trained()
    recipe = dataclasses.replace(COARSE, overrides={"*": {"weight_bits": 16}}, corrections=(), error_correction="none")
    alone = float_activations(*decide(graph, stats, recipe))
    real, found = (evaluate(g, {"x": CALIBRATION})[graph.outputs[0]] for g in (graph, alone))
    assert np.abs(real - found).max() < 1e-3 * np.abs(real).max()


def test_constant_factors_of_a_product_are_weights_too() -> None:
    rng = np.random.default_rng(0)
    b = Builder("float")
    factor = b.constant("factor", rng.normal(size=(5, 7)).astype(np.float32))
    graph = b.graph(b.add("matmul", b.input("x", (-1, 5)), factor, name="y"))
    prepared, choice = decide(
        graph, calibrate(graph, [rng.normal(size=(20, 5)).astype(np.float32)]), Recipe(weight_bits=3)
    )
    alone = float_activations(prepared, choice)
    (node,) = alone.nodes
    chosen = choice.weights["factor"]
    assert np.array_equal(alone.constants[node.inputs[1]], (chosen.integers * chosen.steps).astype(np.float32))
