"""Joint optimisation: derivatives, the convex case against brute force, and errors no worse than the ones known."""

from __future__ import annotations

import numpy as np
import pytest

from arithmos.approx import odd_series
from arithmos.approx.joint import changed, descended, jacobian, last_stages, optimum
from arithmos.approx.least_maximum import least_maximum
from arithmos.approx.stagewise import composed, relu_error, stagewise

pytest.importorskip("scipy", reason='pip install "arithmos[polynomials]"')


def test_the_jacobian_is_the_derivative() -> None:
    stages, x = stagewise((7, 3, 5), 0.1), np.linspace(0, 1, 23)
    exact = jacobian(stages, x)
    assert exact.shape == (23, 9)
    for k in range(9):
        step = np.zeros(9)
        step[k] = 1e-6
        sides = []
        for sign in (1, -1):
            parts = np.split(sign * step, [4, 6])
            moved = tuple(stage + part for stage, part in zip(stages, parts, strict=True))
            sides.append(relu_error(moved, x))
        assert np.allclose((sides[0] - sides[1]) / 2e-6, exact[:, k], rtol=1e-4, atol=1e-6)


def test_changed_stages_are_folded() -> None:
    stages = changed(stagewise((7, 3), 0.1), np.full(6, 0.01))
    assert 1 - 1e-8 < odd_series.peak(stages[0]) <= 1


def test_the_least_maximum_is_found_on_few_rows() -> None:
    x = np.linspace(0, 1, 5001)
    solution, level = least_maximum(-np.column_stack([np.ones_like(x), x]), np.sqrt(x))
    assert level == pytest.approx(1 / 8, abs=1e-7) and solution == pytest.approx([1 / 8, 1.0], abs=1e-5)


def test_guards_and_boxes_hold() -> None:
    matrix, start = -np.eye(2), np.array([5.0, 2.0])
    solution, level = least_maximum(matrix, start, guards=np.array([[0.5, 0.5]]), box=np.array([10.0, 0.0]))
    assert solution == pytest.approx([2.0, 0.0]) and level == pytest.approx(3.0)


@pytest.mark.parametrize(("offset", "log2_error"), [(False, -4.7515), (True, -5.4444)])
def test_one_stage_is_the_global_optimum(offset: bool, log2_error: float) -> None:
    found = optimum((5,), offset=offset)
    assert np.log2(found.error) == pytest.approx(log2_error, abs=2e-4)
    x = np.linspace(0, 1, 4001)
    error = relu_error(found.stages, x) - found.offset
    levels = np.abs(error)[np.abs(error) > found.error * (1 - 1e-3)]
    assert np.abs(error).max() <= found.error * (1 + 1e-4) and len(levels) >= 4
    assert found.offset == (pytest.approx(found.error) if offset else 0.0)  # the error starts at its lowest


def test_descending_only_improves_and_keeps_stages_inside() -> None:
    start = min(last_stages((3, 3), offset=True), key=lambda found: found.error)
    end = descended(start, offset=True)
    assert end.error < start.error * 0.999 and np.log2(end.error) < -5.94
    assert np.abs(composed(end.stages[:1], np.linspace(-1, 1, 1001))).max() <= 1


@pytest.mark.slow
@pytest.mark.parametrize(("degrees", "plain", "free"), [((7, 7), -7.210, -7.976), ((7, 15), -8.316, -9.025)])
def test_the_known_errors_are_reached(degrees: tuple[int, ...], plain: float, free: float) -> None:
    assert np.log2(optimum(degrees, offset=False).error) < plain
    assert np.log2(optimum(degrees, offset=True).error) < free
