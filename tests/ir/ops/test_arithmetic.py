"""Arithmetic against Python's own integers, over ranges up to the edge of int64: refused, or exact and in the bound."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from arithmos.errors import ArithmosError, RangeError
from arithmos.ir.build import Builder
from arithmos.ir.graph import Graph
from arithmos.ir.interpret import evaluate
from arithmos.ir.interval import INT64, Interval

ends = st.integers(-70, 70) | st.integers(-(1 << 63), (1 << 63) - 1)
ranges = st.tuples(ends, ends).map(lambda pair: Interval(min(pair), max(pair)))
positive = st.tuples(st.integers(1, 1 << 62), st.integers(1, 1 << 62)).map(lambda pair: Interval(min(pair), max(pair)))


def drawn(data: st.DataObject, interval: Interval) -> np.ndarray:
    """Six numbers of the range: its ends, and others."""
    numbers = st.integers(interval.lo, interval.hi)
    return np.array([interval.lo, interval.hi, *(data.draw(numbers) for _ in range(4))], dtype=np.int64)


def compare(graph: Graph, arrays: dict[str, np.ndarray], exact: Callable[..., int]) -> None:
    y = evaluate(graph, arrays)["y"]
    columns = zip(*(array.tolist() for array in arrays.values()), strict=True)
    assert y.tolist() == [exact(*column) for column in columns]


EXACT: dict[str, Callable[[int, int], int]] = {
    "add": lambda a, b: a + b,
    "sub": lambda a, b: a - b,
    "mul": lambda a, b: a * b,
    "maximum": max,
}


@given(st.sampled_from(sorted(EXACT)), ranges, ranges, st.data())
def test_two_values(op: str, one: Interval, two: Interval, data: st.DataObject) -> None:
    b = Builder("int")
    x, y = b.input("x", (6,), one), b.input("y2", (6,), two)
    try:
        graph = b.graph(b.add(op, x, y, name="y"))
    except RangeError:
        corners = [EXACT[op](i, j) for i in (one.lo, one.hi) for j in (two.lo, two.hi)]
        assert not all(Interval(c, c) in INT64 for c in corners), "refused without need"
        return
    compare(graph, {"x": drawn(data, one), "y2": drawn(data, two)[[0, 1, 1, 0, 4, 5]]}, EXACT[op])


@given(ranges, st.none() | ends, st.none() | ends, st.data())
def test_clip(x: Interval, lo: int | None, hi: int | None, data: st.DataObject) -> None:
    if lo is not None and hi is not None and lo > hi:
        lo, hi = hi, lo
    b = Builder("int")
    graph = b.graph(b.add("clip", b.input("x", (6,), x), lo=lo, hi=hi, name="y"))

    def exact(v: int) -> int:
        v = v if lo is None else max(v, lo)
        return v if hi is None else min(v, hi)

    compare(graph, {"x": drawn(data, x)}, exact)


@given(ranges, st.none() | st.integers(-(1 << 24), 1 << 24), st.integers(0, 62), ranges, st.data())
def test_requantize(x: Interval, mul: int | None, shift: int, out: Interval, data: st.DataObject) -> None:
    b = Builder("int")
    names = [b.input("x", (6,), x)]
    if mul is not None:
        names.append(b.constant("mul", np.array(mul)))
    factor, half = 1 if mul is None else mul, (1 << shift) >> 1
    try:
        graph = b.graph(b.add("requantize", *names, shift=shift, lo=out.lo, hi=out.hi, name="y"))
    except RangeError:
        wide = [v * factor + h for v in (x.lo, x.hi) for h in (0, half)]
        assert not all(Interval(w, w) in INT64 for w in wide), "refused without need"
        return
    compare(graph, {"x": drawn(data, x)}, lambda v: min(max((v * factor + half) // (1 << shift), out.lo), out.hi))


@given(st.integers(1, 62), st.integers(-100, 100))
def test_requantize_rounds_half_up(shift: int, k: int) -> None:
    """(2k + 1) / 2 is a tie: it becomes k + 1, for negative numbers too."""
    b = Builder("int")
    tie = (2 * k + 1) << shift - 1
    if Interval(tie, tie) not in Interval(INT64.lo, INT64.hi - (1 << shift)):
        return
    graph = b.graph(b.add("requantize", b.input("x", (1,), Interval(tie, tie)), shift=shift, lo=-200, hi=200, name="y"))
    assert evaluate(graph, {"x": np.array([tie])})["y"].tolist() == [k + 1]
    assert graph.values["y"].range == Interval(k + 1, k + 1)


def test_requantize_has_a_multiplier_for_each_channel() -> None:
    b = Builder("int")
    x = b.input("x", (-1, 2, 2), Interval(-100, 100))
    mul = b.constant("mul", np.array([[3], [-5]]))
    graph = b.graph(b.add("requantize", x, mul, shift=2, lo=-50, hi=60, name="y"))
    y = evaluate(graph, {"x": np.array([[[10, -10], [10, -10]]])})["y"]
    assert y.tolist() == [[[8, -7], [-12, 13]]]
    with pytest.raises(ArithmosError, match=r"multiplier \(5, 1, 2, 2\) does not broadcast to \(-1, 2, 2\)"):
        b.add("requantize", x, b.constant("wide", np.ones((5, 1, 2, 2), int)), shift=2, lo=0, hi=1)


@given(ranges, st.integers(0, 62), st.integers(0, 62), st.data())
def test_shift_right_floors(x: Interval, one: int, two: int, data: st.DataObject) -> None:
    shifts = Interval(min(one, two), max(one, two))
    b = Builder("int")
    graph = b.graph(b.add("shift_right", b.input("x", (6,), x), b.input("s", (6,), shifts), name="y"))
    compare(graph, {"x": drawn(data, x), "s": drawn(data, shifts)}, lambda v, s: v // (1 << s))


@given(ranges, positive, st.data())
def test_floor_div_floors(x: Interval, divisor: Interval, data: st.DataObject) -> None:
    b = Builder("int")
    graph = b.graph(b.add("floor_div", b.input("x", (6,), x), b.input("d", (6,), divisor), name="y"))
    compare(graph, {"x": drawn(data, x), "d": drawn(data, divisor)}, lambda v, d: v // d)


@given(st.integers(0, (1 << 63) - 1), st.integers(0, (1 << 63) - 1), st.data())
def test_isqrt_is_exact(one: int, two: int, data: st.DataObject) -> None:
    x = Interval(min(one, two), max(one, two))
    b = Builder("int")
    compare(b.graph(b.add("isqrt", b.input("x", (6,), x), name="y")), {"x": drawn(data, x)}, math.isqrt)


@given(st.integers(0, 3037000499))
def test_isqrt_around_squares(root: int) -> None:
    b = Builder("int")
    graph = b.graph(b.add("isqrt", b.input("x", (3,), Interval(0, INT64.hi)), name="y"))
    around = [max(root * root + d, 0) for d in (-1, 0, 1)]
    assert evaluate(graph, {"x": np.array(around)})["y"].tolist() == [math.isqrt(v) for v in around]


@given(ranges, ranges, st.data())
def test_where_takes_what_the_condition_says(one: Interval, two: Interval, data: st.DataObject) -> None:
    b = Builder("int")
    names = [b.input("c", (6,), Interval(-2, 2)), b.input("a", (6,), one), b.input("b", (6,), two)]
    arrays = {"c": drawn(data, Interval(-2, 2)), "a": drawn(data, one), "b": drawn(data, two)}
    compare(b.graph(b.add("where", *names, name="y")), arrays, lambda c, a, b: a if c else b)


@pytest.mark.parametrize(
    ("op", "second", "why"),
    [
        ("shift_right", Interval(-1, 3), "the shift must be proven to be in 0..62, its range is [-1, 3]"),
        ("shift_right", Interval(0, 63), "the shift must be proven to be in 0..62, its range is [0, 63]"),
        ("floor_div", Interval(0, 3), "the divisor must be proven positive, its range is [0, 3] (clip it)"),
        ("floor_div", Interval(-3, -1), "the divisor must be proven positive, its range is [-3, -1] (clip it)"),
    ],
)
def test_what_cannot_be_proven_is_refused(op: str, second: Interval, why: str) -> None:
    b = Builder("int")
    with pytest.raises(ArithmosError) as caught:
        b.add(op, b.input("x", (3,), Interval(-9, 9)), b.input("s", (3,), second))
    assert caught.value.why == why
