"""Quantisers: nearest, thresholds and chances as published; the type of the levels stays."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from arithmos.ir.interval import Interval
from arithmos.quant.grid import nearest_levels, published, symmetric
from arithmos.quant.quantiser import WIDEST_GAP, hard, hard_steps, nearest, nearest_beyond, soft, stochastic

LEVELS = Interval(-4, 4)
X = np.arange(-56, 57) / 8  # exact in binary, ties among them


def test_nearest_is_the_rounding_of_weights() -> None:
    assert np.array_equal(nearest(LEVELS)(X), nearest_levels(X, LEVELS))
    assert nearest(LEVELS)(np.array([-1.5, -0.5, 0.5, 1.5, 9.0, -9.0])).tolist() == [-1, 0, 1, 2, 4, -4]
    assert np.array_equal(nearest(symmetric(1), odd=True)(X), nearest_levels(X, symmetric(1), odd=True))


@pytest.mark.parametrize("kind", [np.float32, np.float64])
def test_the_type_stays_and_the_levels_are_left_alone(kind: type) -> None:
    x = X.astype(kind).reshape(1, -1)
    before = x.copy()
    for quantise in (
        nearest(LEVELS),
        nearest(symmetric(1), odd=True),
        stochastic(LEVELS, np.random.default_rng(0)),
        soft(LEVELS, np.float32(0.25)),
        hard(LEVELS, np.float32(1), np.float32(1.25)),
    ):
        assert quantise(x).dtype == kind and quantise(x).shape == x.shape
        assert np.array_equal(x, before)


def test_stochastic_is_unbiased_and_seeded() -> None:
    x = np.full((200, 500), 1.3)
    x[100:] = -0.25
    drawn = stochastic(LEVELS, np.random.default_rng(4))(x)
    assert set(np.unique(drawn[:100])) == {1, 2} and set(np.unique(drawn[100:])) == {-1, 0}
    assert abs(drawn[:100].mean() - 1.3) < 0.01 and abs(drawn[100:].mean() + 0.25) < 0.01
    assert np.array_equal(drawn, stochastic(LEVELS, np.random.default_rng(4))(x))
    assert np.array_equal(stochastic(LEVELS, np.random.default_rng(4))(np.round(X)), np.clip(np.round(X), -4, 4))


def test_stochastic_between_odd_numbers() -> None:
    x = np.full((300, 300), 0.5)
    drawn = stochastic(symmetric(1), np.random.default_rng(4), odd=True)(x)
    assert set(np.unique(drawn)) == {-1, 1} and abs(drawn.mean() - 0.5) < 0.01
    ends = stochastic(symmetric(1), np.random.default_rng(4), odd=True)(np.array([-7.0, -1.0, 1.0, 7.0]))
    assert ends.tolist() == [-1, -1, 1, 1]


def published_soft(x: Fraction, lamb: Fraction, step: Fraction, k: int) -> Fraction:
    sign = (x > 0) - (x < 0)
    shrunk = sign * max(abs(x) - lamb, Fraction(0))
    return sign * step * min(abs((shrunk / step + Fraction(1, 2)).__floor__()), k)


def published_hard(x: Fraction, lamb: Fraction, step: Fraction, k: int) -> Fraction:
    if abs(x) <= lamb:
        return Fraction(0)
    sign = 1 if x > 0 else -1
    shrunk = sign * (abs(x) - lamb)
    return sign * (lamb + step * min(abs((shrunk / step + Fraction(1, 2)).__floor__()), k))


@given(st.integers(-64, 64), st.integers(0, 24))
def test_soft_is_the_published_formula(x: int, lamb: int) -> None:
    """In eighths of a step of 1/2: every number is exact."""
    found = soft(LEVELS, np.array([[lamb / 8]]))(np.array([[x / 8]]))
    assert Fraction(found[0, 0]) / 2 == published_soft(Fraction(x, 16), Fraction(lamb, 16), Fraction(1, 2), 4)


@given(st.integers(-64, 64), st.integers(0, 5))
def test_hard_is_the_published_formula_where_lambda_is_whole_steps(x: int, gap: int) -> None:
    found = hard(LEVELS, np.array([[gap]]), np.array([[gap]]))(np.array([[x / 8]]))
    assert Fraction(found[0, 0]) / 2 == published_hard(Fraction(x, 16), Fraction(gap, 2), Fraction(1, 2), 4)


def test_hard_without_a_gap_is_nearest() -> None:
    assert np.array_equal(hard(LEVELS, 0, 0)(X), nearest(LEVELS)(X))


def test_the_alphabet_of_hard() -> None:
    x = np.linspace(-20, 20, 4001)
    alphabet = [-7, -6, -5, -4, -3, 0, 3, 4, 5, 6, 7]
    assert np.unique(hard(LEVELS, 3, 3)(x)).tolist() == alphabet
    for threshold in (2.75, 3.25, 5.0):  # lambda itself, which is no whole number of steps
        found = hard(LEVELS, 3, threshold)(x)
        assert np.array_equal(found == 0, np.abs(x) <= threshold) and set(found) <= set(alphabet)
    assert not hard(LEVELS, 3, 21)(x).any()
    nearby = nearest_beyond(LEVELS, np.full((1, 1), 3))(x[None])[0]
    assert np.unique(nearby).tolist() == alphabet
    assert np.array_equal(np.abs(nearby - x), np.abs(np.array(alphabet)[:, None] - x).min(axis=0))
    assert np.array_equal(nearest_beyond(LEVELS, 0)(X), nearest(LEVELS)(X))


@pytest.mark.parametrize("bits", range(1, 9))
@pytest.mark.parametrize("convention", [published, symmetric])
def test_hard_steps_keep_the_largest_level(bits: int, convention: object) -> None:
    k = (published(bits) if convention is published else symmetric(bits)).hi
    steps = np.array([[0.5, 0.25, 1e-6, 3.0]])
    most = max(WIDEST_GAP, k)
    for lamb in (0.0, 0.01, 0.1, 0.7, 1e9):
        finer, gap = hard_steps(steps, lamb, k)
        assert np.array_equal(gap, np.floor(gap)) and gap.min() >= 0 and gap.max() <= most
        assert np.allclose(finer * (k + gap), k * steps, rtol=1e-15) and np.all(finer > 0)
        inside = (lamb < k * steps) & (gap < most)
        exact = steps - lamb / k  # the published step: lambda is at most half of one away
        assert np.all(np.abs(gap * finer - lamb)[inside] <= 0.75 * np.abs(exact)[inside])
    assert np.array_equal(hard_steps(steps, 0.0, k)[0], steps)
    assert np.all(hard_steps(steps, 1e9, k)[1] == most)


def test_a_lambda_of_whole_steps_is_met_exactly() -> None:
    finer, gap = hard_steps(np.array([0.375]), 0.5, 4)  # step' = 0.375 - 0.5 / 4 = 1/4, lambda = 2 step'
    assert (finer[0], gap[0]) == (0.25, 2)


def test_hard_steps_stay_above_the_floor() -> None:
    steps, floor = np.array([0.5, 0.5, 0.5, 0.5]), np.array([0.0, 0.1, 0.3, 0.5])
    finer, gap = hard_steps(steps, 1.9, 4, floor)
    assert np.all(finer >= floor) and gap.tolist() == [15, 15, 2, 0]
    assert hard_steps(steps, 1.9, 4, 0.3)[1].tolist() == [2] * 4
