"""Random crops and flips of a batch of small pictures, all at once, before they are normalised."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

N_DRAWS = 41
"""Uniform numbers a picture: 10 tries of 4 for a resized crop (or, first, the 2 of a shift), and one for the flip."""


@dataclass(frozen=True, slots=True)
class Augmentation:
    """What is done to a training picture, and never to a test picture.

    pad: black pixels on every side before a random crop of the old size, counted on the data set's own picture size.
    flip: left and right exchanged for every second one. resized: a random part of the whole picture, resized.
    """

    pad: int = 0
    flip: bool = False
    resized: bool = False


def shifted(batch: np.ndarray, pad: int, draws: np.ndarray) -> np.ndarray:
    """out[i, :, y, x] = batch[i, :, y + dy - pad, x + dx - pad], 0 outside; dy, dx uniform in 0 ... 2 pad.

    batch: uint8 (n, channels, height, width); draws: uniform in [0, 1), (n, 2).
    Source: He et al., arXiv:1512.03385, section 4.2.
    """
    n, channels, height, width = batch.shape
    padded = np.zeros((n, channels, height + 2 * pad, width + 2 * pad), batch.dtype)
    padded[:, :, pad : pad + height, pad : pad + width] = batch
    dy, dx = (draws * (2 * pad + 1)).astype(np.int64).T
    windows = sliding_window_view(padded, (height, width), axis=(2, 3))
    cut: np.ndarray = windows[np.arange(n), :, dy, dx]
    return cut


def flipped(batch: np.ndarray, draws: np.ndarray) -> np.ndarray:
    """out[i, ..., x] = batch[i, ..., -1 - x] where draws[i] < 1/2, else batch[i]; in a new array."""
    chosen = draws < 0.5
    out = batch.copy()
    out[chosen] = batch[chosen][..., ::-1]
    return out
