"""The engine where shapes, ranges and graphs are at their limits: equal to the interpreter there too."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from arithmos.ir.build import Builder
from arithmos.ir.codec import random_inputs
from arithmos.ir.graph import BATCH
from arithmos.ir.interpret import evaluate
from arithmos.ir.interval import Interval, signed, unsigned
from arithmos.targets.engine import prepare
from arithmos.targets.engine.backend import BACKENDS
from arithmos.targets.engine.planner import plan
from engine_backends import DIFFERENT, TESTED, assert_same
from factories import conv, int8_weight


@pytest.mark.parametrize("backend", TESTED)
@pytest.mark.parametrize("shape", [(1, 4), (1, 4, 1, 1)])
def test_weights_whose_magnitudes_sum_beyond_int64_are_exact(shape: tuple[int, ...], backend: str) -> None:
    """The sum of |w| does not fit int64, though every result does."""
    build = Builder("int")
    x = build.input("x", (BATCH, *shape[1:]), Interval(0, 1))
    weight = np.array([1 << 62, (1 << 62) - 1, -(1 << 62), -(1 << 62)]).reshape(shape)
    is_linear = len(shape) == 2
    y = build.add("linear", x, build.constant("w", weight)) if is_linear else conv(build, x, weight)
    graph = build.graph(y)
    assert_same(graph, random_inputs(graph, 20), backend)


@pytest.mark.parametrize("backend", DIFFERENT)
def test_the_least_int64_as_a_constant_is_exact(backend: str) -> None:
    """Its magnitude is no int64: np.abs gives it back negative."""
    build = Builder("int")
    x = build.input("x", (BATCH, 4, 3, 3), unsigned(8))
    acc = conv(build, x, int8_weight(np.random.default_rng(0), 4, 4, 1, 1) & 7)
    total = build.add("add", acc, build.constant("c", np.array(-(1 << 63))))
    graph = build.graph(build.add("requantize", total, shift=40, lo=-(1 << 23), hi=127))
    assert_same(graph, random_inputs(graph, 5), backend)


@pytest.mark.parametrize("backend", DIFFERENT)
def test_nodes_that_no_output_needs_cost_nothing(backend: str) -> None:
    """A dead value with a dead reader, and a node on the host between them."""
    build = Builder("int")
    x = build.input("x", (BATCH, 4), unsigned(8))
    dead = build.add("requantize", x, shift=1, lo=0, hi=100)
    root = build.add("isqrt", x)
    build.add("requantize", dead, shift=1, lo=0, hi=9)
    graph = build.graph(root)
    assert_same(graph, random_inputs(graph, 5), backend)
    segments = plan(graph, BACKENDS[backend]().library, every=False)
    assert [s.writes for s in segments] == [(root,)]


@pytest.mark.parametrize("backend", DIFFERENT)
@pytest.mark.parametrize("axis", [1, 3])
def test_multipliers_along_any_axis_behind_a_pool(axis: int, backend: str) -> None:
    """The convolution lies channels first; multipliers of the last axis are not its channels'."""
    build = Builder("int")
    x = build.input("x", (BATCH, 3, 6, 6), signed(8))
    acc = conv(build, x, int8_weight(np.random.default_rng(0), 3, 3, 3, 3), padding=((1, 1), (1, 1)))
    pooled = build.add("max_pool", acc, kernel=(2, 2), stride=(2, 2), padding=((0, 0), (0, 0)))
    multiplier = np.array([3, 7, 11]).reshape((3, 1, 1) if axis == 1 else (3,))
    graph = build.graph(build.add("requantize", pooled, build.constant("m", multiplier), shift=8, lo=-128, hi=127))
    assert_same(graph, random_inputs(graph, 5), backend)


@pytest.mark.parametrize("backend", DIFFERENT)
def test_a_pool_over_the_channels_of_a_linear_layer(backend: str) -> None:
    """Multipliers lie along the layer's last axis, over which the windows run."""
    build = Builder("int")
    x = build.input("x", (BATCH, 3, 6), signed(8))
    acc = build.add("linear", x, build.constant("w", int8_weight(np.random.default_rng(0), 8, 6)))
    pooled = build.add("max_pool", acc, kernel=(2,), stride=(2,), padding=((0, 0),))
    multiplier = build.constant("m", np.array([3, 7, 11, 5]))
    graph = build.graph(build.add("requantize", pooled, multiplier, shift=8, lo=-128, hi=127))
    assert_same(graph, random_inputs(graph, 5), backend)


@pytest.mark.parametrize("backend", DIFFERENT)
@pytest.mark.parametrize("shape", [(), (4,)])
def test_values_without_a_batch(shape: tuple[int, ...], backend: str) -> None:
    """Of rank 0 and 1, with every shape kept."""
    build = Builder("int")
    x = build.input("x", shape, signed(8))
    twice = build.add("add", x, x)
    total = build.add("reduce_sum", twice, axes=(0,), keepdims=False) if shape else twice
    rounded = build.add("requantize", total, build.constant("m", np.array(5)), shift=4, lo=-128, hi=127)
    graph = build.graph(twice, rounded, build.add("maximum", rounded, total), build.add("reshape", x, shape=shape))
    inputs = {"x": np.full(shape, -7, dtype=np.int8)}
    assert_same(graph, inputs, backend)
    every = prepare(graph, True, backend=backend)(inputs)
    assert {name: a.shape for name, a in every.items()} == {name: graph.values[name].shape for name in every}


@pytest.mark.parametrize("backend", DIFFERENT)
def test_convolution_over_four_spatial_axes(backend: str) -> None:
    build = Builder("int")
    x = build.input("x", (BATCH, 2, 3, 3, 3, 3), signed(8))
    weight = int8_weight(np.random.default_rng(0), 4, 2, 2, 2, 2, 2)
    attrs: dict[str, Any] = {"stride": (1, 2, 1, 1), "padding": ((1, 0),) * 4, "dilation": (1,) * 4, "groups": 1}
    graph = build.graph(build.add("conv", x, build.constant("w", weight), **attrs))
    assert_same(graph, random_inputs(graph, 3), backend)


def test_a_very_deep_network_is_planned() -> None:
    """No recursion over nodes: more of them than the stack of the interpreter is deep."""
    build = Builder("int")
    x = build.input("x", (BATCH, 4), unsigned(8))
    y = build.add("requantize", x, shift=1, lo=0, hi=255)
    z = build.add("isqrt", x)
    for _ in range(1200):
        y = build.add("clip", y, lo=0, hi=None)
    graph = build.graph(z, y)
    inputs = random_inputs(graph, 3)
    np.testing.assert_array_equal(prepare(graph, False)(inputs)[y], evaluate(graph, inputs)[y])
