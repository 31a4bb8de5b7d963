"""Minimax of smooth functions: the error alternates, is proven where the function is known, and beats interpolation."""

from __future__ import annotations

import mpmath
import numpy as np
import pytest

from arithmos.approx.composite import evaluate
from arithmos.approx.remez import alternation
from arithmos.approx.smooth import minimax
from arithmos.approx.tables import FUNCTIONS as EXACT
from arithmos.errors import RangeError, UsageError

pytest.importorskip("flint", reason='pip install "arithmos[polynomials]"')


@pytest.mark.parametrize(
    ("name", "low", "high", "attrs"),
    [
        ("gelu", -5.0, 5.0, {"approximate": "none"}),
        ("gelu", -4.0, 6.0, {"approximate": "tanh"}),
        ("silu", -8.0, 8.0, {}),
        ("sigmoid", -6.0, 6.0, {}),
        ("tanh", -3.0, 3.0, {}),
        ("exp", -4.0, 0.0, {}),
        ("reciprocal", 0.25, 2.0, {}),
        ("rsqrt", 0.1, 1.0, {}),
    ],
)
def test_the_error_is_proven_and_alternates(name: str, low: float, high: float, attrs: dict[str, str]) -> None:
    degree = 9
    found = minimax(name, degree, low, high, **attrs)
    t = np.cos(np.linspace(np.pi, 0, 2001))
    x = [mpmath.mpf(low + high) / 2 + mpmath.mpf(high - low) / 2 * mpmath.mpf(at) for at in t]
    exact = np.array([float(EXACT[name](at, **attrs)) for at in x])
    error = exact - evaluate(found, t)
    assert found.error is not None and found.stages[0].shape == (degree + 1,)
    assert np.abs(error).max() <= found.error <= np.abs(error).max() * 1.001
    reached = [k for k in alternation(error) if abs(error[k]) > found.error * (1 - 1e-3)]
    assert len(reached) >= degree + 2


def test_exp_of_degree_one_is_known() -> None:
    found = minimax("exp", 1, 0.0, 1.0)
    slope = np.e - 1  # of the chord; the level is half the gap where the tangent has it
    level = (1 - slope + slope * np.log(slope)) / 2
    assert found.error == pytest.approx(abs(level), rel=1e-3) and found.stages[0][1] == pytest.approx(slope / 2)


def test_any_function_of_an_array_is_taken_but_not_proven() -> None:
    found = minimax(lambda x: np.log1p(np.exp(x)), 8, -3.0, 3.0)
    assert found.error is None and np.allclose(evaluate(found, np.array([0.0])), np.log(2), atol=1e-4)


def test_a_polynomial_is_found_again() -> None:
    found = minimax(lambda x: x**3 - 2 * x, 5, -1.0, 1.0)
    assert np.allclose(found.stages[0], [0, -1.25, 0, 0.25, 0, 0], atol=1e-14)


def test_every_bad_argument_is_named() -> None:
    with pytest.raises(UsageError) as caught:
        minimax("gelo", -1, 2.0, 1.0)
    text = str(caught.value)
    assert text.startswith(
        "there is no minimax polynomial of this\n  why  there is no function 'gelo'; there are abs, "
    )
    assert text.endswith(
        "       the degree is -1, not a whole number from 0 to 255\n"
        "       the interval is [2.0, 1.0]\n"
        "  fix  give a function or its name, a degree, and low < high"
    )


def test_a_pole_in_the_interval_is_refused() -> None:
    with pytest.raises(RangeError) as caught:
        minimax("reciprocal", 7, 0.0, 1.0)
    assert str(caught.value) == (
        "'reciprocal' has no finite value everywhere on [0.0, 1.0]\n"
        "  why  a polynomial is finite everywhere\n"
        "  fix  choose an interval inside the function's domain"
    )
