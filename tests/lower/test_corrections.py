"""The corrections of a recipe: the bias takes up the mean error, equalisation evens the channels out."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from arithmos.ir.border import admit
from arithmos.ir.build import Builder
from arithmos.ir.graph import Graph
from arithmos.ir.interpret import evaluate
from arithmos.ir.scale import as_float
from arithmos.lower.calibrate import Stats, calibrate
from arithmos.lower.quantize import prepare, quantize
from arithmos.lower.recipe import Recipe
from arithmos.passes.equalize import equalize
from lower.trained import CALIBRATION, TEST, integers, relative_error, trained


def mean_shift(graph: Graph, net: Graph) -> float:
    """How far the mean of the logits moves, over their spread."""
    value = net.values[net.outputs[0]]
    assert value.scale is not None
    real = evaluate(graph, {"x": CALIBRATION}, dtype=np.float64)[graph.outputs[0]]
    y = integers(net, CALIBRATION)[value.name] * as_float(value.scale)
    return float(np.abs((y - real).mean(axis=0)).mean() / real.std())


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_bias_correction_reduces_the_mean_error(seed: int) -> None:
    graph, stats = trained(seed)
    coarse = Recipe(weight_bits=3, edge_bits=3, activation_bits=12, weight_observer="minmax")
    plain, corrected = (
        mean_shift(graph, quantize(graph, stats, dataclasses.replace(coarse, corrections=c))) for c in ((), ("bias",))
    )
    assert corrected < 0.7 * plain


def one_layer(kind: str) -> tuple[Graph, Stats, np.ndarray]:
    """Layers whose channel axis could be taken for another one: as many positions as channels."""
    rng = np.random.default_rng(4)
    b = Builder("float")
    x = b.input("x", (-1, 5, 5))
    if kind == "conv":
        weight = b.constant("w", rng.normal(size=(6, 5, 1)))
        y = b.add("conv", x, weight, stride=(1,), padding=((0, 0),), dilation=(1,), groups=1)
    else:
        y = b.add("linear", x, b.constant("w", rng.normal(size=(6, 5))))
    graph = b.graph(y)
    means = rng.normal(size=(1, 5, 1)) if kind == "conv" else rng.normal(size=(1, 1, 5))
    data = means * 3 + rng.normal(size=(200, 5, 5)) / 5
    return graph, calibrate(graph, [data]), data


@pytest.mark.parametrize("kind", ["conv", "linear"])
def test_bias_correction_knows_channels_from_features(kind: str) -> None:
    graph, stats, data = one_layer(kind)
    recipe = Recipe(
        weight_bits=2,
        edge_bits=2,
        weight_observer="minmax",
        corrections=("bias",),
        overrides={"x": {"activation_bits": 16}},
    )
    net = quantize(graph, stats, recipe)
    value = net.values[net.outputs[0]]
    assert value.scale is not None
    y = evaluate(net, admit(net, {"x": data}))[value.name] * as_float(value.scale)
    axes = (0, 2) if kind == "conv" else (0, 1)
    real = evaluate(graph, {"x": data}, dtype=np.float64)[graph.outputs[0]]
    assert np.abs((y - real).mean(axis=axes)).max() < 0.05 * real.std()


def test_equalisation_keeps_the_function_and_the_stats_follow() -> None:
    graph, stats = trained(0, batch_norm=False)
    prepared = prepare(graph)
    equal = equalize(prepared)
    assert not np.allclose(equal.constants["layer1.conv1.weight"], prepared.constants["layer1.conv1.weight"])
    one, two = (evaluate(g, {"x": TEST}, dtype=np.float64)["fc"] for g in (graph, equal))
    assert np.allclose(one, two, rtol=1e-4, atol=1e-5)
    coarse = Recipe(weight_bits=5, weight_scale="tensor", corrections=("equalize", "bias"))
    assert relative_error(graph, quantize(graph, stats, coarse)) < 0.15


def test_equalised_layers_get_statistics_of_their_own() -> None:
    """Channels of very different sizes: one weight scale for all, and old activation ranges, would ruin them."""
    rng = np.random.default_rng(6)
    plain = {"stride": (1, 1), "padding": ((1, 1), (1, 1)), "dilation": (1, 1), "groups": 1}
    size = 10.0 ** rng.uniform(-2, 2, 8)
    b = Builder("float")
    one = b.constant("one", rng.normal(size=(8, 3, 3, 3)) * size.reshape(8, 1, 1, 1))
    two = b.constant("two", rng.normal(size=(4, 8, 3, 3)) / size.reshape(1, 8, 1, 1))
    hidden = b.add("relu", b.add("conv", b.input("x", (-1, 3, 12, 12)), one, name="first", **plain), name="hidden")
    graph = b.graph(b.add("conv", hidden, two, name="second", **plain))
    stats = calibrate(graph, [CALIBRATION])
    recipe = Recipe(weight_scale="tensor")
    assert relative_error(graph, quantize(graph, stats, recipe)) > 0.1
    assert relative_error(graph, quantize(graph, stats, dataclasses.replace(recipe, corrections=("equalize",)))) < 0.02
