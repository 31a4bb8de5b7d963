"""Scales: the labels that say which real number an integer stands for. No interpreter reads one."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import assert_never

import numpy as np


@dataclass(frozen=True, slots=True)
class PowerOfTwo:
    """real = q * 2**exponent."""

    exponent: int


@dataclass(frozen=True, slots=True)
class Dyadic:
    """real = q * mul / 2**shift, exactly."""

    mul: int
    shift: int


@dataclass(frozen=True, slots=True)
class PerChannel:
    """real = q * scales[c] along one axis, counted from the end (-1 is the last)."""

    axis: int
    scales: tuple[PowerOfTwo | Dyadic, ...]


Scale = PowerOfTwo | Dyadic | PerChannel


def exact_scale(real: float) -> PowerOfTwo | Dyadic:
    """The scale that equals a finite positive float64 exactly (every float64 is mul / 2**shift)."""
    numerator, denominator = float(real).as_integer_ratio()
    if numerator <= 0:
        raise ValueError(f"a scale must be positive, got {real}")
    twos = (numerator & -numerator).bit_length() - 1
    exponent = twos - (denominator.bit_length() - 1)
    if numerator >> twos == 1:
        return PowerOfTwo(exponent)
    return Dyadic(numerator >> twos if exponent < 0 else numerator, max(-exponent, 0))


def round_scale(real: float, bits: int = 24) -> float:
    """real rounded to a significand of `bits` bits, so that the product of two such scales is exact in float64."""
    mantissa, exponent = math.frexp(real)
    return math.ldexp(math.floor(mantissa * (1 << bits) + 0.5), exponent - bits)


def scale_of(factor: np.ndarray | float, ndim: int) -> Scale | None:
    """The label of a positive factor that is one number or varies along one axis of `ndim`; None for anything else."""
    array = np.asarray(factor, dtype=np.float64)
    if not np.all(np.isfinite(array)) or np.any(array <= 0):
        return None
    if array.size and np.all(array == array.flat[0]):
        return exact_scale(float(array.flat[0]))
    varying = [axis for axis in range(-array.ndim, 0) if array.shape[axis] != 1]
    if len(varying) != 1 or -varying[0] > ndim:
        return None
    return PerChannel(varying[0], tuple(exact_scale(x) for x in array.ravel().tolist()))


def as_float(scale: Scale) -> np.ndarray:
    """The scale as float64: a 0-d array, or one that broadcasts along its axis."""
    match scale:
        case PowerOfTwo(exponent):
            return np.asarray(math.ldexp(1.0, exponent))
        case Dyadic(mul, shift):
            return np.asarray(math.ldexp(float(mul), -shift))
        case PerChannel(axis, scales):
            return np.asarray([float(as_float(s)) for s in scales]).reshape(-1, *[1] * (-axis - 1))
    assert_never(scale)


def problem_of_scale(scale: Scale, shape: tuple[int, ...]) -> str:
    """Why this cannot be the scale of a value of this shape, "" if it can.

    Scales are positive float64 numbers; those along an axis are as many as its extent, and there is no such batch axis.
    """
    numbers = scale.scales if isinstance(scale, PerChannel) else (scale,)
    if wrong := [number for number in numbers if not _is_positive(number)]:
        return f"{wrong[0]} is no scale: scales are positive and lie in the range of float64"
    if isinstance(scale, PerChannel) and (-scale.axis > len(shape) or shape[scale.axis] != len(numbers)):
        return f"it has {len(numbers)} scales along axis {scale.axis}, its shape is {shape}"
    return ""


def _is_positive(scale: PowerOfTwo | Dyadic) -> bool:
    try:
        return 0 < float(as_float(scale)) < math.inf
    except OverflowError:
        return False
