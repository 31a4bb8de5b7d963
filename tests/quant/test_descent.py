"""Coordinate descent: never worse, as good as trying everything on small problems, within the levels."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from arithmos.ir.interval import Interval
from arithmos.quant.descent import BLOCK, descend
from arithmos.quant.gpfq import gpfq
from arithmos.quant.gptq import corrected
from arithmos.quant.gram import gram_of_pairs
from arithmos.quant.grid import published, symmetric
from arithmos.quant.quantiser import nearest
from quant.direct import vectors

LEVELS = Interval(-3, 3)
NEAREST = nearest(LEVELS)


def problem(seed: int, groups: int, rows: int, d: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(real weights in steps, nearest integers, Gram matrix of correlated inputs)."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(groups, 3 * d, d)) @ rng.normal(size=(groups, d, d)) + rng.normal(size=(groups, 1, d))
    real = rng.normal(size=(groups, rows, d)) * 1.5
    return real, np.clip(np.floor(real + 0.5), LEVELS.lo, LEVELS.hi), np.matmul(x.transpose(0, 2, 1), x) / (3 * d)


def error(real: np.ndarray, q: np.ndarray, gram: np.ndarray) -> np.ndarray:
    return np.asarray((np.matmul(real - q, gram) * (real - q)).sum(axis=2))


@given(st.integers(0, 999), st.integers(1, 3), st.integers(1, 4), st.integers(1, 9))
def test_no_row_gets_worse(seed: int, groups: int, rows: int, d: int) -> None:
    real, start, gram = problem(seed, groups, rows, d)
    found = descend(real, start, NEAREST, gram)
    assert found.shape == real.shape and found.dtype == np.int64
    assert found.min() >= LEVELS.lo and found.max() <= LEVELS.hi
    before = error(real, start, gram)
    assert np.all(error(real, found, gram) <= before * (1 + 1e-4) + 1e-6)


def test_no_single_change_is_better_at_the_end() -> None:
    real, start, gram = problem(1, 1, 3, 6)
    found = descend(real, start, NEAREST, gram, sweeps=50)
    least = error(real, found, gram)
    for t, q in itertools.product(range(6), range(LEVELS.lo, LEVELS.hi + 1)):
        other = found.copy()
        other[:, :, t] = q
        assert np.all(error(real, other, gram) >= least - 1e-3)


def test_blocks_of_columns_are_the_same_as_one_by_one() -> None:
    real, start, gram = problem(2, 1, 5, BLOCK + 9)
    gram = gram / np.trace(gram[0]) * 40 + np.eye(BLOCK + 9)  # well conditioned: float32 takes the same decisions
    found = descend(real, start, NEAREST, gram, sweeps=1)
    q, r = start.copy(), (real - start) @ gram
    for t in range(q.shape[2]):
        best = np.clip(np.floor(q[:, :, t] + r[:, :, t] / gram[0, t, t] + 0.5), LEVELS.lo, LEVELS.hi)
        r -= (best - q[:, :, t])[:, :, None] * gram[0, t]
        q[:, :, t] = best
    assert np.mean(found == q) > 0.99 and np.mean(found == start) < 0.95
    assert error(real, found, gram).sum() == pytest.approx(error(real, q, gram).sum(), rel=1e-2)


def test_an_input_that_is_always_zero_leaves_its_weights_alone() -> None:
    real, start, gram = problem(3, 1, 2, 4)
    gram[:, 2], gram[:, :, 2] = 0, 0
    assert np.array_equal(descend(real, start, NEAREST, gram)[:, :, 2], start[:, :, 2])


@pytest.mark.parametrize("gram", [np.eye(5)[None], np.zeros((1, 5, 5))])
def test_without_correlations_nearest_is_best(gram: np.ndarray) -> None:
    real, start, _ = problem(4, 1, 3, 5)
    assert np.array_equal(descend(real, start, NEAREST, gram), start)


@given(st.integers(0, 999), st.integers(1, 3), st.integers(1, 4), st.integers(1, 9), st.booleans())
def test_two_inputs_never_get_worse(seed: int, groups: int, rows: int, d: int, keep_zeros: bool) -> None:
    x, y = vectors(seed, groups, 3 * d, d, noise=1.0)
    moments, real = gram_of_pairs([(x, y)]), problem(seed, groups, rows, d)[0]
    start = gpfq(real, NEAREST, moments)
    found = descend(real, start, NEAREST, moments.matrix, cross=moments.cross, keep_zeros=keep_zeros)
    before, after = (
        np.square(np.matmul(y, turned(real)) - np.matmul(x, turned(q))).sum(axis=1) for q in (start, found)
    )
    assert np.all(after <= before * (1 + 1e-4) + 1e-6)
    assert found.min() >= LEVELS.lo and found.max() <= LEVELS.hi
    assert not keep_zeros or not found[start == 0].any()


def turned(rows: np.ndarray) -> np.ndarray:
    return rows.transpose(0, 2, 1)


def test_zeros_are_kept_only_on_request() -> None:
    real, start, gram = problem(5, 2, 6, 30)
    free, kept = (descend(real, start, NEAREST, gram, keep_zeros=keep) for keep in (False, True))
    assert free[start == 0].any() and not kept[start == 0].any()
    assert error(real, free, gram).sum() < error(real, kept, gram).sum() < error(real, start, gram).sum()


def test_it_solves_for_the_inputs_of_both_networks() -> None:
    x, y = vectors(6, 1, 200, 40, noise=1.0)
    moments, real = gram_of_pairs([(x, y)]), problem(6, 1, 8, 40)[0]
    start = NEAREST(real).astype(np.int64)
    both = descend(real, start, NEAREST, moments.matrix, cross=moments.cross)
    one = descend(real, start, NEAREST, moments.matrix)
    target = corrected(real, moments)
    assert error(target, both, moments.matrix).sum() < error(target, one, moments.matrix).sum()
    same = descend(target, start, NEAREST, moments.matrix)  # the same problem with equal inputs
    assert np.mean(same == both) > 0.99


@pytest.mark.parametrize("levels", [symmetric(1), published(1), published(8), symmetric(8)])
def test_other_levels(levels: Interval) -> None:
    real, _, gram = problem(7, 1, 4, 12)
    real = real * levels.hi / 2
    odd = levels == symmetric(1)
    start = nearest(levels, odd=odd)(real).astype(np.int64)
    found = descend(real, start, nearest(levels, odd=odd), gram)
    assert np.all(error(real, found, gram) <= error(real, start, gram) * (1 + 1e-4))
    assert found.min() >= levels.lo and found.max() <= levels.hi and np.all(~np.array(odd) | (found % 2 != 0))
