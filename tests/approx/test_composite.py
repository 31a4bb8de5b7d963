"""Composites: evaluation, ReLU form, cost, and what is refused."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.polynomial import chebyshev

from arithmos.approx.composite import Composite, evaluate, relu_of
from arithmos.errors import UsageError

ODD = Composite((np.array([0.0, 0.75, 0.0, -0.25]), np.array([0.0, 1.25, 0.0, -0.25])), offset=0.125, error=0.5)


def test_stages_are_evaluated_one_after_another() -> None:
    x = np.linspace(-1, 1, 33, dtype=np.float32).reshape(3, 11)
    y = chebyshev.chebval(chebyshev.chebval(x.astype(np.float64), ODD.stages[0]), ODD.stages[1])
    found = evaluate(ODD, x)
    assert found.dtype == np.float64 and np.allclose(found, y, rtol=0, atol=1e-15)
    assert np.allclose(relu_of(ODD, x), x * (1 + y) / 2 + 0.125, rtol=0, atol=1e-15)


def test_stages_without_parity_are_evaluated_too() -> None:
    stage = np.array([0.5, -1.0, 0.25, 0.125])
    x = np.linspace(-1, 1, 9)
    assert np.allclose(evaluate(Composite((stage,)), x), chebyshev.chebval(x, stage), rtol=0, atol=1e-15)
    assert np.array_equal(evaluate(Composite((np.array([2.0]),)), x), np.full(9, 2.0))


def test_cost_is_counted_for_the_polynomial_alone() -> None:
    big = Composite(tuple(np.eye(d + 1)[d] for d in (15, 27, 29)))
    assert (big.degrees, big.depth, big.multiplications) == ((15, 27, 29), 14, 29)
    assert (ODD.degrees, ODD.depth, ODD.multiplications) == ((3, 3), 4, 4)


def test_every_bad_coefficient_is_named() -> None:
    with pytest.raises(UsageError) as caught:
        Composite((np.array([0.0, np.nan]), np.zeros((2, 2)), np.array([np.inf])), offset=float("nan"))
    assert str(caught.value) == (
        "these coefficients are no polynomial\n"
        "  why  stage 1: the coefficient of T_1 is nan\n"
        "       stage 2 has the shape (2, 2)\n"
        "       stage 3: the coefficient of T_0 is inf\n"
        "       the constant is nan\n"
        "  fix  give one vector of finite numbers for each stage: the coefficients of T_0, T_1, T_2, ..."
    )
    with pytest.raises(UsageError, match="it has no stage"):
        Composite(())
