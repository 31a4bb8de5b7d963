"""Intervals: arithmetic encloses, widths are the smallest, types are the narrowest."""

from __future__ import annotations

from collections.abc import Callable
from operator import add, mul, sub

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from arithmos.ir.interval import INT64, Interval, interval_of, narrowest_dtype, signed, span, unsigned

numbers = st.integers(-(1 << 70), 1 << 70)
intervals = st.tuples(numbers, numbers).map(lambda ends: Interval(min(ends), max(ends)))


@st.composite
def members(draw: st.DrawFn) -> tuple[Interval, int]:
    interval = draw(intervals)
    return interval, draw(st.integers(interval.lo, interval.hi))


@given(intervals)
def test_bits_is_the_smallest_width(r: Interval) -> None:
    def fits(n: int) -> bool:
        return r in signed(n)

    assert fits(r.bits) and (r.bits == 1 or not fits(r.bits - 1))


def test_the_width_has_no_sign_bit_that_is_always_zero() -> None:
    widths = [i.width for i in (unsigned(8), signed(8), Interval(0, 1), Interval(0, 0), Interval(-1, 0))]
    assert widths == [8, 8, 1, 1, 1]


@given(members(), members(), st.sampled_from([add, sub, mul]))
def test_arithmetic_encloses(
    one: tuple[Interval, int], two: tuple[Interval, int], operation: Callable[[object, object], object]
) -> None:
    inside = operation(one[1], two[1])
    assert isinstance(inside, int)
    assert Interval(inside, inside) in operation(one[0], two[0])


@given(intervals, intervals, st.sampled_from([add, sub, mul]))
def test_arithmetic_is_tight(a: Interval, b: Interval, operation: Callable[[int, int], int]) -> None:
    corners = [operation(x, y) for x in (a.lo, a.hi) for y in (b.lo, b.hi)]
    assert operation(a, b) == Interval(min(corners), max(corners))  # type: ignore[arg-type]


@given(members(), numbers, numbers)
def test_clip_is_the_image(member: tuple[Interval, int], one: int, two: int) -> None:
    interval, x = member
    lo, hi = min(one, two), max(one, two)
    clipped = interval.clip(lo, hi)
    assert clipped.lo <= min(max(x, lo), hi) <= clipped.hi
    assert clipped.lo == min(max(interval.lo, lo), hi) and clipped.hi == min(max(interval.hi, lo), hi)


@given(intervals, intervals)
def test_hull_is_the_smallest_around_both(a: Interval, b: Interval) -> None:
    hull = a | b
    assert a in hull and b in hull
    assert hull.lo in (a.lo, b.lo) and hull.hi in (a.hi, b.hi)


@given(intervals)
def test_magnitude_and_negation(r: Interval) -> None:
    assert r.magnitude == max(abs(r.lo), abs(r.hi)) == (-r).magnitude
    assert (-r).lo == -r.hi and (-r).hi == -r.lo


@pytest.mark.parametrize(
    ("lo", "hi", "dtype"),
    [
        (0, 0, "uint8"),
        (0, 255, "uint8"),
        (0, 256, "uint16"),
        (-1, 127, "int8"),
        (-128, 127, "int8"),
        (-129, 0, "int16"),
        (-1, 128, "int16"),
        (0, (1 << 32) - 1, "uint32"),
        (0, 1 << 32, "int64"),
        (INT64.lo, INT64.hi, "int64"),
    ],
)
def test_narrowest_dtype(lo: int, hi: int, dtype: str) -> None:
    assert narrowest_dtype(Interval(lo, hi)) == np.dtype(dtype)


def test_narrowest_dtype_ends_at_int64() -> None:
    with pytest.raises(OverflowError, match=r"^\[0, 9223372036854775808\] needs 65 bits, int64 has 64$"):
        narrowest_dtype(Interval(0, 1 << 63))


def test_empty_interval_is_refused() -> None:
    with pytest.raises(ValueError, match=r"^empty interval \[1, 0\]$"):
        Interval(1, 0)


def test_of_arrays_and_numbers() -> None:
    assert interval_of(np.array([[3, -4], [0, 9]])) == Interval(-4, 9) == span([0, 9, -4])
    assert interval_of(np.zeros((0, 3), dtype=np.int8)) == Interval(0, 0)
    assert interval_of(np.array([1 << 63], dtype=np.uint64)) == Interval(1 << 63, 1 << 63)
    assert (signed(8), unsigned(8)) == (Interval(-128, 127), Interval(0, 255))
    assert str(signed(8)) == "[-128, 127]"
