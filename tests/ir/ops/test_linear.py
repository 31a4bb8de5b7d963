"""Convolution, linear, matmul: against loops in Python's integers, against torch, and bounds that are attained."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import samples
from arithmos.errors import ArithmosError, RangeError
from arithmos.ir.build import Builder
from arithmos.ir.codec import random_inputs
from arithmos.ir.graph import Graph
from arithmos.ir.interpret import evaluate
from arithmos.ir.interval import INT64, Interval, signed
from arithmos.ir.ops import FLOAT, INT

CONV = range(len(INT["conv"].examples))


def looped(x: np.ndarray, w: np.ndarray, b: np.ndarray | None, attrs: dict[str, Any]) -> np.ndarray:
    """y[n, o, p] = b[o] + sum of w[o, c, k] x[n, c', p stride + k dilation - padding], number by number."""
    space, kernel, groups = x.shape[2:], w.shape[2:], attrs["groups"]
    counts = [
        (size + sum(pad) - d * (k - 1) - 1) // s + 1
        for size, k, s, pad, d in zip(space, kernel, attrs["stride"], attrs["padding"], attrs["dilation"], strict=True)
    ]
    y = np.empty((len(x), len(w), *counts), dtype=object)
    for n, o, *p in itertools.product(range(len(x)), range(len(w)), *map(range, counts)):
        total = 0 if b is None else int(b[o])
        first = o // (len(w) // groups) * w.shape[1]
        for c, *k in itertools.product(range(w.shape[1]), *map(range, kernel)):
            at = [
                i * s + j * d - pad[0]
                for i, j, s, d, pad in zip(p, k, attrs["stride"], attrs["dilation"], attrs["padding"], strict=True)
            ]
            if all(0 <= a < size for a, size in zip(at, space, strict=True)):
                total += int(w[(o, c, *k)]) * int(x[(n, first + c, *at)])
        y[(n, o, *p)] = total
    return y


@pytest.mark.parametrize("number", CONV)
def test_convolution_against_loops(number: int) -> None:
    graph = samples.example_graph("conv", INT["conv"].examples[number], seed=number)
    inputs = random_inputs(graph, 2)
    bias = graph.constants.get("c2")
    expected = looped(inputs["x0"], graph.constants["c1"], bias, dict(graph.nodes[0].attrs))
    assert np.array_equal(evaluate(graph, inputs)["y"], expected)


@given(
    st.integers(1, 2).flatmap(
        lambda rank: st.tuples(
            st.just(rank),
            st.integers(1, 2),
            st.integers(1, 2),
            st.integers(1, 2),
            *[st.tuples(*[st.integers(1, 3)] * rank) for _ in range(3)],
            st.tuples(*[st.tuples(st.integers(0, 2), st.integers(0, 2))] * rank),
        )
    ),
    st.integers(0, 1 << 32),
)
def test_any_convolution_against_loops(shape: tuple[Any, ...], seed: int) -> None:
    rank, groups, inner, outer, kernel, stride, dilation, padding = shape
    rng = np.random.default_rng(seed)
    b = Builder("int")
    x = b.input("x", (-1, groups * inner, *[6] * rank), signed(8))
    w = b.constant("w", rng.integers(-127, 128, (groups * outer, inner, *kernel)))
    attrs = {"stride": stride, "dilation": dilation, "padding": padding, "groups": groups}
    try:
        graph = b.graph(b.add("conv", x, w, name="y", **attrs))
    except ArithmosError:
        reach = [(k - 1) * d + 1 for k, d in zip(kernel, dilation, strict=True)]
        assert any(6 + sum(pad) < r for pad, r in zip(padding, reach, strict=True)), "refused without need"
        return
    inputs = random_inputs(graph, 1, seed % 1000)
    assert np.array_equal(evaluate(graph, inputs)["y"], looped(inputs["x"], b.constants["w"], None, attrs))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("number", CONV)
def test_convolution_against_torch(number: int, dtype: type) -> None:
    torch = pytest.importorskip("torch", reason="pip install 'arithmos[torch]'")
    example = FLOAT["conv"].examples[number]
    graph = samples.example_graph("conv", example, seed=number, op_set="float")
    rng = np.random.default_rng(number)
    x = rng.normal(size=samples.with_batch(example.operands[0].shape, 2)).astype(dtype)
    attrs = graph.nodes[0].attrs
    sides = [side for pad in reversed(attrs["padding"]) for side in pad]
    padded = torch.nn.functional.pad(torch.from_numpy(x), sides)
    rest = [torch.from_numpy(a.astype(dtype)) for a in graph.constants.values()]
    function = torch.nn.functional.conv1d if x.ndim == 3 else torch.nn.functional.conv2d
    options = {key: attrs[key] for key in ("stride", "dilation", "groups")}
    expected = function(padded, *rest, **options).numpy()
    y = evaluate(graph, {"x0": x}, dtype=dtype)["y"]
    scale = np.abs(expected).max()
    assert np.abs(y - expected).max() <= scale * (1e-5 if dtype is np.float32 else 1e-13)


def test_linear_and_matmul_against_exact_products() -> None:
    for op, number in [example for example in samples.INT_EXAMPLES if example[0] in ("linear", "matmul")]:
        graph = samples.example_graph(op, INT[op].examples[number], seed=number)
        inputs = random_inputs(graph, 2)
        exact = [(inputs | dict(graph.constants))[name].astype(object) for name in graph.nodes[0].inputs]
        if op == "linear":
            expected = exact[0] @ exact[1].T + (exact[2] if len(exact) > 2 else 0)
        else:
            expected = exact[0] @ exact[1]
        assert np.array_equal(evaluate(graph, inputs)["y"], expected)


# --- bounds ---------------------------------------------------------------------------------------------------------


def extremes(graph: Graph, w: np.ndarray, lo: int, hi: int) -> tuple[int, int]:
    """The least and the greatest output over inputs built against each output channel: hi where w pays, else lo."""
    rows = []
    for row in w:
        rows += [np.where(row > 0, hi, lo), np.where(row > 0, lo, hi)]
    y = evaluate(graph, {"x": np.stack(rows)})["y"]
    return int(y.min()), int(y.max())


@given(st.integers(0, 1 << 32), st.sampled_from([(-128, 127), (0, 255), (-7, 0), (-3, 100)]))
def test_the_bound_of_linear_is_attained(seed: int, ends: tuple[int, int]) -> None:
    rng = np.random.default_rng(seed)
    w, bias = rng.integers(-127, 128, (4, 9)), rng.integers(-9999, 9999, 4)
    b = Builder("int")
    x = b.input("x", (-1, 9), Interval(*ends))
    graph = b.graph(b.add("linear", x, b.constant("w", w), b.constant("b", bias), name="y"))
    assert Interval(*extremes(graph, w, *ends)) == graph.values["y"].range


@given(st.integers(0, 1 << 32), st.sampled_from([1, 2]))
def test_the_bound_of_convolution_is_attained(seed: int, groups: int) -> None:
    rng = np.random.default_rng(seed)
    w = rng.integers(-127, 128, (4, 3, 2, 3))
    b = Builder("int")
    x = b.input("x", (-1, 3 * groups, 2, 3), signed(8))
    attrs = {"stride": (1, 1), "padding": ((1, 1), (0, 2)), "dilation": (1, 1), "groups": groups}
    graph = b.graph(b.add("conv", x, b.constant("w", w), name="y", **attrs))
    assert Interval(*extremes(graph, np.tile(w, (1, groups, 1, 1)), -128, 127)) == graph.values["y"].range


def test_a_range_without_zero_is_widened_because_padding_and_partial_sums_are_zero() -> None:
    b = Builder("int")
    x = b.input("x", (-1, 1, 1), Interval(5, 9))
    attrs = {"stride": (1,), "padding": ((1, 1),), "dilation": (1,), "groups": 1}
    graph = b.graph(b.add("conv", x, b.constant("w", np.array([[[2]]])), name="y", **attrs))
    assert graph.values["y"].range == Interval(0, 18)
    assert evaluate(graph, {"x": np.array([[[9]]])})["y"].tolist() == [[[0, 18, 0]]]


def test_weight_sums_beyond_int64_are_seen() -> None:
    for weight in (1 << 62, -(1 << 62), INT64.lo):
        b = Builder("int")
        x, w = b.input("x", (-1, 8), Interval(-1, 1)), b.constant("w", np.full((2, 8), weight))
        with pytest.raises(RangeError, match=r"need 6[78] bits, int64 has 64"):
            b.add("linear", x, w)


@given(st.integers(0, 1 << 32))
def test_bounds_at_the_edge_of_int64_are_exact(seed: int) -> None:
    rng = np.random.default_rng(seed)
    w = rng.integers(-(1 << 60), 1 << 60, (3, 6))
    b = Builder("int")
    x = b.input("x", (-1, 6), Interval(-1, 2))
    exact = [
        (int(np.sum(np.where(r > 0, r, 0).astype(object))), int(np.sum(np.where(r < 0, r, 0).astype(object))))
        for r in w
    ]
    low, high = min(-p + 2 * m for p, m in exact), max(2 * p - m for p, m in exact)
    if low >= INT64.lo and high <= INT64.hi:
        graph = b.graph(b.add("linear", x, b.constant("w", w), name="y"))
        assert graph.values["y"].range == Interval(low, high) == Interval(*extremes(graph, w, -1, 2))
    else:
        with pytest.raises(RangeError):
            b.add("linear", x, b.constant("w", w))


def test_matmul_over_the_batch_is_refused() -> None:
    b = Builder("int")
    x = b.input("x", (-1, 3), signed(4))
    with pytest.raises(ArithmosError, match=r"matmul of \(3, -1\) and \(-1, 3\) sums over the batch"):
        b.add("matmul", b.add("transpose", x, perm=(1, 0)), x)


@pytest.mark.parametrize(
    ("x", "w", "bias", "change", "why"),
    [
        ((-1, 3, 5, 5), (4, 2, 3, 3), None, {}, "input has 3 channels, weight (4, 2, 3, 3) with 1 groups wants 2"),
        ((-1, 4, 5, 5), (3, 2, 3, 3), None, {"groups": 2}, "3 output channels do not divide into 2 groups"),
        ((-1, 3, 5, 5), (4, 3, 3, 3), (3,), {}, "bias must have shape (4,), got (3,)"),
        (
            (-1, 3, 5, 5),
            (4, 3, 6, 3),
            None,
            {},
            "kernel (6, 3) with dilation (1, 1) is larger than the padded input (5, 5)",
        ),
        ((-1, 3, 5, 5), (4, 3, 3, 3), None, {"stride": (1,)}, "kernel, stride, padding and dilation need 2 entries"),
        ((-1, 3, 5, 5), (4, 3, 3, 3), None, {"stride": (0, 1)}, "stride, dilation and kernel must be positive"),
        ((-1, 3, 5, 5), (4, 3, 3, 3), None, {"padding": ((0, -1), (0, 0))}, "padding must not be negative (use slice)"),
        (
            (-1, 3),
            (4, 3),
            None,
            {},
            "conv takes (batch, channel, space...) and as many weight axes, got (-1, 3), (4, 3)",
        ),
    ],
)
def test_convolutions_that_make_no_sense(x: Any, w: Any, bias: Any, change: dict[str, Any], why: str) -> None:
    b = Builder("int")
    names = [b.input("x", x, signed(4)), b.constant("w", np.ones(w, int))]
    if bias:
        names.append(b.constant("b", np.ones(bias, int)))
    attrs = {"stride": (1, 1), "padding": ((0, 0), (0, 0)), "dilation": (1, 1), "groups": 1, **change}
    with pytest.raises(ArithmosError) as caught:
        b.add("conv", *names, **attrs)
    assert why in caught.value.why
