"""Steps: the published one by its formula, the Hessian-weighted one never worse than the largest."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from arithmos.quant.gram import gram
from arithmos.quant.grid import published, symmetric
from arithmos.quant.quantiser import nearest
from arithmos.quant.steps import SMALLEST, WIDTH, hessian_steps, published_step, without_zeros
from quant.direct import vectors


@given(st.integers(0, 999), st.floats(0.1, 4.0), st.floats(0, 1), st.integers(1, 8))
def test_the_published_formula(seed: int, scalar: float, percentile: float, bits: int) -> None:
    rows = np.random.default_rng(seed).normal(size=(5, 3, 2, 2))
    k = published(bits).hi
    ranges = []
    for row in rows.reshape(5, -1):
        ordered, at = np.sort(np.abs(row)), percentile * 11
        low = int(np.floor(at))
        ranges.append(ordered[low] + (at - low) * (ordered[min(low + 1, 11)] - ordered[low]))
    assert published_step(rows, scalar, percentile, k) == pytest.approx(scalar / k * np.mean(ranges), rel=1e-12)


def test_the_published_step_of_the_row_maximum() -> None:
    rows = np.array([[1.0, -3.0], [0.5, 0.25], [0.0, 0.0]])
    assert published_step(rows, 1.5, 1.0, 2) == 1.5 / 2 * 3.5 / 3
    assert published_step(0 * rows, 1.5, 1.0, 2) == 0.0


def test_the_published_step_before_a_batch_norm_was_folded() -> None:
    rows, factors = np.random.default_rng(0).normal(size=(4, 9)), np.array([2.0, -0.5, 1.0, 3.0])
    folded = rows * factors[:, None]
    assert published_step(folded, 1.16, 1.0, 8, factors) == pytest.approx(published_step(rows, 1.16, 1.0, 8), rel=1e-12)
    assert published_step(folded, 1.16, 1.0, 8, np.array([2.0, -0.5, 1.0, 0.0])) < published_step(rows, 1.16, 1.0, 8)


def cost(weight: np.ndarray, steps: np.ndarray, matrix: np.ndarray, bits: int, *, odd: bool) -> np.ndarray:
    step = steps[:, :, None]
    error = weight - step * nearest(symmetric(bits), odd=odd)(weight / step)
    return np.asarray((np.matmul(error, matrix) * error).sum(axis=2))


@pytest.mark.parametrize(("bits", "odd"), [(1, True), (1, False), (2, False), (3, False), (4, False), (8, False)])
def test_no_row_is_worse_than_with_the_largest_step(bits: int, odd: bool) -> None:
    _, x = vectors(bits, 2, 90, 30)
    matrix, weight = gram([x]).matrix, np.random.default_rng(0).normal(size=(2, 12, 30)) * 1e-3
    top = np.abs(weight).max(axis=2) / symmetric(bits).hi
    steps = hessian_steps(weight, matrix, symmetric(bits), odd=odd)
    assert steps.shape == (2, 12) and np.all(steps >= SMALLEST * top * (1 - 1e-6)) and np.all(steps <= top * (1 + 1e-6))
    found, largest = (cost(weight, s, matrix, bits, odd=odd) for s in (steps, top))
    assert np.all(found <= largest * (1 + 1e-5))
    assert found.sum() < (0.9 if bits < 8 else 1.0) * largest.sum()
    costs = [cost(weight, share * top, matrix, bits, odd=odd) for share in np.linspace(SMALLEST, 1, 31)]
    assert np.all(found <= np.min(costs[::5], axis=0) * (1 + 1e-5)), "no worse than any of the coarse ones"
    assert found.sum() < 1.15 * np.min(costs, axis=0).sum(), "close to all 31"


def test_the_search_ends_on_a_finer_grid_than_it_begins() -> None:
    weight = np.random.default_rng(0).normal(size=(1, 200, 30))
    shares = hessian_steps(weight, np.eye(30)[None], symmetric(3)) / (np.abs(weight).max(axis=2) / 3)
    hundredths = np.unique(np.round(100 * shares)).astype(int)
    assert np.allclose(100 * shares, np.round(100 * shares), atol=1e-3)
    assert {40 <= h <= 100 and (h - 100) % 10 in (0, 2, 4, 6, 8) for h in hundredths} == {True}
    assert len(hundredths) > 10


def test_steps_of_rows_of_zeros_and_of_inputs_of_zeros() -> None:
    _, x = vectors(3, 2, 40, 10)
    x[1] = 0
    weight = np.random.default_rng(0).normal(size=(2, 3, 10))
    weight[0, 1] = 0
    steps = hessian_steps(weight, gram([x]).matrix, symmetric(3))
    assert steps[0, 1] == steps.max() and np.count_nonzero(steps == steps.max()) == 2
    assert np.allclose(steps[1], np.abs(weight[1]).max(axis=1) / 3)  # nothing to tell them apart: the largest
    assert np.array_equal(hessian_steps(0 * weight, gram([x]).matrix, symmetric(3)), np.ones((2, 3)))
    binary = hessian_steps(weight, gram([x]).matrix, symmetric(1), odd=True)
    assert binary[0, 1] == np.delete(binary.reshape(-1), 1).max() * 2.0**-24


def test_steps_without_zeros() -> None:
    assert without_zeros(np.array([[0.0, 3.0], [2.0, 0.0]])).tolist() == [[3, 3], [2, 3]]
    assert without_zeros(np.zeros(2)).tolist() == [1, 1]
    assert without_zeros(np.zeros(2), odd=True).tolist() == [2.0**-24] * 2


@pytest.mark.parametrize("d", [30, 2 * WIDTH + 7])
def test_one_step_for_all_rows_has_the_least_summed_error(d: int) -> None:
    _, x = vectors(5, 2, d // 2, d)
    x[1] *= 30  # the group whose outputs weigh more; the other alone would like a much smaller step
    matrix, weight = gram([x]).matrix, np.random.default_rng(0).normal(size=(2, 5, d))
    weight[0, 2], weight[1] = 0, np.abs(weight).max() * (0.9 + 0.1 * np.tanh(weight[1]))
    steps = hessian_steps(weight, matrix, symmetric(2), shared=True)
    top = np.full((2, 5), np.abs(weight).max())
    costs = [cost(weight, share * top, matrix, 2, odd=False).sum() for share in np.linspace(SMALLEST, 1, 31)]
    assert len(np.unique(steps)) == 1
    assert cost(weight, steps, matrix, 2, odd=False).sum() == pytest.approx(min(costs), rel=1e-4)


def test_each_row_and_group_has_its_own() -> None:
    _, x = vectors(4, 2, 60, 12)
    matrix, weight = gram([x]).matrix, np.random.default_rng(0).normal(size=(2, 3, 12))
    together = hessian_steps(weight, matrix, symmetric(2))
    for g in range(2):
        for row in range(3):
            alone = hessian_steps(weight[g : g + 1, row : row + 1] * 8, matrix[g : g + 1], symmetric(2))
            assert alone[0, 0] == pytest.approx(8 * together[g, row], rel=1e-6)
