"""Quantisers: from real levels to the whole numbers of an alphabet; what a solver does to each of its columns.

A real level is a weight divided by the step of its row. Published alphabets and their rules: Zhang, Zhou & Saab,
arXiv 2201.11113 (nearest, both thresholds); Zhang & Saab, arXiv 2309.10975 (stochastic).
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from arithmos.ir.interval import Interval

Quantiser = Callable[[np.ndarray], np.ndarray]
"""Real levels, shape (groups, rows) or one that broadcasts against it -> whole numbers of that shape, as floats."""

WIDEST_GAP = 1024
"""Largest gap of a hard threshold in steps: integers keep near 11 bits where lambda comes close to the last level."""


def nearest(levels: Interval, *, odd: bool = False) -> Quantiser:
    """clip(floor(x + 1/2), levels), or clip(2 * floor(x / 2) + 1, levels): the nearest odd number. Ties towards +inf.

    Round to nearest ("msq") is this quantiser on the weights themselves, gpfq the same on what it feeds back.
    """

    def quantise(x: np.ndarray) -> np.ndarray:
        whole = x / 2 if odd else x + 0.5
        np.floor(whole, out=whole)
        return _clipped(2 * whole + 1 if odd else whole, levels)

    return quantise


def stochastic(levels: Interval, rng: np.random.Generator, *, odd: bool = False) -> Quantiser:
    """clip(floor(x) + [u < x - floor(x)], levels), u uniform in [0, 1): unbiased inside the levels.

    odd: the odd numbers on both sides of x, drawn likewise. One draw an element and call, in the order of the array's
    elements.
    """

    def quantise(x: np.ndarray) -> np.ndarray:
        scaled = (x - 1) / 2 if odd else x
        whole = np.floor(scaled)
        whole += rng.random(x.shape) < scaled - whole
        return _clipped(2 * whole + 1 if odd else whole, levels)

    return quantise


def soft(levels: Interval, threshold: np.ndarray | float) -> Quantiser:
    """nearest(sign(x) * max(|x| - threshold, 0)): the quantiser of an L1 penalty. threshold = lambda / step of each
    row."""
    rounded = nearest(levels)

    def quantise(x: np.ndarray) -> np.ndarray:
        return rounded(np.copysign(np.maximum(np.abs(x) - threshold, 0), x))

    return quantise


def hard(levels: Interval, gap: np.ndarray | float) -> Quantiser:
    """0 where |x| <= gap, else sign(x) * (gap + nearest(|x| - gap)): the quantiser of an L0 penalty.

    The alphabet is 0, +-gap, +-(gap + 1) ... +-(gap + K) with K = levels.hi; x in units of the steps of `hard_steps`,
    gap a whole number of them for each row. Ties towards +inf on the signed axis, as in `nearest`. gap 0 is `nearest`.
    """
    return _gapped(levels, gap, gap)


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


def hard_steps(steps: np.ndarray, lamb: float, last_level: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(step' = K step / (K + gap), gap, lambda' = gap step') for every step: lambda snapped to whole steps.

    Published: step' = step - lambda / K, which leaves the largest level at K step; then lambda / step' = K lambda /
    (K step - lambda) steps', and gap is the whole number nearest to it, at most WIDEST_GAP. A lambda near K step or
    beyond becomes WIDEST_GAP steps': only what reaches the last level stays. steps: positive, any shape; lamb >= 0; K =
    last_level. Where gap is 0 the threshold is lost: at few bits a small lambda is closer to 0 than to one step'.
    """
    largest = last_level * np.asarray(steps, dtype=np.float64)
    below = np.maximum(largest - lamb, largest * 2.0**-52)
    gap = np.minimum(np.floor(last_level * lamb / below + 0.5), WIDEST_GAP)
    finer = largest / (last_level + gap)
    return finer, gap, gap * finer


def _clipped(whole: np.ndarray, levels: Interval) -> np.ndarray:
    """In place; np.clip takes longer than all of `nearest` does on the few numbers of a column."""
    np.maximum(whole, levels.lo, out=whole)
    np.minimum(whole, levels.hi, out=whole)
    return whole
