"""Proven bounds: never below what is seen, hardly above it, and refused where a stage leaves its interval."""

from __future__ import annotations

import mpmath
import numpy as np
import pytest

from arithmos.approx import odd_series
from arithmos.approx.certify import FUNCTIONS, SLACK, function_bound, relu_bound
from arithmos.approx.composite import Composite, relu_of
from arithmos.approx.stagewise import best_gap, stagewise
from arithmos.approx.tables import FUNCTIONS as EXACT
from arithmos.errors import RangeError, UsageError
from arithmos.ir.ops.function import ATTRS
from proven_error import relu_error_is_at_most

pytest.importorskip("flint", reason='pip install "arithmos[polynomials]"')


def composite(degrees: tuple[int, ...], offset: float = 0.0) -> Composite:
    return Composite(tuple(odd_series.dense(s) for s in stagewise(degrees, best_gap(degrees))), offset)


@pytest.mark.parametrize("offset", [0.0, 0.01, -0.3])
@pytest.mark.parametrize("degrees", [(1,), (5,), (3, 7), (7, 7)])
def test_the_bound_holds_on_a_grid_and_is_tight(degrees: tuple[int, ...], offset: float) -> None:
    p = composite(degrees, offset)
    x = np.linspace(-1, 1, 200_001)
    seen = float(np.abs(relu_of(p, x) - np.maximum(x, 0)).max())
    bound = relu_bound(p)
    assert seen <= bound <= seen * (1 + SLACK + 1e-6)


def test_two_proofs_that_share_nothing_agree() -> None:
    p = composite((7, 7))
    bound = relu_bound(p)
    stages = list(p.stages)
    assert relu_error_is_at_most(stages, 0.0, bound) and not relu_error_is_at_most(stages, 0.0, bound * 0.99)


def test_the_bound_of_a_parabola_is_exact() -> None:
    bound = relu_bound(Composite((np.array([0.0, 1.0]),)))  # x (1 - x) / 2 is largest at 1/2: 1/8
    assert 0.125 <= bound <= 0.125 * (1 + SLACK)


def test_a_stage_that_leaves_its_interval_is_refused() -> None:
    with pytest.raises(RangeError) as caught:
        relu_bound(Composite((np.array([0.0, 1.0, 0.0, 0.25]), np.array([0.0, 1.0]))))
    assert str(caught.value).startswith("stage 1 leaves [-1, 1]\n  why  it reaches 1.")
    assert str(caught.value).endswith("\n  fix  fold the range of the next stage into it")


def test_stages_that_are_not_odd_are_refused() -> None:
    with pytest.raises(UsageError, match="these stages are not odd"):
        relu_bound(Composite((np.array([0.1, 1.0]),)))


@pytest.mark.parametrize("name", FUNCTIONS)
def test_bounds_of_functions_hold_in_high_precision(name: str) -> None:
    low, high = (0.25, 2.0) if name in ("log", "sqrt", "rsqrt", "reciprocal") else (-2.0, 1.5)
    attrs = ATTRS.get(name, {})
    stage = np.random.default_rng(0).standard_normal(4)
    bound = function_bound(name, stage, low, high, **attrs)
    worst = mpmath.mpf(0)
    for t in np.cos(np.linspace(0, np.pi, 301)):
        x = mpmath.mpf(low + high) / 2 + mpmath.mpf(high - low) / 2 * mpmath.mpf(t)
        p = sum(mpmath.mpf(c) * mpmath.chebyt(k, mpmath.mpf(t)) for k, c in enumerate(stage))
        worst = max(worst, abs(EXACT[name](x, **attrs) - p))
    assert worst <= bound <= worst * 1.001


def test_both_forms_of_gelu_are_bounded() -> None:
    stage = np.zeros(1)
    bounds = [function_bound("gelu", stage, -1.0, 0.0, approximate=form) for form in ("none", "tanh")]
    assert bounds[0] != bounds[1] and bounds == pytest.approx([0.16997, 0.17004], abs=1e-4)
