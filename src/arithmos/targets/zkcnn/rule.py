"""zkCNN's fixed point: how many bits after the point it gives to numbers, and what it makes of them.

Q = 9 bits hold integers whose largest and smallest differ by at most 255. Every logarithm is rounded towards zero, as
its program does: below 2**0 that is one bit more than fits.
"""

from __future__ import annotations

import math

import numpy as np

from arithmos.errors import UsageError

Q_BITS = 9
REACH = (1 << (Q_BITS - 1)) - 1
"""The most by which two integers of one tensor differ."""

MOST_BITS = 200
"""All that is far from a tensor's numbers; powers of two up to here are floats."""


def bits_of(numbers: np.ndarray, where: str) -> int:
    """trunc(log2(255 / (max - min))), and one less where trunc((max - min) * 2**bits) still exceeds 255.

    For the image and the weights. Raises UsageError where all numbers are equal (its program divides by zero), and for
    an extent that no text of ours has.
    """
    extent = float(numbers.max() / 2 - numbers.min() / 2) * 2
    if not extent > 0:
        raise UsageError(
            f"{where}: all its numbers are equal",
            why="zkCNN divides 255 by the difference of the largest and the smallest",
            fix="prove another image, or train the layer: it does nothing",
        )
    if not 2.0**-MOST_BITS <= extent <= 2.0**MOST_BITS:
        raise UsageError(
            f"{where}: its numbers extend over {extent:g}",
            why=f"this is followed from 2**-{MOST_BITS} to 2**{MOST_BITS}",
            fix="write it again with `arithmos export --target zkcnn`",
        )
    bits = int(math.log(REACH / extent) / math.log(2))  # by two logarithms, as its program: exact at powers of two
    return bits - (int(extent * 2.0**bits) > REACH)


def truncated(numbers: np.ndarray, bits: int) -> np.ndarray:
    """trunc(x * 2**bits), towards zero, as integers in float64."""
    with np.errstate(over="ignore"):  # what is infinite has no exact sums, and is refused there
        return np.asarray(np.trunc(numbers * 2.0**bits))


def next_bits(accumulators: np.ndarray, bits: int, where: str) -> int:
    """trunc(log2(255 / ((max(acc, 0) + max(-acc, 0)) / 2**bits))) over this inference's accumulators; int64 in.

    bits: those of the accumulators. Raises UsageError where all of them are zero.
    """
    extent = max(int(accumulators.max()), 0) + max(-int(accumulators.min()), 0)
    if not extent:
        raise UsageError(
            f"{where}: all its accumulators are zero",
            why="zkCNN divides 255 by their extent",
            fix="prove another image, or train the layer: it does nothing",
        )
    return int(math.log2(REACH / (extent / 2.0**bits)))


def rescaled(accumulators: np.ndarray, shift: int, where: str) -> np.ndarray:
    """relu(acc) >> shift, at most 255; int64. Raises UsageError where the result does not fit, or the shift is < 0."""
    largest = max(int(accumulators.max()), 0) >> max(shift, 0)
    if shift < 0:
        raise UsageError(
            f"{where}: zkCNN would shift its accumulators by {shift} bits",
            why="they are so small that its rule gives the result more bits after the point than they have",
            fix="prove another image; weights of more than a few levels avoid it",
        )
    if largest > REACH:
        raise UsageError(
            f"{where}: an activation of {largest} does not fit Q = {Q_BITS} bits",
            why="zkCNN rounds logarithms towards zero, so numbers that need bits before the point get one too many",
            fix="write smaller numbers into the text, as `arithmos export --target zkcnn` does",
        )
    return np.asarray(np.maximum(accumulators, 0) >> shift)
