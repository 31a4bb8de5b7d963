"""Odd Chebyshev series against numpy's full ones."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.polynomial import chebyshev

from arithmos.approx import odd_series

SERIES = [np.random.default_rng(n).standard_normal(n) for n in (1, 2, 3, 8, 16)]
Y = np.linspace(-1.2, 1.2, 101)


@pytest.mark.parametrize("c", SERIES, ids=len)
def test_values_slopes_and_bends_are_those_of_the_full_series(c: np.ndarray) -> None:
    full = odd_series.dense(c)
    assert not full[::2].any() and np.array_equal(full[1::2], c)
    scale = np.abs(chebyshev.chebval(1.2, np.abs(full)))
    assert np.allclose(odd_series.values(c, Y), chebyshev.chebval(Y, full), rtol=0, atol=1e-13 * scale)
    rows, slopes = odd_series.basis(len(c), Y)
    assert np.allclose(rows @ c, chebyshev.chebval(Y, full), rtol=0, atol=1e-12 * scale)
    steep = np.abs(chebyshev.chebval(1.2, chebyshev.chebder(np.abs(full))))
    assert np.allclose(slopes @ c, chebyshev.chebval(Y, chebyshev.chebder(full)), rtol=0, atol=1e-12 * steep)
    bent = np.abs(chebyshev.chebval(1.2, np.abs(chebyshev.chebder(full, 2)))) + 1
    assert np.allclose(
        odd_series.bend(c, Y), chebyshev.chebval(Y, chebyshev.chebder(full, 2)), rtol=0, atol=1e-12 * bent
    )


@pytest.mark.parametrize("c", SERIES, ids=len)
def test_the_peak_is_the_largest_value_between_the_ends(c: np.ndarray) -> None:
    seen = np.abs(odd_series.values(c, np.cos(np.linspace(0, np.pi, 40001)))).max()
    assert seen <= odd_series.peak(c) * (1 + 1e-12) and odd_series.peak(c) <= seen * (1 + 1e-5)


@pytest.mark.parametrize("factor", [0.3, 1.0, 1.01])
@pytest.mark.parametrize("c", SERIES, ids=len)
def test_stretching_changes_the_variable(c: np.ndarray, factor: float) -> None:
    y = np.linspace(-1, 1, 57)
    wanted = odd_series.values(c, factor * y)
    assert np.allclose(
        odd_series.values(odd_series.stretched(c, factor), y), wanted, rtol=0, atol=1e-12 * abs(wanted).max()
    )
