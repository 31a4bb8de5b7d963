"""Stagewise composites: stages stay in [-1, 1], and their errors are the ones known for these degrees."""

from __future__ import annotations

import numpy as np
import pytest

from arithmos.approx import odd_series
from arithmos.approx.composite import Composite
from arithmos.approx.stagewise import best_gap, composed, folded, points, relu_error, split, stagewise
from arithmos.errors import UsageError


@pytest.mark.parametrize(
    ("degrees", "log2_error"), [((5,), -4.64), ((3, 7), -6.07), ((7, 7), -7.06), ((7, 15), -8.05), ((15, 15), -9.02)]
)
def test_the_best_gap_gives_the_known_error(degrees: tuple[int, ...], log2_error: float) -> None:
    stages = stagewise(degrees, best_gap(degrees))
    assert np.log2(np.abs(relu_error(stages, points(degrees))).max()) == pytest.approx(log2_error, abs=0.006)
    assert all(1 - 1e-8 < odd_series.peak(stage) <= 1 for stage in stages[:-1])


def test_folding_changes_no_value() -> None:
    rng = np.random.default_rng(0)
    stages = tuple(rng.standard_normal(n) for n in (2, 4, 3))
    x, ranges = np.linspace(-1, 1, 201), (1.0, 1.7, 5.0)
    plain = x
    for stage, b in zip(stages, ranges, strict=True):
        plain = odd_series.values(stage, plain / b)
    changed = folded(stages, ranges)
    assert np.allclose(composed(changed, x), plain, rtol=1e-9, atol=1e-9 * np.abs(plain).max())


def test_only_odd_stages_are_signs() -> None:
    assert [list(stage) for stage in split(Composite((np.array([0.0, 1.0, 0.0, 0.5]),)))] == [[1.0, 0.5]]
    with pytest.raises(UsageError) as caught:
        split(Composite((np.array([0.0, 1.0, 0.25]),)))
    assert str(caught.value) == (
        "these stages are not odd\n"
        "  why  a coefficient of an even term is not 0, and the sign is an odd function\n"
        "  fix  give stages whose coefficients of T_0, T_2, ... are 0"
    )
