"""One layer's solvers: the error without samples, steps that a graph may hold, levels of every kind."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from arithmos.ir.interval import Interval
from arithmos.lower.choice import WeightGrid
from arithmos.lower.methods import METHODS
from arithmos.lower.recipe import Recipe
from arithmos.lower.solve import VECTORS_ALONE, Problem, beyond_vectors, solved, solved_on
from arithmos.quant.gram import damped, gram_of_pairs
from arithmos.quant.grid import symmetric
from quant.direct import path_following, vectors

GROUPS, ROWS, D = 2, 3, 20
X, Y = vectors(0, GROUPS, 90, D)
WEIGHT = np.random.default_rng(1).normal(size=(GROUPS, ROWS, D))
SHAPE = (GROUPS * ROWS, D // 4, 2, 2)


def problem(recipe: Recipe, floor: float = 0.0) -> Problem:
    moments = gram_of_pairs([(X, Y)])
    tamed = damped(moments, recipe.damping) if recipe.damps else moments
    return Problem(WEIGHT, moments, tamed, np.full((GROUPS, ROWS), floor), recipe)


def grid(levels: Interval = symmetric(3), *, shared: bool = False, odd: bool = False) -> WeightGrid:
    """Where a layer begins: steps that reach the largest weight of each row, or of all."""
    steps = np.abs(WEIGHT).reshape(GROUPS * ROWS, D).max(axis=1) / levels.hi
    return WeightGrid(steps.max(keepdims=True) if shared else steps, levels, np.zeros(SHAPE, np.int64), None, odd)


def left(found: WeightGrid) -> np.ndarray:
    """E (w y - step q x)**2 of each row, on the vectors."""
    steps = np.broadcast_to(found.steps, GROUPS * ROWS).reshape(GROUPS, ROWS, 1)
    on_grid = found.integers.reshape(WEIGHT.shape) * steps
    rest = np.matmul(WEIGHT, Y.transpose(0, 2, 1)) - np.matmul(on_grid, X.transpose(0, 2, 1))
    return np.asarray(np.square(rest).mean(axis=2))


def test_the_error_needs_no_vectors() -> None:
    on_grid = np.round(2 * WEIGHT) / 2
    rest = np.matmul(WEIGHT, Y.transpose(0, 2, 1)) - np.matmul(on_grid, X.transpose(0, 2, 1))
    energy = np.square(np.matmul(WEIGHT, Y.transpose(0, 2, 1))).mean(axis=2)
    assert np.allclose(energy + problem(Recipe(rounding="gpfq")).error(on_grid), np.square(rest).mean(axis=2))


@pytest.mark.parametrize("rounding", METHODS)
def test_integers_are_levels_of_the_grid(rounding: Any) -> None:
    for levels, odd in ((symmetric(3), False), (symmetric(1), True)):
        found, note = solved(problem(Recipe(rounding=rounding)), grid(levels, odd=odd), (0,))
        assert found.integers.shape == SHAPE and found.integers.dtype == np.int64 and note == ""
        members = {-1, 1} if odd else set(range(levels.lo, levels.hi + 1))
        assert set(np.unique(found.integers)) <= members


@pytest.mark.parametrize("rounding", ["gpfq", "gptq_corrected"])
def test_a_descent_leaves_less(rounding: str) -> None:
    plain, descended = (
        solved(problem(Recipe(rounding=name, damping=0.0)), grid(), (0,))[0]  # type: ignore[arg-type]
        for name in (rounding, f"{rounding}+descent")
    )
    assert np.all(left(descended) <= left(plain) * (1 + 1e-5)) and left(descended).sum() < left(plain).sum()


@pytest.mark.parametrize("rounding", ["nearest", "gpfq", "gptq"])
def test_steps_by_the_error_of_the_outputs(rounding: Any) -> None:
    largest, found = (
        solved(problem(Recipe(rounding=rounding, weight_observer=observer)), grid(symmetric(2)), (0,))[0]
        for observer in ("minmax", "hessian")
    )
    assert np.array_equal(largest.steps, grid(symmetric(2)).steps) and np.all(found.steps <= largest.steps * (1 + 1e-6))
    assert left(found).sum() < left(largest).sum()


@pytest.mark.parametrize("fields", [{"weight_observer": "hessian"}, {"weight_observer": "hessian", "learned_scale": 2}])
def test_new_steps_are_numbers_that_a_graph_holds(fields: dict[str, Any]) -> None:
    recipe = Recipe(rounding="gpfq", **fields)
    found = solved(problem(recipe), grid(), (0,))[0].steps
    assert found.shape == (6,) and len(np.unique(found)) == 6
    mantissas = np.frexp(found)[0] * 2.0**24
    assert np.array_equal(mantissas, np.round(mantissas)), "24 bits"
    floor = float(np.median(found))
    assert np.allclose(solved(problem(recipe, floor), grid(), (0,))[0].steps.min(), floor, rtol=1e-6)
    shared = solved(problem(recipe), grid(shared=True), (0,))[0].steps
    assert shared.shape == (1,) and shared[0] <= grid(shared=True).steps[0] * 1.2
    if "learned_scale" not in fields:
        powers = solved(problem(Recipe(rounding="gpfq", scales="power_of_two", **fields)), grid(), (0,))[0].steps
        assert set(np.frexp(powers)[0]) == {0.5}


def test_the_order_of_most_energy_is_another() -> None:
    natural, energy = (
        solved(problem(Recipe(rounding="gpfq", order=order)), grid(), (0,))[0].integers  # type: ignore[arg-type]
        for order in ("natural", "energy")
    )
    assert not np.array_equal(natural, energy)


BATCHES = [(X[:, :40], Y[:, :40]), (X[:, 40:], Y[:, 40:])]
ENERGIES, NO_FLOOR = np.square(X).sum(axis=1), np.zeros((GROUPS, ROWS))


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"order": "energy"},
        {"rounding": "spfq"},
        {"regularizer": "L1", "lamb": 0.3},
        {"regularizer": "L0", "lamb": 0.3},
    ],
)
@pytest.mark.parametrize("shared", [False, True])
def test_vectors_alone_give_the_same(fields: dict[str, Any], shared: bool) -> None:
    recipe = Recipe(**{"rounding": "gpfq", "weight_observer": "minmax", **fields})
    by_gram, note = solved(problem(recipe), grid(shared=shared), (7,))
    found, rest, same_note = solved_on(WEIGHT, BATCHES, ENERGIES, grid(shared=shared), NO_FLOOR, recipe, (7,))
    assert np.array_equal(found.integers, by_gram.integers) and np.array_equal(found.steps, by_gram.steps)
    assert (found.levels, note) == (by_gram.levels, same_note)
    assert rest == pytest.approx(90 * left(found).sum())


def test_stochastic_rounding_of_binary_weights() -> None:
    recipe = Recipe(rounding="spfq", weight_observer="minmax")
    for seed in range(3):
        found, _, _ = solved_on(WEIGHT, BATCHES, ENERGIES, grid(symmetric(1), odd=True), NO_FLOOR, recipe, (seed,))
        assert set(np.unique(found.integers)) == {-1, 1}


def test_what_needs_a_gram_matrix() -> None:
    assert VECTORS_ALONE == ("gpfq", "spfq")
    plain = {"rounding": "gpfq", "weight_observer": "minmax"}
    for fields, named in (
        ({}, []),
        ({"rounding": "gpfq+descent"}, ["descent"]),
        ({"weight_observer": "hessian"}, ["hessian steps"]),
        ({"weight_observer": "auto", "scalar": 1.0}, []),
        ({"learned_scale": 1}, ["learned scale"]),
    ):
        wished: dict[str, Any] = {**plain, "weight_bits": 3, **fields}
        assert beyond_vectors(Recipe(**wished)) == named


def test_a_soft_threshold_is_that_of_the_weights() -> None:
    """lambda is in weights, whatever a row's step is."""
    recipe = Recipe(rounding="gpfq", weight_observer="minmax", regularizer="L1", lamb=0.4)
    found = solved(problem(recipe), grid(symmetric(4)), (0,))[0]
    steps = found.steps.reshape(GROUPS, ROWS)

    def quantise(level: np.ndarray) -> np.ndarray:
        shrunk = np.sign(level) * np.maximum(np.abs(level) - 0.4 / steps, 0)
        return np.clip(np.floor(shrunk + 0.5), -7, 7)

    wanted = path_following(WEIGHT / steps[:, :, None], quantise, X, Y)
    assert np.array_equal(found.integers.reshape(WEIGHT.shape), wanted)


def test_learned_steps_keep_the_threshold() -> None:
    """lambda stays what it is in weights while the steps move; the gap of L0 stays the same number of steps."""
    for regularizer in ("L1", "L0"):
        recipe = Recipe(rounding="gpfq", weight_observer="minmax", regularizer=regularizer, lamb=0.4, learned_scale=3)  # type: ignore[arg-type]
        once = solved(
            problem(Recipe(rounding="gpfq", weight_observer="minmax", regularizer=regularizer, lamb=0.4)), grid(), (0,)
        )[0]  # type: ignore[arg-type]
        found = solved(problem(recipe), grid(), (0,))[0]
        assert found.levels == once.levels and not np.array_equal(found.steps, once.steps)
        assert np.all(left(found) <= left(once) * (1 + 1e-9))


def test_one_step_for_all_rows_is_large_enough_for_each_bias() -> None:
    floor = np.zeros((GROUPS, ROWS))
    floor[1, 2] = 2.0
    start = Problem(
        WEIGHT,
        problem(Recipe()).moments,
        problem(Recipe()).tamed,
        floor,
        Recipe(rounding="gpfq", weight_observer="hessian"),
    )
    assert solved(start, grid(shared=True), (0,))[0].steps == pytest.approx([2.0])
    own = solved(start, grid(), (0,))[0].steps
    assert own[5] == pytest.approx(2.0) and np.all(own[:5] < 2)
