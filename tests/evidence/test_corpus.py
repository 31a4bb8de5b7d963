"""Inputs of a verification: reproducible, inside the input range, at its corners, and on rounding ties."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import factories
from arithmos.evidence.corpus import batches, corpus
from arithmos.evidence.ties import can_tie, count_ties, solve, targets
from arithmos.ir.build import Builder
from arithmos.ir.graph import Graph, Node
from arithmos.ir.interpret import evaluate
from arithmos.ir.interval import Interval, interval_of, signed, unsigned


def rounding(weight: np.ndarray, mul: int, shift: int) -> Graph:
    """A convolution and the rounding of its accumulators."""
    b = Builder("int")
    x = b.input("x", (-1, weight.shape[1], 8, 8), unsigned(8))
    acc = factories.conv(b, x, weight, np.arange(len(weight)), name="acc", padding=((1, 1), (1, 1)))
    narrow = b.add("requantize", acc, factories.number(b, mul), shift=shift, lo=-100, hi=100, name="narrow")
    return b.graph(narrow)


def test_kinds_counts_and_ranges() -> None:
    graph = factories.residual_cnn()
    given_images = {"image": np.zeros((3, 3, 12, 12), dtype=np.uint8)}
    parts = corpus(graph, given_images, uniform=5, corners=7, ties=4, seed=3)
    assert [(part.kind, part.n) for part in parts] == [("given", 3), ("uniform", 5), ("corners", 7), ("ties", 4)]
    for part in parts:
        assert part.inputs["image"].shape == (part.n, 3, 12, 12)
        assert part.inputs["image"].dtype == np.uint8
    np.testing.assert_array_equal(parts[0].inputs["image"], given_images["image"])


def test_the_seed_decides_everything() -> None:
    graph = factories.residual_cnn()

    def drawn(seed: int) -> bytes:
        return b"".join(part.inputs["image"].tobytes() for part in corpus(graph, seed=seed))

    assert drawn(1) == drawn(1)
    assert drawn(1) != drawn(2)


def test_corners() -> None:
    b = Builder("int")
    graph = b.graph(b.add("clip", b.input("x", (-1, 2, 3), Interval(-5, 9)), lo=0, hi=None, name="y"))
    (part,) = corpus(graph, uniform=0, corners=7, ties=0)
    x = part.inputs["x"]
    assert [np.unique(sample).tolist() for sample in x[:2]] == [[-5], [9]]
    np.testing.assert_array_equal(x[2], [[-5, 9, -5], [9, -5, 9]])
    np.testing.assert_array_equal(x[3], [[9, -5, 9], [-5, 9, -5]])
    assert not x[4].any()
    assert [int((sample == end).sum()) for sample, end in zip(x[5:], (9, -5), strict=True)] == [1, 1]


def test_batches_hold_every_sample_once_and_stay_small() -> None:
    graph = factories.folded_batch()
    (part,) = corpus(graph, uniform=10, corners=0, ties=0)
    split = list(batches(graph, part, batch_bytes=8 * 3 * (128 * 4 + 4 * 12 * 2 + 48)))
    assert [n for n, _ in split] == [3, 3, 3, 1]
    np.testing.assert_array_equal(np.concatenate([inputs["x"] for _, inputs in split]), part.inputs["x"])
    assert [n for n, _ in batches(graph, part, batch_bytes=1)] == [1] * 10


def test_samples_may_be_empty() -> None:
    b = Builder("int")
    graph = b.graph(b.add("clip", b.input("x", (-1, 0, 3), signed(8)), lo=0, hi=None, name="y"))
    parts = corpus(graph, uniform=3, corners=7, ties=2)
    assert [n for part in parts for n, _ in batches(graph, part)] == [3, 7]


def test_a_network_without_batch_axis_gets_its_samples_one_by_one() -> None:
    b = Builder("int")
    graph = b.graph(b.add("clip", b.input("x", (2, 3), signed(8)), lo=0, hi=None, name="y"))
    parts = corpus(graph, uniform=2, corners=2, ties=2)
    assert [(part.kind, part.n) for part in parts] == [("uniform", 1)] * 2 + [("corners", 1)] * 2
    assert interval_of(parts[2].inputs["x"]) == Interval(-128, -128)
    assert interval_of(parts[3].inputs["x"]) == Interval(127, 127)


def test_ties_are_searched_for_and_found() -> None:
    weight = factories.int8_weight(np.random.default_rng(2), 4, 3, 3, 3)
    graph = rounding(weight, mul=48, shift=16)  # ties are the odd multiples of 2**11: one accumulator in 4,096
    (part,) = corpus(graph, uniform=0, corners=0, ties=8)
    hit = count_ties(graph, evaluate(graph, part.inputs, every=True))["narrow"]
    (random,) = corpus(graph, uniform=8, corners=0, ties=0)
    by_chance = count_ties(graph, evaluate(graph, random.inputs, every=True))["narrow"]
    assert hit >= 32  # four patches that do not overlap in each of eight samples
    assert by_chance <= 3


@pytest.mark.parametrize("make", [factories.attention, lambda: rounding_of_the_input()], ids=["linear", "input"])
def test_ties_of_linear_layers_and_of_inputs(make: object) -> None:
    assert callable(make)
    graph = make()
    assert can_tie(graph)
    (part,) = corpus(graph, uniform=0, corners=0, ties=6)
    assert sum(count_ties(graph, evaluate(graph, part.inputs, every=True)).values()) >= 20


def rounding_of_the_input() -> Graph:
    b = Builder("int")
    mul = b.constant("mul", np.array([3 << 9, 5 << 9, 7 << 9]))
    x = b.input("x", (-1, 9, 3), signed(16))
    return b.graph(b.add("requantize", x, mul, shift=20, lo=-128, hi=127, name="y"))


@given(st.integers(-(1 << 12), 1 << 12), st.integers(1, 14), st.integers(-5000, 0), st.integers(0, 5000))
def test_targets_are_the_closest_to_half(mul: int, shift: int, lo: int, hi: int) -> None:
    node = Node("requantize", ("x", "m"), "y", {"shift": shift, "lo": -50, "hi": 50})

    def miss(acc: int) -> Fraction | None:
        t = Fraction(acc * mul, 1 << shift)
        below = t.__floor__()
        return abs(t - below - Fraction(1, 2)) if -50 <= below < 50 else None

    misses = {acc: found for acc in range(lo, hi + 1) if (found := miss(acc)) is not None}
    chosen = targets(node, mul, Interval(lo, hi))
    assert bool(chosen) == bool(misses)
    if chosen:
        assert misses[chosen[0]] == min(misses.values())
        assert misses[chosen[0]] > 0 or all(misses[acc] == 0 for acc in chosen)


@given(st.integers(0, 2**32), st.integers(2, 40))
def test_solve_reaches_sums_that_are_there(seed: int, n: int) -> None:
    rng = np.random.default_rng(seed)
    weight, interval = rng.integers(-127, 128, n), Interval(0, 255)
    weight[0] = 1
    goal = int(weight @ rng.integers(0, 256, n))
    x = solve(weight, goal, interval, rng)
    assert interval_of(x) in interval
    assert int(weight @ x) == goal
