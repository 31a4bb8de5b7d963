"""Multipliers: below the limit, nearest, exact and smallest for powers of two."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from arithmos.errors import RangeError
from arithmos.quant.multiplier import SHIFTS, WIDEST_SHIFT, exact_shift, multipliers

ratios = st.lists(st.floats(1e-12, 60000.0), min_size=1, max_size=5)


@given(ratios, st.sampled_from([16, 20, 24, 31]), st.booleans())
def test_multipliers_are_nearest_and_below_the_limit(values: list[float], bits: int, negative: bool) -> None:
    ratio = np.array(values) * (-1 if negative else 1)
    (mul,), shift = multipliers([ratio], bits)
    assert np.all(np.abs(mul) <= 1 << bits) and mul.dtype == np.int64
    assert int(np.abs(mul).max()) < 1 << bits
    for m, r in zip(mul.tolist(), ratio.tolist(), strict=True):
        assert abs(Fraction(m) - Fraction(r) * (1 << shift)) <= Fraction(1, 2) + Fraction(1, 1 << 20)


@given(ratios)
def test_the_default_shift_is_the_largest_allowed(values: list[float]) -> None:
    _, shift = multipliers([np.array(values)])
    if exact_shift(np.array(values)) is None:
        assert shift in SHIFTS[24]
        finer = [s for s in SHIFTS[24] if shift < s <= 24]
        assert all(max(values) * 2.0**s + 0.5 >= 1 << 24 for s in finer)


@given(st.floats(1e-9, 100.0), st.integers(1, 1 << 16))
def test_a_wider_shift_is_taken_only_where_the_multiplier_would_be_too_coarse(ratio: float, least: int) -> None:
    _, shift = multipliers([np.array(ratio)], 24, least)
    if exact_shift(np.array([ratio])) is not None or shift < 24:
        return
    assert shift == 24 or ratio * 2.0 ** (shift - 8) < least
    assert shift == 40 or ratio * 2.0**shift >= least or ratio * 2.0 ** (shift + 8) + 0.5 >= 1 << 24


@given(st.lists(st.integers(-60, 15), min_size=1, max_size=4), st.sampled_from([-1.0, 1.0]))
def test_powers_of_two_are_exact_and_smallest(exponents: list[int], sign: float) -> None:
    values = sign * 2.0 ** np.array(exponents, dtype=np.float64)
    (mul,), shift = multipliers([values])
    if max(exponents) - min(*exponents, 0) < 24:
        assert [Fraction(m, 1 << shift) for m in mul.tolist()] == [Fraction(v) for v in values.tolist()]
        assert shift == max(0, -min(exponents))
        assert shift == 0 or np.any(mul % 2), "a smaller shift would do"


def test_one_half_to_the_k_is_a_shift_alone() -> None:
    for k in range(WIDEST_SHIFT + 1):
        (mul,), shift = multipliers([np.array(2.0**-k)])
        assert (int(mul), shift) == (1, k)


def test_a_shift_wider_than_requantize_has_becomes_zero() -> None:
    (mul,), shift = multipliers([np.array(2.0**-70)])
    assert (int(mul), shift) == (0, 24)


def test_several_ratios_share_one_shift() -> None:
    muls, shift = multipliers([np.array([0.3, 0.01]), np.array(1.7)])
    assert shift == 16
    assert [m.tolist() for m in muls] == [[19661, 655], 111411]


def test_zeros_and_nothing() -> None:
    assert multipliers([np.zeros(3)])[0][0].tolist() == [0, 0, 0]
    assert multipliers([np.zeros(0)])[1] == 0
    (mul,), shift = multipliers([np.array([0.0, 0.5])])
    assert (mul.tolist(), shift) == ([0, 1], 1)


def test_a_ratio_that_does_not_fit() -> None:
    with pytest.raises(RangeError) as caught:
        multipliers([np.array([1.0, 70000.3])], bits=16)
    assert str(caught.value) == (
        "a multiplier of 70000.3 does not fit 16 bits\n"
        "  why  the scale of the input is that many times the scale of the output\n"
        "  fix  allow more multiplier bits: Recipe(multiplier_bits=...), or give the output value more activation bits"
    )


@pytest.mark.parametrize("bits", [8, 16, 23, 25, 31])
def test_another_width_gives_no_precision_away(bits: int) -> None:
    (mul,), shift = multipliers([np.array(0.0123)], bits)
    assert 1 << bits - 1 <= int(mul) < 1 << bits or shift == 40
