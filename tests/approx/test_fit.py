"""Fits: a direct least squares agrees, several stages only get better, and their bound holds."""

from __future__ import annotations

import numpy as np
import pytest

from arithmos.approx.composite import relu_of
from arithmos.approx.fit import UNIFORM_POINTS, fitted
from arithmos.errors import UsageError

scipy_optimize = pytest.importorskip("scipy.optimize", reason='pip install "arithmos[polynomials]"')
pytest.importorskip("flint", reason='pip install "arithmos[polynomials]"')

X = np.linspace(-1, 1, 801)
WEIGHTS = np.exp(-np.abs(X) / 0.12)


def objective(composite, regularisation: float = 1e-3) -> float:
    """What is minimised, written again."""
    uniform = (np.arange(UNIFORM_POINTS) + 0.5) / UNIFORM_POINTS
    miss = [relu_of(composite, x) - np.maximum(x, 0) for x in (X, uniform)]
    return float(np.sum(WEIGHTS / WEIGHTS.sum() * miss[0] ** 2) + regularisation * np.mean(miss[1] ** 2))


@pytest.mark.parametrize("degree", [1, 5, 15])
def test_one_stage_is_the_least_squares_solution(degree: int) -> None:
    found = fitted((degree,), (X, WEIGHTS))
    uniform = (np.arange(UNIFORM_POINTS) + 0.5) / UNIFORM_POINTS
    x = np.concatenate([X, uniform])
    root = np.sqrt(np.concatenate([WEIGHTS / WEIGHTS.sum(), np.full(UNIFORM_POINTS, 1e-3 / UNIFORM_POINTS)]))
    columns = [x * np.cos(k * np.arccos(x)) / 2 for k in range(1, degree + 1, 2)]
    system = np.column_stack([*columns, np.ones_like(x)])
    direct = scipy_optimize.lsq_linear(system * root[:, None], (np.maximum(x, 0) - x / 2) * root, tol=1e-14)
    assert np.allclose(found.composite.stages[0][1::2], direct.x[:-1], rtol=1e-6, atol=1e-8)
    assert found.composite.offset == pytest.approx(direct.x[-1], rel=1e-6)
    assert found.rms == pytest.approx(
        np.sqrt(np.average((relu_of(found.composite, X) - np.maximum(X, 0)) ** 2, weights=WEIGHTS))
    )


@pytest.mark.parametrize("degrees", [(7, 3), (7, 7)])
def test_two_stages_are_at_a_minimum(degrees: tuple[int, ...]) -> None:
    found = fitted(degrees, (X, WEIGHTS))
    least = objective(found.composite)
    rng = np.random.default_rng(0)
    for _ in range(20):
        moved = [s + 1e-5 * rng.standard_normal(s.shape) * (s != 0) for s in found.composite.stages]
        other = type(found.composite)(tuple(moved), found.composite.offset + 1e-6 * rng.standard_normal())
        assert objective(other) > least * (1 - 1e-6)
    assert found.rms < fitted((max(degrees),), (X, WEIGHTS)).rms / 2


def test_the_bound_holds_and_is_tight() -> None:
    found = fitted((15,), (np.abs(X), WEIGHTS))
    x = np.linspace(-1, 1, 200_001)
    seen = np.abs(relu_of(found.composite, x) - np.maximum(x, 0)).max()
    assert seen <= found.sup == found.composite.error <= seen * 1.001


def test_a_start_is_gone_on_from_and_sides_do_not_matter() -> None:
    found = fitted((7, 7), (X, WEIGHTS))
    again = fitted((7, 7), (-np.abs(X), WEIGHTS), start=found.composite)
    assert again.rms == pytest.approx(found.rms, rel=1e-3)


def test_a_constant_layer_has_a_fit() -> None:
    found = fitted((7,), (np.array([0.25]), np.array([10.0])))
    assert found.rms < 1e-3 and found.sup < 1


@pytest.mark.parametrize(
    ("histogram", "why"),
    [
        ((X, WEIGHTS[1:]), "values have the shape (801,), weights (800,)"),
        ((X * np.nan, WEIGHTS), "a value or a weight is no finite number"),
        ((X, WEIGHTS * 0), "a weight is negative, or all are 0"),
        ((X * 1.5, WEIGHTS), "a value is 1.5, outside [-1, 1]"),
    ],
)
def test_histograms_that_are_none(histogram: tuple[np.ndarray, np.ndarray], why: str) -> None:
    with pytest.raises(UsageError) as caught:
        fitted((7,), histogram)
    assert str(caught.value) == (
        "this histogram cannot be fitted\n"
        f"  why  {why}\n"
        "  fix  give the values divided by the bound B, and how often each was seen"
    )


def test_without_regularisation_nothing_holds_the_polynomial() -> None:
    with pytest.raises(UsageError, match="the regularisation is 0"):
        fitted((7,), (X, WEIGHTS), regularisation=0)


def test_even_degrees_are_refused() -> None:
    with pytest.raises(UsageError, match=r"no composite sign has the degrees \[4\]"):
        fitted((4,), (X, WEIGHTS))
