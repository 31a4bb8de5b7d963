"""Observers: from the distribution of a tensor to the largest magnitude its grid should represent."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from arithmos.errors import UsageError
from arithmos.ir.interval import Interval
from arithmos.quant.grid import ScaleKind, admissible_step

BINS = 2048
SMALLEST = -100
"""Exponent of the narrowest histogram: the width of its bins is a normal float32."""

SENTINEL = 1e8
"""Masks write such numbers where a term is absent; a grid that reached so far would leave nothing of the rest."""

CANDIDATES = 81
"""MSE tries this many thresholds, evenly from 20 % to 100 % of the maximum."""


@dataclass(frozen=True, slots=True)
class Observation:
    """What calibration saw of one value: extremes, a histogram of |x| (BINS bins of `width`), means.

    `channel_mean` is the mean over everything but axis 1 (channels of a convolution), `feature_mean` over everything
    but the last axis (features of a linear layer).
    """

    lo: float
    hi: float
    counts: np.ndarray
    width: float
    channel_mean: np.ndarray
    feature_mean: np.ndarray

    @property
    def magnitude(self) -> float:
        """max |x|."""
        return max(abs(self.lo), abs(self.hi))


class Observer:
    """Accumulates an Observation batch by batch. A class because it lives while the batches stream past.

    The bin width is a power of two and doubles when a larger value comes: merging neighbours is then exact, and the
    result does not depend on how the samples were cut into batches.
    """

    def __init__(self) -> None:
        self._lo, self._hi = math.inf, -math.inf
        self._counts = np.zeros(BINS, dtype=np.int64)
        self._width = 0.0
        self._sum: np.ndarray | float = 0.0
        self._n = 0

    def update(self, x: np.ndarray) -> None:
        """Add a batch (batch axis first)."""
        if x.size == 0:
            return
        x = x.reshape(-1, 1) if x.ndim < 2 else x
        lo, hi = float(x.min()), float(x.max())
        if not max(-lo, hi) < SENTINEL:  # NaN is not: it takes the long way
            x = _without_sentinels(x)
            lo, hi = float(x.min()), float(x.max())
        top = max(-lo, hi)
        if not math.isfinite(lo) or not math.isfinite(hi):
            self._lo = self._hi = math.nan  # stays NaN from here on: min and max keep their first argument
            return
        self._lo, self._hi = min(self._lo, lo), max(self._hi, hi)
        if top > 0:
            self._widen(top)
            scaled = np.multiply(x, 1 / self._width, dtype=np.float32 if x.dtype == np.float32 else np.float64)
            bins = (np.abs(scaled, out=scaled) if lo < 0 else scaled).astype(np.intp)  # a power of two: exact
            counts = np.bincount(bins.ravel(), minlength=BINS + 1)
            counts[BINS - 1] += counts[BINS]  # the largest magnitude itself, where it is the last bin's upper edge
            self._counts += counts[:BINS]
        else:
            self._counts[0] += x.size
        total = x.sum(axis=(0, *range(2, x.ndim - 1)), dtype=np.float64)  # what stays are axis 1 and the last one
        self._sum = self._sum + total
        self._n += x.size // total.size

    def _widen(self, top: float) -> None:
        needed = math.ldexp(1.0, max(math.frexp(top)[1], SMALLEST)) / BINS
        if self._width == 0.0:
            self._width = needed
        while self._width < needed:
            self._counts = np.concatenate([self._counts.reshape(-1, 2).sum(axis=1), np.zeros(BINS // 2, np.int64)])
            self._width *= 2

    def observation(self) -> Observation:
        """What was seen; call after at least one batch."""
        mean = np.atleast_2d(np.asarray(self._sum) / max(self._n, 1))  # (channel, feature); one row where they are one
        by_channel = mean[0] if np.ndim(self._sum) < 2 else mean.mean(axis=1)
        return Observation(self._lo, self._hi, self._counts.copy(), self._width or 1.0, by_channel, mean.mean(axis=0))


def _without_sentinels(x: np.ndarray) -> np.ndarray:
    """x with 0 for what stands for infinity: finite magnitudes from SENTINEL on, beside smaller ones not 0."""
    magnitude = np.abs(x)
    sentinel = magnitude >= np.float64(SENTINEL)
    rest = magnitude[~sentinel].max(initial=0)
    if not sentinel.any() or rest == 0 or magnitude[sentinel].min() < 1e4 * np.float64(rest):
        return x  # large values in a row with the others are values
    return np.where(sentinel & np.isfinite(x), 0, x)


def threshold(seen: Observation, observer: str, levels: Interval, kind: ScaleKind) -> float:
    """The magnitude that the last level stands for: "minmax", "mse", or "percentile:99.9" of |x|.

    minmax: max |x|. percentile: the upper edge of the bin where that share of |x| is reached. mse: the candidate with
    the least squared error of the histogram's bin centres on the grid of `levels`. Always in (0, max |x|]; 1.0 for a
    value that was zero throughout.
    """
    top = seen.magnitude
    if top == 0:
        return 1.0
    if observer == "minmax":
        return top
    if observer == "mse":
        centres = (np.arange(BINS) + 0.5) * seen.width
        occupied = seen.counts > 0
        return _least_error(centres[occupied], seen.counts[occupied].astype(np.float64), top, levels.hi, kind)
    share = percentile(observer) / 100
    reached = np.searchsorted(np.cumsum(seen.counts), share * seen.counts.sum())
    return min(top, float(reached + 1) * seen.width)


def weight_thresholds(
    rows: np.ndarray, observer: str, levels: Interval, kind: ScaleKind, *, odd: bool = False
) -> np.ndarray:
    """One threshold a row (output channel) of |w|, by the same observers on the weights; 0 for a zero row.

    odd: binary weights +-1, whose least squared error is at the mean of |w| (Rastegari et al., arXiv 1603.05279,
    equation 6), or at the power of two that is closer to it.
    """
    if observer == "minmax":  # without a copy: layers of 100 million weights exist
        return np.asarray(np.abs(np.maximum(rows.max(axis=1), -rows.min(axis=1)), dtype=np.float64))
    if observer == "mse" and not odd:
        return np.asarray([_row_threshold(np.abs(row, dtype=np.float64), levels, kind) for row in rows])
    magnitude = np.abs(rows, dtype=np.float64)
    if observer == "mse" and odd:
        mean = magnitude.mean(axis=1)
        if kind == "power_of_two":
            above = np.array([admissible_step(float(m), kind) if m > 0 else 0.0 for m in mean])
            return np.where(above - mean <= mean - above / 2, above, above / 2)
        return np.asarray(mean)
    return np.asarray(np.quantile(magnitude, percentile(observer) / 100, axis=1))


def _row_threshold(magnitude: np.ndarray, levels: Interval, kind: ScaleKind) -> float:
    """ "mse" of one row."""
    top = float(magnitude.max())
    return _least_error(magnitude, np.ones(magnitude.size), top, levels.hi, kind) if top > 0 else 0.0


def percentile(observer: str) -> float:
    """The number in "percentile:99.9". Raises UsageError for anything else."""
    name, _, number = observer.partition(":")
    try:
        value = float(number)
    except ValueError:
        value = math.nan
    if name != "percentile" or not 0 < value <= 100:
        raise UsageError(
            f"there is no observer '{observer}'",
            why="the observers are auto, minmax, mse and percentile:P with 0 < P <= 100",
            fix="for instance percentile:99.9",
        )
    return value


def _least_error(magnitude: np.ndarray, weight: np.ndarray, top: float, last: int, kind: ScaleKind) -> float:
    best, least = top, math.inf
    for candidate in np.linspace(0.2, 1.0, CANDIDATES)[::-1] * top:
        step = admissible_step(float(candidate) / last, kind)
        error = magnitude - step * np.minimum(np.floor(magnitude / step + 0.5), last)
        total = float(np.dot(weight, error * error))
        if total < least:
            best, least = float(candidate), total
    return best
