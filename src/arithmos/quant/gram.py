"""Gram matrices: the second moments of what a layer's weights are multiplied by: all that its squared error knows.

E |(Q - W) x|**2 = (Q - W) G (Q - W)^T row by row, with G = E[x x^T]: no sample is needed any more.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from arithmos.ir.graph import Shape
from arithmos.ir.ops.window import Pairs


@dataclass(frozen=True, slots=True, eq=False)
class Gram:
    """matrix = E[x x^T], shape (groups, d, d), float64, over n vectors a group.

    cross = E[x y^T], shape (groups, d, d), where the layer meets x in the quantised network and y in the float one:
    cross[g, t, s] = E[x_t y_s]. None where they are the same.
    """

    matrix: np.ndarray
    n: int
    cross: np.ndarray | None = None


def gram(vectors: Iterable[np.ndarray]) -> Gram:
    """The moments of batches of shape (groups, n, d). Products in the batches' own type, sums over batches in float64.

    Memory: two matrices of d * d numbers a group, and the batch.
    """
    second, n = np.zeros(()), 0
    for batch in vectors:
        second = _plus(second, np.matmul(batch.transpose(0, 2, 1), batch))  # BLAS syrk: half the work of a product
        n += batch.shape[1]
    return Gram(_mean(second, n), n)


def gram_of_pairs(pairs: Iterable[tuple[np.ndarray, np.ndarray]]) -> Gram:
    """The moments of batches (x, y) of shape (groups, n, d): the quantised network's inputs and the float one's.

    matrix is that of x, cross = E[x y^T]. Types and sums as in `gram`. Memory: three matrices a group.
    """
    second, both, n = np.zeros(()), np.zeros(()), 0
    for x, y in pairs:
        turned = x.transpose(0, 2, 1)
        second = _plus(second, np.matmul(turned, x))
        both = _plus(both, np.matmul(turned, y))
        n += x.shape[1]
    return Gram(_mean(second, n), n, _mean(both, n))


def damped(moments: Gram, share: float) -> Gram:
    """G + share * mean(diag G) * I, and the same added to C: directions that no sample shows still cost something.

    The target G^-1 C w of equal inputs stays w. A group whose inputs are all zero stays zero. share >= 0.
    """
    size = share * np.einsum("gii->g", moments.matrix) / moments.matrix.shape[1]
    added = [None if m is None else _raised(m, size) for m in (moments.matrix, moments.cross)]
    assert added[0] is not None
    return Gram(added[0], moments.n, added[1])


def reordered(moments: Gram, order: np.ndarray) -> Gram:
    """The moments of the columns taken in another order: a permutation, shape (d,)."""
    grid = (slice(None), order[:, None], order)
    cross = None if moments.cross is None else moments.cross[grid]
    return Gram(moments.matrix[grid], moments.n, cross)


def energy_order(energies: np.ndarray) -> np.ndarray:
    """The columns by descending energy, sum over groups of diag G, (groups, d); equal ones in their natural order."""
    return np.argsort(-energies.sum(axis=0), kind="stable")


def published_patches(
    x: np.ndarray,
    rng: np.random.Generator,
    retain_rate: float,
    kernel: Shape,
    padding: Pairs,
    dilation: Shape,
    groups: int,
) -> np.ndarray:
    """The patches that the published GPFQ solves on: shape (groups, n, d), float64, d = channels / groups * kernel.

    Windows at a stride of the kernel's size, whatever the layer's own; of the L of an image, int(retain_rate * L + 1)
    are drawn with replacement, L where retain_rate is 1. One drawn k times is here once, times sqrt(k): the sums of
    squares and products, all that a solver reads, are those of what was drawn, and at retain_rate 1 only 63 % of the
    windows differ. Generators of one state draw the same places. Source: the code published with arXiv 2201.11113; 0 <
    retain_rate <= 1.
    """
    every = windows(x, rng, x.size, kernel=kernel, stride=kernel, padding=padding, dilation=dilation, groups=groups)
    count = every.shape[1] // len(x)
    drawn = rng.integers(count, size=(len(x), count if retain_rate == 1 else int(retain_rate * count + 1)))
    times = np.bincount((drawn + count * np.arange(len(x))[:, None]).ravel(), minlength=every.shape[1])
    kept = np.flatnonzero(times)
    return np.asarray((every.transpose(0, 2, 1).take(kept, axis=2) * np.sqrt(times[kept])).transpose(0, 2, 1))


def _plus(total: np.ndarray, part: np.ndarray) -> np.ndarray:
    """total + part in float64, in place from the second part on."""
    if total.ndim == 0:
        return part.astype(np.float64)
    total += part
    return total


def _mean(total: np.ndarray, n: int) -> np.ndarray:
    return np.asarray(np.divide(total, max(n, 1), out=np.asarray(total)))


def _raised(matrix: np.ndarray, size: np.ndarray) -> np.ndarray:
    """matrix + size * I of each group."""
    higher = matrix.copy()
    np.einsum("gii->gi", higher)[...] += size[:, None]
    return higher


def windows(
    x: np.ndarray,
    rng: np.random.Generator,
    most: int,
    *,
    kernel: Shape,
    stride: Shape,
    padding: Pairs,
    dilation: Shape,
    groups: int,
) -> np.ndarray:
    """What a convolution multiplies by its rows: shape (groups, n, d), d = channels / groups * kernel.

    x: (images, channels, space...). At most `most` windows an image, drawn without replacement where there are more.
    Where all are taken each of the d numbers lies in memory in a row of its own: that copies long runs, and blocks of
    columns are whole.
    """
    axes = tuple(range(2, x.ndim))
    reach = tuple((k - 1) * d + 1 for k, d in zip(kernel, dilation, strict=True))
    strides = [slice(None, None, step) for step in (1, 1, *stride, *dilation)]
    view = sliding_window_view(np.pad(x, ((0, 0), (0, 0), *padding)), reach, axis=axes)[tuple(strides)]
    space = view.shape[2 : 2 + len(kernel)]
    split = view.reshape(len(x), groups, x.shape[1] // groups, *space, *kernel)
    rows = np.moveaxis(split, (1, 2), (0, 2 + len(space)))  # (groups, images, space..., channels, kernel...), no copy
    count = math.prod(space)
    if count <= most:
        turned = np.moveaxis(rows, range(1, 2 + len(space)), range(-1 - len(space), 0))
        return np.ascontiguousarray(turned).reshape(groups, -1, len(x) * count).transpose(0, 2, 1)
    places: Any = (slice(None), slice(None), *np.unravel_index(rng.choice(count, most, replace=False), space))
    return np.ascontiguousarray(rows[places]).reshape(groups, len(x) * most, -1)


def features(x: np.ndarray, rng: np.random.Generator, most: int) -> np.ndarray:
    """What a linear layer multiplies by its rows: shape (1, n, d). At most `most` vectors a sample are drawn."""
    rows = x.reshape(x.shape[0], -1, x.shape[-1])
    if rows.shape[1] > most:
        rows = rows[:, rng.choice(rows.shape[1], most, replace=False)]
    return rows.reshape(1, -1, x.shape[-1])
