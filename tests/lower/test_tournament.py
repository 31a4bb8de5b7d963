"""Maxima as differences: the same maxima, in the least rounds, and with polynomials within R times E a round."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

import arithmos as ar
from arithmos.approx.sets import sign_set
from arithmos.ir.build import Builder
from arithmos.ir.check import check
from arithmos.ir.graph import Graph, consumers
from arithmos.ir.interpret import evaluate
from arithmos.ir.ops.op import ShapeError
from arithmos.ir.ops.pool import OPS
from arithmos.lower.expand import expand
from arithmos.lower.tournament import phases, rounds


def pooled(size: tuple[int, ...], **attrs: object) -> Graph:
    b = Builder("float")
    return b.graph(b.add("max_pool", b.input("x", (-1, 2, *size)), name="pool", **attrs))


windows = st.tuples(
    st.tuples(st.integers(3, 9), st.integers(3, 9)),
    st.tuples(st.integers(1, 5), st.integers(1, 5)),
    st.tuples(st.integers(1, 3), st.integers(1, 3)),
    st.tuples(st.tuples(st.integers(0, 2), st.integers(0, 3)), st.tuples(st.integers(0, 2), st.integers(0, 3))),
)


@given(windows)
def test_the_maxima_are_the_same(window: tuple) -> None:
    """Any kernel, stride and padding, wider behind than in front as ceil_mode makes it; integers, so `==` is exact."""
    size, kernel, stride, padding = window
    attrs = {"kernel": kernel, "stride": stride, "padding": padding}
    try:
        OPS["max_pool"].infer((-1, 2, *size), **attrs)
    except ShapeError:
        assume(False)
    graph = pooled(size, **attrs)
    expanded = expand(graph).graph
    check(expanded)
    assert {node.op for node in expanded.nodes} <= {"slice", "concat", "sub", "relu", "add"}
    assert expanded.outputs == graph.outputs
    x = np.random.default_rng(0).integers(-99, 99, (2, 2, *size)).astype(np.float64)
    assert np.array_equal(*(evaluate(g, {"x": x}, dtype=np.float64)["pool"] for g in (graph, expanded)))


@pytest.mark.parametrize(
    ("kernel", "expected"),
    [((2, 2), 2), ((3, 3), 4), ((5, 5), 5), ((3,), 2), ((1, 3), 2), ((2, 2, 2), 3), ((4, 3), 4), ((7, 7), 6)],
)
def test_the_rounds_are_the_fewest(kernel: tuple[int, ...], expected: int) -> None:
    size = tuple(k + 2 for k in kernel)
    graph = expand(pooled(size, kernel=kernel, stride=(1,) * len(kernel), padding=((0, 0),) * len(kernel))).graph
    depth: dict[str, int] = {}
    for node in graph.nodes:
        depth[node.output] = max(depth.get(name, 0) for name in node.inputs) + (node.op == "relu")
    assert depth["pool"] == expected == rounds(math.prod(kernel))


def test_rows_are_shared() -> None:
    """3 x 3: two comparisons a row and two of rows; at stride 2 there are twice as many rows as results."""
    assert phases((3, 3)) == [(1,), (0,)] and phases((5, 5)) == [(0, 1)]
    for stride, compared in ((1, 4), (2, 6)):
        size = (8 * stride + 3 - stride,) * 2
        graph = expand(pooled(size, kernel=(3, 3), stride=(stride, stride), padding=((0, 0), (0, 0)))).graph
        results = math.prod(graph.values["pool"].shape[2:])
        comparisons = sum(math.prod(graph.values[n.output].shape[2:]) for n in graph.nodes if n.op == "relu")
        assert comparisons / results == pytest.approx(compared, rel=0.15)


@pytest.mark.parametrize(
    ("kernel", "stride", "padding"),
    [((2, 2), (2, 2), ((0, 0), (0, 0))), ((3, 3), (2, 2), ((1, 1), (1, 1))), ((3, 3), (2, 2), ((0, 1), (0, 1)))],
)
def test_polynomials_are_within_the_bound(kernel: tuple, stride: tuple, padding: tuple) -> None:
    """|m - max| <= sum over rounds of R E, R the largest difference the round takes and E the composite's error."""
    graph = pooled((12, 12), kernel=kernel, stride=stride, padding=padding)
    x = np.random.default_rng(1).normal(size=(8, 2, 12, 12)).astype(np.float32)
    stats = ar.calibrate(graph, [x])
    for alpha in (4, 8):
        net = ar.approximate(graph, stats, ar.Recipe(alpha=alpha))
        error = sign_set(alpha, offset=False).error
        bounds = [node.attrs["bound"] for node in net.nodes if node.op == "polynomial"]
        assert error is not None and len(bounds) == sum(rounds(k) for k in kernel)
        off = np.abs(ar.run(net, x, dtype=np.float64) - ar.run(graph, x, dtype=np.float64)).max()
        assert 0 < off <= sum(bounds) * error


def test_differences_have_their_own_interval() -> None:
    """B_max for differences, B_relu for activations; the measured R is the largest difference times the margin."""
    b = Builder("float")
    pool = b.add(
        "max_pool", b.input("x", (-1, 1, 4, 4)), name="pool", kernel=(2, 2), stride=(2, 2), padding=((0, 0), (0, 0))
    )
    graph = b.graph(b.add("relu", pool, name="y"))
    x = np.random.default_rng(2).normal(size=(4, 1, 4, 4)).astype(np.float32)
    stats = ar.calibrate(graph, [x])
    given_bounds = {
        n.output: n.attrs["bound"]
        for n in ar.approximate(graph, stats, ar.Recipe(B_relu=7, B_max=9)).nodes
        if n.op == "polynomial"
    }
    assert given_bounds == {"pool.excess": 9.0, "pool.excess.1": 9.0, "y": 7.0}
    measured = ar.approximate(graph, stats, ar.Recipe(margin=1.5))
    first = next(n for n in measured.nodes if n.output == "pool.excess")
    assert first.attrs["bound"] == pytest.approx(1.5 * np.abs(x[..., 0::2] - x[..., 1::2]).max())


def test_samples_that_are_not_kept_widen_the_differences() -> None:
    """Differences are measured on the kept samples, and grow with what all of them reached."""
    graph = pooled((4, 4), kernel=(2, 2), stride=(2, 2), padding=((0, 0), (0, 0)))
    x = np.random.default_rng(3).normal(size=(4, 2, 4, 4)).astype(np.float32)
    near, far = (ar.calibrate(graph, batches, keep=4) for batches in ([x], [x, 3 * x]))
    bounds = [
        [n.attrs["bound"] for n in ar.approximate(graph, stats, ar.Recipe(alpha=4)).nodes if n.op == "polynomial"]
        for stats in (near, far)
    ]
    assert np.allclose(bounds[1], 3 * np.array(bounds[0]))


def test_exact_maxima_stay() -> None:
    graph = pooled((4, 4), kernel=(2, 2), stride=(2, 2), padding=((0, 0), (0, 0)))
    assert [n.op for n in expand(graph, exact_maxima=True).graph.nodes] == ["max_pool"]
    assert consumers(graph)["x"]
