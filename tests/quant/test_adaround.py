"""AdaRound: every weight goes up or down, correlated inputs are used, and without correlations nearest is found."""

from __future__ import annotations

import numpy as np

from arithmos.ir.interval import Interval
from arithmos.quant.adaround import adaround
from quant.test_descent import LEVELS, error, problem


def test_weights_go_up_or_down_and_the_error_falls() -> None:
    real, start, gram = problem(0, 2, 6, 12)
    found = adaround(real, LEVELS, gram)
    assert found.dtype == np.int64
    clipped = np.clip(real, LEVELS.lo, LEVELS.hi)
    assert np.all((found == np.floor(clipped)) | (found == np.ceil(clipped)))
    assert error(real, found, gram).sum() < 0.5 * error(real, start, gram).sum()


def test_it_is_near_the_best_of_all_roundings() -> None:
    real, start, gram = problem(1, 1, 4, 8)
    real = np.clip(real, -2.9, 2.9)
    ways = np.stack(np.meshgrid(*[[0, 1]] * 8, indexing="ij"), axis=-1).reshape(-1, 1, 8)
    every = np.stack([error(real, np.floor(real) + way, gram)[0] for way in ways])
    found = error(real, adaround(real, LEVELS, gram), gram)[0]
    assert np.all(found <= 1.5 * every.min(axis=0) + 0.1)
    assert found.sum() < 0.7 * error(real, start, gram).sum()


def test_without_correlations_nearest_is_best() -> None:
    real, start, _ = problem(2, 1, 3, 5)
    assert np.array_equal(adaround(real, LEVELS, np.eye(5)[None]), start)


def test_levels_that_are_few() -> None:
    real, _, gram = problem(3, 1, 3, 5)
    found = adaround(real, Interval(-1, 0), gram, n_steps=50)
    assert set(np.unique(found)) <= {-1, 0}
    assert set(np.unique(adaround(real, LEVELS, np.zeros((1, 5, 5)), n_steps=5))) <= set(range(-3, 4))
