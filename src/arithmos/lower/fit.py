"""A layer fitted to its inputs: from batches of vectors to Gram matrices, solved weights, and how well they fit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import chain

import numpy as np

from arithmos.ir.graph import Node
from arithmos.lower.choice import LayerFit, WeightGrid
from arithmos.lower.recipe import Recipe
from arithmos.lower.solve import VECTORS_ALONE, Problem, beyond_vectors, solved, solved_on
from arithmos.lower.vectors import Batches, vectors
from arithmos.quant.gpfq import WIDTH
from arithmos.quant.gram import Gram, damped, gram, gram_of_pairs

WIDEST = 8192
"""Layers of more columns have no Gram matrix (0.5 GB in float64 at 8192): only column by column methods solve them."""

MOST_WIDE = 4096
"""Vectors that such a layer is solved on."""

HELD = 1 << 30
"""Bytes of vectors and of residuals that are held at once where no Gram matrix is made, though there could be one."""

NOISE = 1e-5
"""Share of the target's energy below which the error is taken from the vectors: Gram matrices of float32 products have
lost it."""


def has_gram(columns: int) -> bool:
    """Whether a layer of so many columns can have a Gram matrix."""
    return columns <= WIDEST


def fitted(
    node: Node,
    constants: Mapping[str, np.ndarray],
    chosen: WeightGrid,
    streams: Sequence[Sequence[np.ndarray]],
    recipe: Recipe,
    seed: tuple[int, ...],
    floor: np.ndarray,
) -> tuple[WeightGrid, LayerFit]:
    """The layer on weights solved by the recipe (its own), and how they fit; its bias stays.

    streams: its inputs in the quantized network, and in the float network where the target is that one's result.
    floor: the least step of each row. Where the method needs no Gram matrix and another form costs less, or a Gram
    matrix would be too large, the layer is solved on the vectors themselves: the integers are the same.
    """
    whole = constants[node.inputs[1]]
    columns, groups = whole[0].size, node.attrs.get("groups", 1)
    if not recipe.solves:
        return chosen, LayerFit(columns, 0, 0, None, _sparsity(chosen))
    weight, floor = whole.reshape(groups, -1, columns), floor.reshape(groups, -1)
    if not has_gram(columns):
        return _wide(weight, chosen, vectors(node, whole, streams, recipe, seed, MOST_WIDE), floor, recipe, seed)
    batches = vectors(node, whole, streams, recipe, seed)
    if _is_cheaper_on_vectors(weight, len(streams), recipe):
        held, batches = _held(batches, weight)
        if held:
            return _on_vectors(weight, chosen, held, floor, recipe, seed)
    weight = weight.astype(np.float64)
    moments, energy = _moments(batches, weight)
    tamed = damped(moments, recipe.damping) if recipe.damps else moments
    problem = Problem(weight, moments, tamed, floor, recipe)
    found, note = solved(problem, chosen, seed)
    on_grid = found.weight.reshape(weight.shape)
    left = energy + float(problem.error(on_grid).sum())
    if left <= NOISE * energy:
        left = _left(vectors(node, whole, streams, recipe, seed), weight, on_grid)
    dead = int((np.einsum("gii->gi", moments.matrix) == 0).sum())
    note = _joined(note, _notes(moments.n, columns, dead == groups * columns, recipe.damping if recipe.damps else None))
    error = float(np.sqrt(left / energy)) if energy else None
    return found, LayerFit(columns, moments.n, dead, error, _sparsity(found), note)


def _moments(batches: Batches, weight: np.ndarray) -> tuple[Gram, float]:
    """The Gram matrices, and E ||x W^T||^2 of the target's vectors; one stream is its own target."""
    energy, n = 0.0, 0

    def seen(batch: tuple[np.ndarray, ...]) -> tuple[np.ndarray, ...]:
        nonlocal energy, n
        energy += _energy(batch[-1], weight)
        n += batch[-1].shape[1]
        return batch

    first = next(batches)
    pairs = (seen(batch) for batch in chain((first,), batches))
    found = gram_of_pairs((a, b) for a, b in pairs) if len(first) == 2 else gram(x for (x,) in pairs)
    return found, energy / max(n, 1)


def _energy(target: np.ndarray, weight: np.ndarray) -> float:
    """||X W^T||^2 of vectors (groups, n, d) and rows (groups, rows, d)."""
    made = np.matmul(target, weight.transpose(0, 2, 1).astype(target.dtype, copy=False))
    return float(np.einsum("gnr,gnr->", made, made, dtype=np.float64))


def _left(batches: Batches, weight: np.ndarray, on_grid: np.ndarray) -> float:
    """E ||x W^T - x~ (step Q)^T||^2 from the vectors themselves, in float64."""
    total, n = 0.0, 0
    for batch in batches:
        meant, seen = (np.matmul(batch[i], rows.transpose(0, 2, 1)) for i, rows in ((-1, weight), (0, on_grid)))
        total += float(np.square(meant - seen).sum())
        n += batch[0].shape[1]
    return total / max(n, 1)


def _is_cheaper_on_vectors(weight: np.ndarray, n_streams: int, recipe: Recipe) -> bool:
    """Whether the method needs no Gram matrix, and narrow products with the rows, which take about twice as long, are
    still fewer than those of the Gram matrices."""
    _, rows, columns = weight.shape
    by_gram, by_vectors = (n_streams - 0.5) * columns, 3 * rows + 1.5 * WIDTH
    return recipe.method.solver in VECTORS_ALONE and not beyond_vectors(recipe) and 2 * by_vectors < by_gram


def _held(batches: Batches, weight: np.ndarray) -> tuple[list[tuple[np.ndarray, ...]], Batches]:
    """All batches; or none, and those that are to come, where they and their residuals take more than HELD bytes."""
    held, size = list[tuple[np.ndarray, ...]](), 0
    for batch in batches:
        held.append(batch)
        size += sum(x.nbytes for x in batch) + batch[0].nbytes * weight.shape[1] // weight.shape[2]
        if size > HELD:
            return [], chain(held, batches)
    return held, iter(())


def _wide(
    weight: np.ndarray,
    chosen: WeightGrid,
    batches: Batches,
    floor: np.ndarray,
    recipe: Recipe,
    seed: tuple[int, ...],
) -> tuple[WeightGrid, LayerFit]:
    """A layer of too many columns for a Gram matrix: gpfq and spfq go on from vectors, everything else rounds."""
    columns = weight.shape[2]
    said = f"{columns} columns are too many for a Gram matrix: "
    if recipe.method.solver not in VECTORS_ALONE:
        note = said + "rounded to nearest (gpfq and spfq would solve them)"
        return chosen, LayerFit(columns, 0, 0, None, _sparsity(chosen), note)
    lost = beyond_vectors(recipe)
    note = f"{said}solved without {' and '.join(lost)}" if lost else ""
    return _on_vectors(weight, chosen, list(batches), floor, recipe, seed, note)


def _on_vectors(
    weight: np.ndarray,
    chosen: WeightGrid,
    batches: Sequence[tuple[np.ndarray, ...]],
    floor: np.ndarray,
    recipe: Recipe,
    seed: tuple[int, ...],
    said: str = "",
) -> tuple[WeightGrid, LayerFit]:
    """The layer solved on vectors that are held, without a Gram matrix."""
    energies = np.sum([np.einsum("gnd,gnd->gd", x, x, dtype=np.float64) for x, *_ in batches], axis=0)
    found, left, note = solved_on(weight, batches, energies, chosen, floor, recipe, seed)
    n, columns = sum(batch[0].shape[1] for batch in batches), weight.shape[2]
    target = sum(_energy(batch[-1], weight) for batch in batches)
    error = float(np.sqrt(left / target)) if target else None
    dead = int((energies == 0).sum())
    note = _joined(said, note, _notes(n, columns, dead == energies.size, None))
    return found, LayerFit(columns, n, dead, error, _sparsity(found), note)


def _joined(*notes: str) -> str:
    return "; ".join(note for note in notes if note)


def _sparsity(chosen: WeightGrid) -> float:
    return float((chosen.integers == 0).mean())


def _notes(n: int, columns: int, silent: bool, damping: float | None) -> str:
    """What to say of samples that are too few, or show nothing; damping: None where no matrix is damped."""
    if silent:
        return "its inputs are zero in all samples, so that nothing is known of its weights"
    if n >= columns:
        return ""
    what = f"{n} vectors for {columns} columns: "
    if damping is None:
        return f"{what}they span {n} dimensions at most; give more samples"
    tamed = f"damped by {damping:g} of its mean diagonal"
    return f"{what}the Gram matrix has rank {n} at most, {tamed}; give more samples"
