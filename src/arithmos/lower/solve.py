"""One layer's weights by the recipe's method, on the Gram matrices of what they multiply, and how well they fit."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np

from arithmos.ir.interval import Interval
from arithmos.lower.choice import WeightGrid
from arithmos.lower.recipe import Recipe
from arithmos.quant.adaround import adaround
from arithmos.quant.descent import descend
from arithmos.quant.gpfq import gpfq, gpfq_vectors
from arithmos.quant.gptq import corrected, gptq
from arithmos.quant.gram import Gram, energy_order
from arithmos.quant.grid import admissible_step
from arithmos.quant.learned_scale import best_scale
from arithmos.quant.quantiser import Quantiser, hard, hard_steps, nearest, nearest_beyond, soft, stochastic
from arithmos.quant.steps import hessian_steps


@dataclass(frozen=True, slots=True, eq=False)
class Problem:
    """One layer, its groups apart: weight (groups, rows, d) in its own units, the moments of what it multiplies.

    tamed: the moments as the method inverts or descends on them: damped, if it does either. floor: the least step
    (groups, rows) that the bias allows. recipe: the layer's own.
    """

    weight: np.ndarray
    moments: Gram
    tamed: Gram
    floor: np.ndarray
    recipe: Recipe

    def error(self, on_grid: np.ndarray) -> np.ndarray:
        """E (w x - q x~)**2 of each row without E (w x)**2, which q does not change; on_grid: step * Q."""
        cross = self.moments.matrix if self.moments.cross is None else self.moments.cross
        against = self.weight @ cross.transpose(0, 2, 1)
        return np.asarray(((on_grid @ self.moments.matrix - 2 * against) * on_grid).sum(axis=2))

    @property
    def order(self) -> np.ndarray | None:
        """The order of the columns, None for their own."""
        return _order(np.einsum("gii->gi", self.moments.matrix), self.recipe)


@dataclass(frozen=True, slots=True, eq=False)
class Alphabet:
    """The levels of a layer: their range (odd: odd numbers alone), what rounds to them with the recipe's threshold and
    without, and a note where the recipe's wish was moved to whole numbers."""

    quantise: Quantiser
    plain: Quantiser
    levels: Interval
    odd: bool
    note: str = ""


VECTORS_ALONE = ("gpfq", "spfq")
"""Solvers that can do without a Gram matrix."""


def beyond_vectors(recipe: Recipe) -> list[str]:
    """What the recipe asks for that needs a Gram matrix, whatever the solver."""
    asked = {
        "hessian steps": recipe.weight_observer_used == "hessian" and recipe.scalar is None,
        "descent": recipe.method.descends,
        "learned scale": recipe.learned_scale > 0,
    }
    return [name for name, wanted in asked.items() if wanted]


def solved(problem: Problem, chosen: WeightGrid, seed: tuple[int, ...]) -> tuple[WeightGrid, str]:
    """Steps and integers of a layer by its recipe's method, from the grid `chosen` on, and a note ("" for none)."""
    recipe, weight = problem.recipe, problem.weight
    shared, rng = len(chosen.steps) == 1, np.random.default_rng(seed)
    steps = np.broadcast_to(chosen.steps, weight.shape[0] * weight.shape[1]).reshape(weight.shape[:2])
    if recipe.weight_observer_used == "hessian" and recipe.scalar is None:
        found = hessian_steps(weight, problem.moments.matrix, chosen.levels, odd=chosen.odd, shared=shared)
        steps = _admitted(found, problem.floor, shared, recipe)
    steps, gap = _spread(steps, chosen, problem.floor, shared, recipe)
    alphabet, solver = _alphabet(steps, gap, chosen, recipe), SOLVED[recipe.method.solver]
    best = solver(problem, weight / steps[:, :, None], alphabet, rng)
    for _ in range(recipe.learned_scale):
        factor = best_scale(weight / steps[:, :, None], best, problem.moments, shared=shared)
        steps = _admitted(steps * factor, problem.floor, shared, recipe)
        alphabet = _alphabet(steps, gap, chosen, recipe)
        again = solver(problem, weight / steps[:, :, None], alphabet, rng)
        better = problem.error(again * steps[:, :, None]) < problem.error(best * steps[:, :, None])
        best = np.where(better[:, :, None], again, best)
    return _replaced(chosen, steps, alphabet, best), alphabet.note


def solved_on(
    weight: np.ndarray,
    batches: Sequence[tuple[np.ndarray, ...]],
    energies: np.ndarray,
    chosen: WeightGrid,
    floor: np.ndarray,
    recipe: Recipe,
    seed: tuple[int, ...],
) -> tuple[WeightGrid, float, str]:
    """The same by gpfq or spfq from vectors (x~,) or (x~, x) without a Gram matrix; steps stay as chosen. In between:
    ||X W^T - X~ Q^T||^2.

    weight: (groups, rows, d), of any type; energies: |x~_t|**2, (groups, d); floor: the least steps, (groups, rows).
    What `beyond_vectors` names is left out.
    """
    steps = np.broadcast_to(chosen.steps, weight.shape[0] * weight.shape[1]).reshape(weight.shape[:2])
    steps, gap = _spread(steps, chosen, floor, len(chosen.steps) == 1, recipe)
    alphabet = _alphabet(steps, gap, chosen, recipe)
    quantise = alphabet.quantise
    if recipe.method.solver == "spfq":
        quantise = stochastic(alphabet.levels, np.random.default_rng(seed), odd=alphabet.odd)
    found, left = gpfq_vectors(weight, steps, quantise, batches, order=_order(energies, recipe))
    return _replaced(chosen, steps, alphabet, found), float(left.sum()), alphabet.note


def _order(energies: np.ndarray, recipe: Recipe) -> np.ndarray | None:
    return None if recipe.order == "natural" else energy_order(energies)


def _replaced(chosen: WeightGrid, steps: np.ndarray, alphabet: Alphabet, integers: np.ndarray) -> WeightGrid:
    flat = steps.reshape(-1)[: len(chosen.steps)]
    return dataclasses.replace(
        chosen, steps=flat, levels=alphabet.levels, integers=integers.reshape(chosen.integers.shape)
    )


def _spread(
    steps: np.ndarray, chosen: WeightGrid, floor: np.ndarray, shared: bool, recipe: Recipe
) -> tuple[np.ndarray, np.ndarray]:
    """The steps and the gaps around 0 that a hard threshold makes of them: no gaps without one."""
    if recipe.regularizer != "L0":
        return steps, np.zeros(steps.shape)
    finer, gap = hard_steps(steps, recipe.lamb, chosen.levels.hi, floor.max() if shared else floor)
    return _as_admissible(finer, recipe), gap


def _alphabet(steps: np.ndarray, gap: np.ndarray, chosen: WeightGrid, recipe: Recipe) -> Alphabet:
    """The levels of the recipe's regularizer, its threshold lamb in these steps."""
    levels = chosen.levels
    if recipe.regularizer == "L1":
        return Alphabet(soft(levels, recipe.lamb / steps), nearest(levels), levels, chosen.odd)
    if recipe.regularizer == "L0":
        most, begins = int(gap.max(initial=0)), np.maximum(gap, 1) * steps
        note = f"L0 below {recipe.lamb:g}: levels are whole numbers of steps and begin at {_range(begins)}"
        wider = Interval(levels.lo - most, levels.hi + most)
        above = recipe.lamb / steps
        return Alphabet(hard(levels, gap, above), nearest_beyond(levels, gap), wider, chosen.odd, note)
    plain = nearest(levels, odd=chosen.odd)
    return Alphabet(plain, plain, levels, chosen.odd)


def _range(values: np.ndarray) -> str:
    """ "0.1 to 0.12", or the one number where they are the same in four digits."""
    return " to ".join(dict.fromkeys(f"{value:.4g}" for value in (values.min(), values.max())))


def _admitted(steps: np.ndarray, floor: np.ndarray, shared: bool, recipe: Recipe) -> np.ndarray:
    """The steps as numbers that a graph may hold, none below what the bias needs (shared: what any of them needs)."""
    return _as_admissible(np.maximum(steps, floor.max() if shared else floor), recipe)


def _as_admissible(steps: np.ndarray, recipe: Recipe) -> np.ndarray:
    return np.reshape([admissible_step(float(step), recipe.scales) for step in steps.reshape(-1)], steps.shape)


def _rounded(problem: Problem, real: np.ndarray, alphabet: Alphabet, rng: np.random.Generator) -> np.ndarray:
    return _descended(problem, real, np.asarray(alphabet.quantise(real)).astype(np.int64), alphabet)


def _learned(problem: Problem, real: np.ndarray, alphabet: Alphabet, rng: np.random.Generator) -> np.ndarray:
    """AdaRound; odd levels 2 k + 1 are searched as the levels k of (real - 1) / 2. Rows that got worse stay nearest."""
    levels, matrix = alphabet.levels, problem.tamed.matrix
    if alphabet.odd:
        halves = Interval((levels.lo - 1) // 2, (levels.hi - 1) // 2)
        found = 2 * adaround((real - 1) / 2, halves, matrix) + 1
    else:
        found = adaround(real, levels, matrix)
    found, start = _descended(problem, real, found, alphabet), _rounded(problem, real, alphabet, rng)
    better = _cost(real - found, matrix) <= _cost(real - start, matrix)
    return np.where(better[:, :, None], found, start)


def _gpfq(problem: Problem, real: np.ndarray, alphabet: Alphabet, rng: np.random.Generator) -> np.ndarray:
    return _descended(problem, real, gpfq(real, alphabet.quantise, problem.moments, order=problem.order), alphabet)


def _spfq(problem: Problem, real: np.ndarray, alphabet: Alphabet, rng: np.random.Generator) -> np.ndarray:
    drawn = stochastic(alphabet.levels, rng, odd=alphabet.odd)
    return _descended(problem, real, gpfq(real, drawn, problem.moments, order=problem.order), alphabet)


def _gptq(problem: Problem, real: np.ndarray, alphabet: Alphabet, rng: np.random.Generator) -> np.ndarray:
    target = corrected(real, problem.tamed) if problem.recipe.method.mismatched else real
    found = gptq(target, alphabet.quantise, problem.tamed.matrix, order=problem.order)
    return _descended(problem, real, found, alphabet)


SOLVED: Mapping[str, Callable[[Problem, np.ndarray, Alphabet, np.random.Generator], np.ndarray]] = MappingProxyType(
    {"nearest": _rounded, "adaround": _learned, "gpfq": _gpfq, "spfq": _spfq, "gptq": _gptq}
)
"""Solver: (problem, weights in steps, levels, generator) -> integers, both (groups, rows, d)."""


def _descended(problem: Problem, real: np.ndarray, found: np.ndarray, alphabet: Alphabet) -> np.ndarray:
    """The integers after coordinate descent, where the method has it. A regularizer's zeros stay."""
    recipe, tamed = problem.recipe, problem.tamed
    if not recipe.method.descends:
        return found
    sparse = recipe.regularizer != "none"
    return descend(real, found, alphabet.plain, tamed.matrix, cross=tamed.cross, keep_zeros=sparse)


def _cost(error: np.ndarray, matrix: np.ndarray) -> np.ndarray:
    """e G e^T of every row: shape (groups, rows)."""
    return np.asarray((np.matmul(error, matrix) * error).sum(axis=2))
