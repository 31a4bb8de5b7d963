"""The order of an epoch: every picture once, the same for the same seed and epoch."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

WINDOW = 8
"""Blocks that are shuffled together: a reader keeps as many row groups."""


def generator(seed: int, epoch: int, *what: int) -> np.random.Generator:
    """Independent random numbers for every (seed, epoch, what)."""
    return np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(epoch, *what)))


def order(n: int, rng: np.random.Generator, blocks: Sequence[int] = ()) -> np.ndarray:
    """A permutation of 0 ... n - 1.

    blocks: the first row of each stretch that is only read as a whole. With more than WINDOW of them, the blocks are
    drawn in a random order, and rows are shuffled within WINDOW blocks at a time: nearly as random, and each block is
    read once an epoch (by each process) instead of once a picture.
    """
    if len(blocks) <= WINDOW:
        return rng.permutation(n)
    ends = [*blocks[1:], n]
    rows = [np.arange(start, end) for start, end in zip(blocks, ends, strict=True)]
    drawn = rng.permutation(len(rows))
    windows = [drawn[k : k + WINDOW] for k in range(0, len(drawn), WINDOW)]
    return np.concatenate([rng.permutation(np.concatenate([rows[b] for b in window])) for window in windows])
