"""The recipe of polynomials: what it refuses, in words, and how it and the recipe of integers keep apart."""

from __future__ import annotations

import numpy as np
import pytest

import arithmos as ar
from arithmos.approx.composite import Composite
from arithmos.errors import UsageError
from arithmos.lower.polynomial_recipe import PolynomialRecipe

LINE = Composite((np.array([0.0, 1.0]),))


def test_one_name_for_both_recipes() -> None:
    assert ar.Recipe(method="composite", alpha=8) == PolynomialRecipe(alpha=8)
    assert isinstance(ar.Recipe(margin=2.0), PolynomialRecipe)
    assert not isinstance(ar.Recipe(), PolynomialRecipe) and not isinstance(ar.Recipe(weight_bits=4), PolynomialRecipe)


def test_mixed_fields() -> None:
    with pytest.raises(UsageError) as caught:
        ar.Recipe(method="composite", alpha=4, weight_bits=4)
    assert str(caught.value) == (
        "this recipe mixes integers and polynomials\n"
        "  why  method, alpha choose polynomials, the others integers\n"
        "  fix  make two recipes: one for ar.quantize, one for ar.approximate"
    )


def test_degrees_in_every_form() -> None:
    assert ar.Recipe(method="minimax", degrees=7).degrees == (7,)
    assert ar.Recipe(degrees=[15, 7]).degrees == (15, 7)
    assert ar.Recipe(degrees="cheapest").degrees == "cheapest"


@pytest.mark.parametrize(
    ("fields", "why"),
    [
        (
            {"method": "chebyshev"},
            "method must be one of composite, fitted, minimax, square, relu_aq, given, got 'chebyshev'",
        ),
        ({"alpha": 3}, "alpha must be an integer from 4 to 14, got 3"),
        ({"alpha": 15}, "alpha must be an integer from 4 to 14, got 15"),
        ({"alpha": True}, "alpha must be an integer from 4 to 14, got True"),
        ({"alpha": 8.0}, "alpha must be an integer from 4 to 14, got 8.0"),
        ({"B_relu": 0}, "B_relu must be a positive number, got 0"),
        ({"B_max": -1.5}, "B_max must be a positive number, got -1.5"),
        ({"B_relu": float("nan")}, "B_relu must be a positive number, got nan"),
        ({"margin": 0.9}, "margin must be a number of at least 1, got 0.9"),
        ({"regularisation": 0.0}, "regularisation must be above 0 and at most 1, got 0.0"),
        ({"offset": 1}, "offset must be true or false, got 1"),
        ({"degrees": [7, 4]}, "degrees must be odd, from 1 to 31, got [4]"),
        ({"degrees": []}, "degrees of method composite must be cheapest, best or a list of integers, got ()"),
        ({"degrees": "small"}, "degrees of method composite must be cheapest, best or a list of integers, got 'small'"),
        ({"method": "fitted", "degrees": "best"}, "degrees of method fitted must be a list of integers, got 'best'"),
        ({"method": "minimax", "degrees": [7, 7]}, "method minimax has one stage, got the degrees [7, 7]"),
        ({"method": "minimax", "degrees": [1]}, "degrees must be from 2 to 63, got [1]"),
        ({"method": "square", "degrees": [2]}, "method square has its own degrees"),
        ({"method": "given"}, "method given needs coefficients: a file or a Composite"),
        ({"coefficients": LINE}, "method composite makes its own coefficients; method given takes yours"),
    ],
)
def test_what_is_refused(fields: dict, why: str) -> None:
    with pytest.raises(UsageError) as caught:
        ar.Recipe(**fields)
    assert str(caught.value) == (
        f"this recipe cannot be followed\n  why  {why}\n"
        "  fix  the fields and their values are listed by `arithmos approximate --help`"
    )


def test_every_problem_at_once() -> None:
    with pytest.raises(UsageError) as caught:
        ar.Recipe(method="no", alpha=99, B_relu=-1, B_max=0)
    assert caught.value.why.count("\n") == 3
