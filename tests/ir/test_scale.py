"""Scales: exact labels of real numbers, and rounding to 24 significant bits."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from arithmos.ir.scale import Dyadic, PerChannel, PowerOfTwo, as_float, exact_scale, round_scale, scale_of

positive = st.floats(min_value=1e-300, max_value=1e300, allow_nan=False)


@given(positive)
def test_exact_scale_is_exact(real: float) -> None:
    scale = exact_scale(real)
    match scale:
        case PowerOfTwo(exponent):
            assert Fraction(2) ** exponent == Fraction(real)
        case Dyadic(mul, shift):
            assert Fraction(mul, 1 << shift) == Fraction(real)
            assert mul & (mul - 1), "a power of two has its own kind"
    assert float(as_float(scale)) == real


@pytest.mark.parametrize("real", [5e-324, 2.2250738585072014e-308, 1.7976931348623157e308, 3.0, 96.0, 2.0**-1074 * 3])
def test_exact_scale_at_the_ends_of_float64(real: float) -> None:
    assert float(as_float(exact_scale(real))) == real


@pytest.mark.parametrize("real", [0.0, -1.0])
def test_a_scale_is_positive(real: float) -> None:
    with pytest.raises(ValueError, match=f"^a scale must be positive, got {real}$"):
        exact_scale(real)


@given(positive, st.integers(2, 53))
def test_round_scale_has_so_many_bits_and_is_nearest(real: float, bits: int) -> None:
    rounded = Fraction(round_scale(real, bits))
    numerator = rounded.numerator
    assert (numerator // (numerator & -numerator)).bit_length() <= bits
    assert abs(rounded - Fraction(real)) <= Fraction(real) / (1 << bits)


@given(st.floats(1e-100, 1e100), st.floats(1e-100, 1e100))
def test_products_of_rounded_scales_are_exact(a: float, b: float) -> None:
    a, b = round_scale(a), round_scale(b)
    assert Fraction(a) * Fraction(b) == Fraction(a * b)


def test_scale_of_one_number() -> None:
    assert scale_of(0.25, 4) == PowerOfTwo(-2)
    assert scale_of(np.full((3, 1, 1), 0.75), 4) == Dyadic(3, 2)


def test_scale_of_a_channel_axis() -> None:
    factor = np.array([0.5, 0.75]).reshape(2, 1, 1)
    scale = scale_of(factor, 4)
    assert scale == PerChannel(-3, (PowerOfTwo(-1), Dyadic(3, 2)))
    assert np.array_equal(as_float(scale), factor)


@pytest.mark.parametrize(
    "factor", [np.array(-1.0), np.array([1.0, 0.0]), np.array([1.0, np.inf]), np.array([[1.0, 2.0], [2.0, 1.0]])]
)
def test_what_has_no_label(factor: np.ndarray) -> None:
    assert scale_of(factor, 4) is None


def test_a_factor_of_more_axes_than_the_value_has_no_label() -> None:
    assert scale_of(np.array([1.0, 2.0]).reshape(2, 1, 1), 2) is None
