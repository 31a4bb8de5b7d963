"""Gram matrices: the second moments of what a layer's weights are multiplied by: all that its squared error knows.

E |(Q - W) x|**2 = (Q - W) G (Q - W)^T row by row, with G = E[x x^T]: no sample is needed any more.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from arithmos.ir.graph import Shape
from arithmos.ir.ops.window import Pairs


@dataclass(frozen=True, slots=True, eq=False)
class Gram:
    """matrix = E[x x^T], shape (groups, d, d); mean = E[x], shape (groups, d); float64, over n vectors a group."""

    matrix: np.ndarray
    mean: np.ndarray
    n: int

    @property
    def centred(self) -> np.ndarray:
        """E[x x^T] - E[x] E[x]^T: what is left of the error where a bias takes up its mean."""
        return np.asarray(self.matrix - self.mean[:, :, None] * self.mean[:, None, :])


def gram(vectors: Iterable[np.ndarray]) -> Gram:
    """The moments of batches of shape (groups, n, d). Products in the batches' own type, sums over batches in float64.

    Memory: two matrices of d * d numbers a group, and the batch.
    """
    second, first, n = np.zeros(()), np.zeros(()), 0
    for batch in vectors:
        second = second + np.matmul(batch.transpose(0, 2, 1), batch)
        first = first + batch.sum(axis=1, dtype=np.float64)
        n += batch.shape[1]
    return Gram(np.asarray(second / max(n, 1)), np.asarray(first / max(n, 1)), n)


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
    """
    axes = tuple(range(2, x.ndim))
    reach = tuple((k - 1) * d + 1 for k, d in zip(kernel, dilation, strict=True))
    strides = [slice(None, None, step) for step in (1, 1, *stride, *dilation)]
    view = sliding_window_view(np.pad(x, ((0, 0), (0, 0), *padding)), reach, axis=axes)[tuple(strides)]
    space = view.shape[2 : 2 + len(kernel)]
    count = int(np.prod(space))
    chosen = np.arange(count) if count <= most else rng.choice(count, most, replace=False)
    places: Any = (slice(None), slice(None), *np.unravel_index(chosen, space))
    picked = view[places]  # (images, channels, windows, kernel...)
    split = picked.reshape(x.shape[0], groups, x.shape[1] // groups, len(chosen), *kernel)
    rows = np.moveaxis(split, (1, 0, 3), (0, 1, 2))
    return np.ascontiguousarray(rows).reshape(groups, x.shape[0] * len(chosen), -1)


def features(x: np.ndarray, rng: np.random.Generator, most: int) -> np.ndarray:
    """What a linear layer multiplies by its rows: shape (1, n, d). At most `most` vectors a sample are drawn."""
    rows = x.reshape(x.shape[0], -1, x.shape[-1])
    if rows.shape[1] > most:
        rows = rows[:, rng.choice(rows.shape[1], most, replace=False)]
    return rows.reshape(1, -1, x.shape[-1])
