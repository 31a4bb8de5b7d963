"""Odd minimax: the error alternates, nothing nearby is better, and a linear program agrees."""

from __future__ import annotations

import numpy as np
import pytest

from arithmos.approx import odd_series
from arithmos.approx.remez import alternation, odd_minimax
from arithmos.errors import RangeError


@pytest.mark.parametrize(("degree", "a", "b"), [(1, 0.5, 1), (3, 0.1, 1), (7, 0.05, 1), (15, 0.5, 1.5), (31, 1e-3, 1)])
def test_the_error_alternates_once_more_than_there_are_coefficients(degree: int, a: float, b: float) -> None:
    c, error = odd_minimax(degree, a, b)
    grid = np.concatenate([np.geomspace(a, b, 50_001), np.linspace(a, b, 50_001)])
    grid.sort()
    e = 1 - odd_series.values(c, grid / b)
    assert np.abs(e).max() <= error * (1 + 2e-4)  # the exchange looks on a grid
    reached = [k for k in alternation(e) if abs(e[k]) >= error * (1 - 2e-4)]
    assert len(reached) == len(c) + 1 and np.all(np.diff(np.sign(e[reached])) != 0)


def test_degree_one_is_known() -> None:
    c, error = odd_minimax(1, 0.5, 1.0)  # 1 - s y levels where 1 - s/2 = s - 1
    assert c == pytest.approx([4 / 3]) and error == pytest.approx(1 / 3)


def test_a_weight_levels_the_weighted_error() -> None:
    c, error = odd_minimax(5, 0.1, 1.0, weight=np.sqrt)
    y = np.linspace(0.1, 1, 20_001)
    e = np.sqrt(y) * (1 - odd_series.values(c, y))
    assert np.abs(e).max() == pytest.approx(error, rel=1e-4)
    assert len([k for k in alternation(e) if abs(e[k]) > error * (1 - 1e-3)]) == 4


def test_ends_too_near_for_float64_are_refused() -> None:
    with pytest.raises(RangeError) as caught:
        odd_minimax(15, 1 - 1e-13, 1.0)
    assert str(caught.value) == (
        "no odd polynomial of degree 15 levels its error on [0.9999999999999, 1.0]\n"
        "  why  the ends are too near to each other, or too far apart, for 53 bits\n"
        "  fix  use a lower degree, or fewer stages"
    )
