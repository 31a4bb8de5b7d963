"""Quantisers: from real levels to the whole numbers of an alphabet; what a solver does to each of its columns.

A real level is a weight divided by the step of its row. Published alphabets and their rules: Zhang, Zhou & Saab,
arXiv 2201.11113 (nearest, both thresholds); Zhang & Saab, arXiv 2309.10975 (stochastic).
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np

from arithmos.ir.interval import Interval
from arithmos.quant.grid import clipped, nearest_whole

Quantiser = Callable[[np.ndarray], np.ndarray]
"""Real levels, shape (groups, rows) or one that broadcasts against it -> whole numbers of that shape, as floats."""

WIDEST_GAP = 15
"""Largest gap of a hard threshold in steps, or the last level where that is more: few bits stay few."""


def nearest(levels: Interval, *, odd: bool = False) -> Quantiser:
    """clip(floor(x + 1/2), levels), or clip(2 * floor(x / 2) + 1, levels): the nearest odd number. Ties towards +inf.

    Round to nearest ("msq") is this quantiser on the weights themselves, gpfq the same on what it feeds back.
    """

    return partial(nearest_whole, levels=levels, odd=odd)


def stochastic(levels: Interval, rng: np.random.Generator, *, odd: bool = False) -> Quantiser:
    """clip(floor(x) + [u < x - floor(x)], levels), u uniform in [0, 1): unbiased inside the levels.

    odd: the odd numbers on both sides of x, drawn likewise. One draw an element and call, in the order of the array's
    elements.
    """

    def quantise(x: np.ndarray) -> np.ndarray:
        scaled = (x - 1) / 2 if odd else x
        whole = np.floor(scaled)
        whole += rng.random(x.shape) < scaled - whole
        return clipped(2 * whole + 1 if odd else whole, levels)

    return quantise


def soft(levels: Interval, threshold: np.ndarray | float) -> Quantiser:
    """nearest(sign(x) * max(|x| - threshold, 0)): the quantiser of an L1 penalty. threshold = lambda / step of each
    row."""
    rounded = nearest(levels)

    def quantise(x: np.ndarray) -> np.ndarray:
        return rounded(np.copysign(np.maximum(np.abs(x) - threshold, 0), x))

    return quantise


def hard(levels: Interval, gap: np.ndarray | float, threshold: np.ndarray | float) -> Quantiser:
    """0 where |x| <= threshold, else sign(x) * (gap + nearest(|x| - gap)): the quantiser of an L0 penalty.

    The alphabet is 0, +-gap, +-(gap + 1) ... +-(gap + K) with K = levels.hi; x in units of the steps of `hard_steps`,
    threshold = lambda / step, gap a whole number of steps close to it. Ties towards +inf on the signed axis, as in
    `nearest`. Both 0 is `nearest`.
    """
    return _gapped(levels, gap, threshold)


def nearest_beyond(levels: Interval, gap: np.ndarray | float) -> Quantiser:
    """The number of the alphabet of `hard` that is nearest to x: 0 where |x| <= gap / 2. gap 0 is `nearest`.

    For a search among those levels, where the threshold has done its work already.
    """
    return _gapped(levels, gap, np.asarray(gap) / 2)


def _gapped(levels: Interval, gap: np.ndarray | float, threshold: np.ndarray | float) -> Quantiser:
    rounded = nearest(levels)

    def quantise(x: np.ndarray) -> np.ndarray:
        size = np.abs(x)
        whole = np.abs(rounded(np.copysign(np.maximum(size - gap, 0), x))) + gap
        return np.where(size > threshold, np.copysign(whole, x), 0)

    return quantise


def hard_steps(
    steps: np.ndarray, lamb: float, last_level: int, floor: np.ndarray | float = 0.0
) -> tuple[np.ndarray, np.ndarray]:
    """(step' = K step / (K + gap), gap) for every step: the smallest level but 0, gap step', is close to lambda.

    Published: step' = step - lambda / K, which leaves the largest level at K step, and levels that begin at lambda;
    then lambda / step' = K lambda / (K step - lambda) steps', and gap is the whole number nearest to it. At most
    WIDEST_GAP or K, and no more than keeps step' at the floor: the levels then begin below lambda, while the threshold,
    lambda itself, stays. steps: positive, any shape; lamb >= 0; K = last_level.
    """
    largest = last_level * np.asarray(steps, dtype=np.float64)
    below = np.maximum(largest - lamb, largest * 2.0**-52)
    room = np.divide(largest, floor, out=np.full(largest.shape, np.inf), where=np.asarray(floor) > 0) - last_level
    most = np.clip(np.floor(room), 0, max(WIDEST_GAP, last_level))
    gap = np.minimum(np.floor(last_level * lamb / below + 0.5), most)
    return largest / (last_level + gap), gap
