"""Pooling and reductions: against loops, against torch, and what padding may not do."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import samples
from arithmos.errors import ArithmosError
from arithmos.ir.build import Builder
from arithmos.ir.codec import random_inputs
from arithmos.ir.interpret import evaluate
from arithmos.ir.interval import INT64, Interval, signed
from arithmos.ir.ops import INT
from arithmos.ir.ops.norm import window_sizes


def windows(x: np.ndarray, attrs: dict[str, Any]) -> dict[tuple[int, ...], list[int]]:
    """The real elements under each window, by output index."""
    kernel, stride, padding = attrs["kernel"], attrs["stride"], attrs["padding"]
    counts = [(s + sum(p) - k) // t + 1 for s, p, k, t in zip(x.shape[2:], padding, kernel, stride, strict=True)]
    result = {}
    for n, c, *p in itertools.product(range(len(x)), range(x.shape[1]), *map(range, counts)):
        starts = [i * t - pad[0] for i, t, pad in zip(p, stride, padding, strict=True)]
        cells = itertools.product(
            *(range(max(s, 0), min(s + k, e)) for s, k, e in zip(starts, kernel, x.shape[2:], strict=True))
        )
        result[(n, c, *p)] = [int(x[(n, c, *cell)]) for cell in cells]
    return result


@given(
    st.integers(1, 2).flatmap(
        lambda rank: st.tuples(
            st.just(rank),
            *[st.tuples(*[st.integers(1, 4)] * rank) for _ in range(2)],
            st.tuples(*[st.tuples(st.integers(0, 4), st.integers(0, 4))] * rank),
        )
    )
)
def test_any_pooling_against_loops(shape: tuple[Any, ...]) -> None:
    rank, kernel, stride, padding = shape
    attrs = {"kernel": kernel, "stride": stride, "padding": padding}
    b = Builder("int")
    x = b.input("x", (-1, 2, *[5, 4][:rank]), signed(8))
    try:
        graph = b.graph(b.add("max_pool", x, name="top", **attrs), b.add("sum_pool", x, name="total", **attrs))
    except ArithmosError:
        empty = [cells for cells in windows(np.zeros((1, 2, *[5, 4][:rank])), attrs).values() if not cells]
        assert empty or any(s + sum(p) < k for s, p, k in zip([5, 4], padding, kernel, strict=False))
        return
    inputs = random_inputs(graph, 1)
    y = evaluate(graph, inputs)
    for index, cells in windows(inputs["x"], attrs).items():
        assert cells, "a window of padding alone has no maximum"
        assert (y["top"][index], y["total"][index]) == (max(cells), sum(cells))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_pooling_against_torch(dtype: type) -> None:
    torch = pytest.importorskip("torch", reason="pip install 'arithmos[torch]'")
    F = torch.nn.functional
    x = np.random.default_rng(0).normal(size=(2, 3, 9, 8)).astype(dtype)
    t = torch.from_numpy(x)
    attrs = {"kernel": (3, 2), "stride": (2, 1), "padding": ((1, 1), (0, 0))}
    b = Builder("float")
    name = b.input("x", (-1, 3, 9, 8))
    b.add("max_pool", name, name="max", **attrs)
    for label, count in (("inside", False), ("all", True)):
        b.add("avg_pool", name, name=label, **attrs, count_padding=count, divisor=None)
    b.add("avg_pool", name, name="given", **attrs, count_padding=True, divisor=5)
    b.add("reduce_mean", name, name="mean", axes=(2, 3), keepdims=True)
    values = evaluate(b.graph("mean"), {"x": x}, every=True, dtype=dtype)
    options: dict[str, Any] = {"kernel_size": (3, 2), "stride": (2, 1), "padding": (1, 0)}
    expected = {
        "max": F.max_pool2d(t, **options),
        "inside": F.avg_pool2d(t, **options, count_include_pad=False),
        "all": F.avg_pool2d(t, **options),
        "given": F.avg_pool2d(t, **options, divisor_override=5),
        "mean": F.adaptive_avg_pool2d(t, 1),
    }
    for label, tensor in expected.items():
        assert np.abs(values[label] - tensor.numpy()).max() < (1e-6 if dtype is np.float32 else 1e-15), label


def test_pooling_in_ceil_mode_is_padding_at_the_end() -> None:
    torch = pytest.importorskip("torch", reason="pip install 'arithmos[torch]'")
    x = np.random.default_rng(1).normal(size=(1, 1, 6, 6)).astype(np.float32)
    b = Builder("float")
    attrs = {"kernel": (3, 3), "stride": (2, 2), "padding": ((0, 1), (0, 1))}
    y = b.add("max_pool", b.input("x", (-1, 1, 6, 6)), name="y", **attrs)
    expected = torch.nn.functional.max_pool2d(torch.from_numpy(x), 3, 2, ceil_mode=True).numpy()
    assert np.array_equal(evaluate(b.graph(y), {"x": x})["y"], expected)


def test_padding_is_absent_from_maxima_even_at_the_end_of_int64() -> None:
    b = Builder("int")
    x = b.input("x", (-1, 1, 2), INT64)
    graph = b.graph(b.add("max_pool", x, name="y", kernel=(2,), stride=(1,), padding=((1, 1),)))
    assert evaluate(graph, {"x": np.full((1, 1, 2), INT64.lo)})["y"].tolist() == [[[INT64.lo] * 3]]


def test_the_bound_of_sums_is_attained_and_holds_zero() -> None:
    b = Builder("int")
    x = b.input("x", (-1, 1, 3, 3), Interval(2, 7))
    pool = b.add("sum_pool", x, name="pool", kernel=(3, 3), stride=(1, 1), padding=((1, 1), (1, 1)))
    total = b.add("reduce_sum", x, name="total", axes=(2, 3), keepdims=False)
    graph = b.graph(pool, total)
    assert graph.values["pool"].range == graph.values["total"].range == Interval(0, 63)
    values = evaluate(graph, {"x": np.full((1, 1, 3, 3), 7)})
    assert values["pool"].max() == values["total"].max() == 63


def test_argmax_takes_the_lowest_index_of_a_tie() -> None:
    b = Builder("int")
    graph = b.graph(b.add("argmax", b.input("x", (-1, 4), signed(4)), axis=1, name="y"))
    assert evaluate(graph, {"x": np.array([[1, 3, 3, 0], [-1, -1, -1, -1]])})["y"].tolist() == [1, 0]
    assert graph.values["y"].range == Interval(0, 3)


@given(st.sampled_from(["reduce_sum", "reduce_max"]), st.booleans(), st.sets(st.integers(1, 3), min_size=1))
def test_reductions_against_sorted_axes(op: str, keepdims: bool, axes: set[int]) -> None:
    b = Builder("int")
    x = b.input("x", (-1, 2, 3, 4), signed(8))
    graph = b.graph(b.add(op, x, name="y", axes=tuple(axes), keepdims=keepdims))
    inputs = random_inputs(graph, 2)
    expected = inputs["x"].astype(object)
    for axis in sorted(axes, reverse=True):
        expected = (np.sum if op == "reduce_sum" else np.max)(expected, axis=axis, keepdims=keepdims)
    assert np.array_equal(evaluate(graph, inputs)["y"], expected)


def test_window_sizes() -> None:
    sizes = window_sizes((-1, 8, 5, 4), (3, 3), (2, 2), ((1, 1), (1, 1)))
    assert sizes.tolist() == [[4, 6], [6, 9], [4, 6]]


@pytest.mark.parametrize(
    ("attrs", "why"),
    [
        ({"kernel": (2,), "stride": (2, 2), "padding": ((0, 0), (0, 0))}, "need 2 entries, one for each spatial axis"),
        (
            {"kernel": (2, 2), "stride": (2, 2), "padding": ((2, 0), (0, 0))},
            "leaves windows of (2, 2) without a single element",
        ),
        ({"kernel": (2, 2), "stride": (1, 1), "padding": ((0, 2), (0, 0))}, "leaves the last window of (2, 2) without"),
    ],
)
def test_poolings_that_make_no_sense(attrs: dict[str, Any], why: str) -> None:
    b = Builder("int")
    with pytest.raises(ArithmosError) as caught:
        b.add("max_pool", b.input("x", (-1, 1, 4, 4), signed(4)), **attrs)
    assert why in caught.value.why


def test_every_pool_example_is_in_both_sets() -> None:
    assert INT["max_pool"].examples == INT["sum_pool"].examples
    assert samples.with_batch((-2, 3), 4) == (8, 3)
