"""Grids: levels, admissible steps, the one rounding rule."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from arithmos.ir.interval import Interval
from arithmos.quant.grid import admissible_step, nearest_levels, published, round_half_up, symmetric

steps = st.floats(min_value=1e-30, max_value=1e30)


@given(st.integers(1, 16))
def test_symmetric_ranges(bits: int) -> None:
    levels = symmetric(bits)
    assert levels == -levels and levels.bits <= max(bits, 2)
    assert symmetric(bits, nonnegative=True) == Interval(0, (1 << bits) - 1)


@given(st.integers(1, 8))
def test_published_levels_are_one_more_than_the_bits_hold(bits: int) -> None:
    levels = published(bits)
    assert levels == -levels and levels.hi - levels.lo + 1 == 2**bits + 1 and levels.bits == bits + 1
    assert published(1) == Interval(-1, 1)


def test_eight_bits() -> None:
    assert (symmetric(8), symmetric(8, nonnegative=True)) == (Interval(-127, 127), Interval(0, 255))


@given(steps)
def test_a_power_of_two_step_is_the_next_that_is_not_smaller(step: float) -> None:
    chosen = admissible_step(step, "power_of_two")
    assert math.frexp(chosen)[0] == 0.5
    assert chosen / 2 < step <= chosen


@pytest.mark.parametrize("exponent", [-40, -7, -1, 0, 1, 9, 40])
def test_next_to_a_power_of_two(exponent: int) -> None:
    power = 2.0**exponent
    assert admissible_step(power, "power_of_two") == power
    assert admissible_step(math.nextafter(power, math.inf), "power_of_two") == 2 * power
    assert admissible_step(math.nextafter(power, 0), "power_of_two") == power


@given(steps)
def test_a_dyadic_step_has_24_bits(step: float) -> None:
    chosen = Fraction(admissible_step(step, "dyadic"))
    assert (chosen.numerator // (chosen.numerator & -chosen.numerator)).bit_length() <= 24
    assert abs(chosen / Fraction(step) - 1) <= Fraction(1, 1 << 24)


@given(st.floats(-1e9, 1e9))
def test_rounding_is_floor_of_x_plus_a_half(x: float) -> None:
    assert abs(int(round_half_up(np.array(x))) - Fraction(x)) <= Fraction(1, 2) + Fraction(1, 1 << 20)
    assert round_half_up(np.array([-1.5, -0.5, 0.5, 1.5])).tolist() == [-1, 0, 1, 2]


def test_rounding_gives_int64_of_any_float_type() -> None:
    assert round_half_up(np.array([2.5], dtype=np.float32)).dtype == np.int64


def test_nearest_levels_and_odd_ones() -> None:
    x = np.array([-1e30, -2.5, -0.6, -0.5, 0.0, 0.49, 0.5, 1.9, 2.0, 7.0])
    assert nearest_levels(x, Interval(-3, 3)).tolist() == [-3, -2, -1, 0, 0, 0, 1, 2, 2, 3]
    assert nearest_levels(x, Interval(-3, 3), odd=True).tolist() == [-3, -3, -1, -1, 1, 1, 1, 1, 3, 3]
    assert nearest_levels(x, Interval(-1, 1), odd=True).tolist() == [-1] * 4 + [1] * 6


def test_one_bit() -> None:
    assert (symmetric(1), symmetric(1, nonnegative=True)) == (Interval(-1, 1), Interval(0, 1))
