"""Learned scale: least squares on the vectors themselves."""

from __future__ import annotations

import numpy as np

from arithmos.quant.gram import gram, gram_of_pairs
from arithmos.quant.grid import published
from arithmos.quant.learned_scale import best_scale
from arithmos.quant.quantiser import nearest
from quant.direct import vectors


def test_least_squares() -> None:
    x, y = vectors(1, 2, 50, 8)
    real = np.random.default_rng(0).normal(size=(2, 4, 8))
    q = nearest(published(1))(0.8 * real).astype(np.int64)
    found = best_scale(real, q, gram_of_pairs([(x, y)]))
    assert found.shape == (2, 4)
    for g in range(2):
        for row in range(4):
            got, wanted = x[g] @ q[g, row], y[g] @ real[g, row]
            assert np.isclose(found[g, row], np.linalg.lstsq(got[:, None], wanted, rcond=None)[0][0], rtol=1e-12)


def test_equal_inputs_and_a_scale_that_is_known() -> None:
    _, x = vectors(2, 1, 50, 8)
    q = np.random.default_rng(0).integers(-3, 4, (1, 5, 8))
    assert np.allclose(best_scale(0.7 * q, q, gram([x])), 0.7)


def test_one_factor_for_all_rows() -> None:
    x, y = vectors(4, 2, 50, 8)
    real = np.random.default_rng(0).normal(size=(2, 4, 8))
    q = nearest(published(1))(0.8 * real).astype(np.int64)
    found = best_scale(real, q, gram_of_pairs([(x, y)]), shared=True)
    got, wanted = (np.matmul(v, rows.transpose(0, 2, 1)).reshape(-1, 1) for v, rows in ((x, q), (y, real)))
    assert found.shape == (2, 4) and np.allclose(found, np.linalg.lstsq(got, wanted[:, 0], rcond=None)[0][0])


def test_rows_that_no_scale_improves_keep_theirs() -> None:
    _, x = vectors(3, 1, 50, 8)
    q = np.random.default_rng(0).integers(-3, 4, (1, 3, 8))
    real = q.astype(np.float64)
    q[0, 0], real[0, 1] = 0, -real[0, 1]
    assert best_scale(real, q, gram([x])).tolist()[0][:2] == [1.0, 1.0]
    assert np.array_equal(best_scale(real, q, gram([0 * x])), np.ones((1, 3)))
    assert np.array_equal(best_scale(0 * real, q, gram([x])), np.ones((1, 3)))
