"""Grids: evenly spaced levels step * k with k in a range of integers, symmetric about zero, without a zero point."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np

from arithmos.errors import RangeError
from arithmos.ir.interval import Interval, unsigned
from arithmos.ir.scale import round_scale

ScaleKind = Literal["dyadic", "power_of_two"]


@dataclass(frozen=True, slots=True)
class Grid:
    """The numbers step * k, k in range. owner: the value whose step it is; grids of one owner share a step."""

    step: float
    range: Interval
    owner: str = ""


def symmetric(bits: int, *, nonnegative: bool = False) -> Interval:
    """[-(2**(bits-1) - 1), 2**(bits-1) - 1], or [0, 2**bits - 1] for values that cannot be negative.

    The lowest two's complement number is left out, so that negation never leaves the range. One bit: [0, 1]; of both
    signs [-1, 1], which takes two.
    """
    return unsigned(bits) if nonnegative else Interval(-max((1 << (bits - 1)) - 1, 1), max((1 << (bits - 1)) - 1, 1))


def published(bits: int) -> Interval:
    """[-2**(bits-1), 2**(bits-1)]: the 2**bits + 1 levels that the GPFQ papers call `bits` bits; 1 bit is ternary.

    They do not fit `bits` bits: log2(2**bits + 1) are needed. Source: Zhang, Zhou & Saab, arXiv 2201.11113.
    """
    return Interval(-(1 << (bits - 1)), 1 << (bits - 1))


def admissible_step(step: float, kind: ScaleKind) -> float:
    """The step of the kind that is allowed: 24 significant bits, or the next power of two that is not smaller."""
    if kind == "power_of_two":
        mantissa, exponent = math.frexp(step)  # in [1/2, 1): a logarithm would round steps just above a power down
        return math.ldexp(1.0, exponent - (mantissa == 0.5))
    return round_scale(step)


def nearest_levels(x: np.ndarray, levels: Interval, *, odd: bool = False) -> np.ndarray:
    """`nearest_whole` as int64."""
    return nearest_whole(x, levels, odd=odd).astype(np.int64)


def nearest_whole(x: np.ndarray, levels: Interval, *, odd: bool = False) -> np.ndarray:
    """clip(floor(x + 1/2), levels), or the nearest odd number clip(2 * floor(x / 2) + 1, levels), in x's float type.

    Ties go towards +inf. Odd numbers of [-1, 1] are binary weights: the sign of x, + for 0.
    """
    nearest = np.asarray(x / 2 if odd else x + 0.5)
    np.floor(nearest, out=nearest)
    return clipped(2 * nearest + 1 if odd else nearest, levels)


def clipped(whole: np.ndarray, levels: Interval) -> np.ndarray:
    """In place; np.clip takes longer than all of rounding does on the few numbers of a column."""
    np.maximum(whole, levels.lo, out=whole)
    np.minimum(whole, levels.hi, out=whole)
    return whole


def round_half_up(x: np.ndarray) -> np.ndarray:
    """floor(x + 1/2) as int64: the one rounding rule; ties go towards +inf. Raises RangeError from 2**62 on."""
    largest = float(np.abs(x).max(initial=0))
    if not largest < 2.0**62:
        raise RangeError(
            f"a constant of {largest:.6g} steps does not fit 64 bits",
            why="a number of the network is that many times larger than the step of the value it meets",
            fix="scale the network's constants, or keep this part of it out of the integers",
        )
    return np.floor(np.asarray(x, dtype=np.float64) + 0.5).astype(np.int64)
