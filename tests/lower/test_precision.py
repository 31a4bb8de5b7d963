"""What must not cost precision: joins with strangers, masks, narrow multipliers, large biases; names of outputs."""

from __future__ import annotations

import numpy as np
import pytest

from arithmos.errors import RangeError
from arithmos.ir.border import admit
from arithmos.ir.build import Builder
from arithmos.ir.graph import Graph
from arithmos.ir.interpret import evaluate
from arithmos.ir.scale import as_float
from arithmos.lower.calibrate import calibrate
from arithmos.lower.quantize import quantize
from arithmos.lower.recipe import Recipe

RNG = np.random.default_rng(0)
X = RNG.normal(size=(64, 16)).astype(np.float32)


def linear(b: Builder, x: str, n: int, name: str, gain: float = 1.0, bias: float | None = None) -> str:
    weight = (RNG.normal(size=(n, b.values[x].shape[1])) * gain / 4).astype(np.float32)
    extra = [] if bias is None else [b.constant(f"{name}.bias", np.full(n, bias, np.float32))]
    return b.add("linear", x, b.constant(f"{name}.weight", weight), *extra, name=name)


def errors(graph: Graph, recipe: Recipe = Recipe()) -> dict[str, float]:
    """rms error of each output over its standard deviation."""
    net = quantize(graph, calibrate(graph, [X]), recipe)
    got, want = evaluate(net, admit(net, {"x": X})), evaluate(graph, {"x": X}, dtype=np.float64)
    found = {}
    for name in graph.outputs:
        scale = net.values[name].scale
        real = got[name] * (1.0 if scale is None else as_float(scale))
        found[name] = float(np.sqrt(np.mean((real - want[name]) ** 2)) / want[name].std())
    return found


def test_a_join_with_a_coarse_neighbour_leaves_other_readers_their_bits() -> None:
    b = Builder("float")
    x = b.input("x", (-1, 16))
    alone = linear(b, x, 8, "alone")
    joined = b.add("concat", linear(b, x, 8, "coarse", gain=20.0), x, axis=1, name="joined")
    assert errors(b.graph(alone, joined))["alone"] < 0.02


@pytest.mark.parametrize("absent", [-1e9, -1e30])
def test_a_mask_that_writes_minus_infinity_leaves_the_values_their_step(absent: float) -> None:
    b = Builder("float")
    x = b.input("x", (-1, 16))
    mask = b.constant("mask", np.arange(16) % 3 == 0)
    masked = b.add("where", mask, b.constant("absent", np.array(absent)), linear(b, x, 16, "scores"))
    assert errors(b.graph(b.add("reduce_max", masked, axes=(1,), keepdims=False, name="top")))["top"] < 0.03


@pytest.mark.parametrize(("bits", "limit"), [(8, 0.1), (12, 0.06), (24, 0.03)])
def test_a_branch_does_not_vanish_under_narrow_multipliers(bits: int, limit: float) -> None:
    b = Builder("float")
    x = b.input("x", (-1, 16))
    h = b.add("relu", linear(b, x, 16, "first"), name="h")
    y = b.add("relu", b.add("add", linear(b, h, 16, "second"), h, name="join"), name="y")
    assert errors(b.graph(y), Recipe(multiplier_bits=bits))["y"] < limit


def test_a_large_bias_leaves_the_weights_their_bits() -> None:
    b = Builder("float")
    x = b.input("x", (-1, 16))
    assert errors(b.graph(linear(b, x, 4, "head", gain=0.02, bias=300.0)))["head"] < 0.05


def test_a_constant_beyond_64_bits_is_refused() -> None:
    b = Builder("float")
    x = b.input("x", (-1, 16))
    small = b.add("mul", linear(b, x, 4, "fc"), b.constant("tiny", np.array(1e-8)))
    graph = b.graph(b.add("add", small, b.constant("huge", np.array(1e12))))
    with pytest.raises(RangeError, match=r"a constant of .* steps does not fit 64 bits"):
        quantize(graph, calibrate(graph, [X]))


def test_outputs_keep_their_names() -> None:
    b = Builder("float")
    x = b.input("x", (-1, 16))
    first = linear(b, x, 4, "first")
    graph = b.graph(first, b.add("mul", first, b.add("relu", first, name="r"), name="product"))
    assert set(quantize(graph, calibrate(graph, [X])).outputs) == set(graph.outputs)
