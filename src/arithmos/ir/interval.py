"""Closed ranges of integers and the array types that hold them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, slots=True)
class Interval:
    """Closed range of integers, lo <= x <= hi, exact at any size."""

    lo: int
    hi: int

    def __post_init__(self) -> None:
        if self.lo > self.hi:
            raise ValueError(f"empty interval [{self.lo}, {self.hi}]")

    @property
    def bits(self) -> int:
        """Width in two's complement, sign bit included: [-128, 127] is 8."""
        return max(self.hi, ~self.lo).bit_length() + 1

    @property
    def width(self) -> int:
        """Bits without a sign bit that is always 0: [0, 255] is 8, [-128, 127] is 8."""
        return max(self.bits - (self.lo >= 0), 1)

    @property
    def magnitude(self) -> int:
        """max |x| over the interval."""
        return max(abs(self.lo), abs(self.hi))

    def __str__(self) -> str:
        return f"[{self.lo}, {self.hi}]"

    def __contains__(self, other: Interval) -> bool:
        return self.lo <= other.lo and other.hi <= self.hi

    def __add__(self, other: Interval) -> Interval:
        return Interval(self.lo + other.lo, self.hi + other.hi)

    def __neg__(self) -> Interval:
        return Interval(-self.hi, -self.lo)

    def __sub__(self, other: Interval) -> Interval:
        return self + -other

    def __mul__(self, other: Interval) -> Interval:
        return span((self.lo * other.lo, self.lo * other.hi, self.hi * other.lo, self.hi * other.hi))

    def __or__(self, other: Interval) -> Interval:
        """The hull: the smallest interval that holds both."""
        return Interval(min(self.lo, other.lo), max(self.hi, other.hi))

    def clip(self, lo: int, hi: int) -> Interval:
        """The image of the interval under x -> min(max(x, lo), hi)."""
        return Interval(min(max(self.lo, lo), hi), min(max(self.hi, lo), hi))


ZERO = Interval(0, 0)
INT64 = Interval(-(1 << 63), (1 << 63) - 1)


def span(numbers: Iterable[int]) -> Interval:
    """The smallest interval that holds all of the numbers."""
    listed = list(numbers)
    return Interval(min(listed), max(listed))


def interval_of(array: np.ndarray) -> Interval:
    """[min, max] of an integer array; [0, 0] of an empty one."""
    return Interval(int(array.min()), int(array.max())) if array.size else ZERO


def signed(bits: int) -> Interval:
    """[-2**(bits-1), 2**(bits-1) - 1]."""
    return Interval(-(1 << (bits - 1)), (1 << (bits - 1)) - 1)


def unsigned(bits: int) -> Interval:
    """[0, 2**bits - 1]."""
    return Interval(0, (1 << bits) - 1)


def narrowest_dtype(interval: Interval) -> np.dtype:
    """The smallest of uint8, int8, uint16, int16, …, int64 that holds the interval; unsigned where nothing is negative.

    Raises OverflowError where int64 is too small: graphs are checked long before.
    """
    for bits in (8, 16, 32, 64):
        if interval.lo >= 0 and bits < 64 and interval in unsigned(bits):
            return np.dtype(f"uint{bits}")
        if interval in signed(bits):
            return np.dtype(f"int{bits}")
    raise OverflowError(f"{interval} needs {interval.bits} bits, int64 has 64")
