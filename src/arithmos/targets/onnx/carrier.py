"""The types in which ONNX Runtime carries integers: each one exact up to a bound that the proven range must meet."""

from __future__ import annotations

from arithmos.ir.interval import Interval

FLOAT, DOUBLE, LONG = "float32", "float64", "int64"

LIMIT = {FLOAT: 1 << 24, DOUBLE: 1 << 53, LONG: 1 << 63}
"""Every integer of this magnitude is exact in the carrier (int64: checked by the graph's own proof)."""


def narrowest(*ranges: Interval) -> str:
    """The first of float32, float64, int64 that holds every integer of the ranges."""
    peak = max(interval.magnitude for interval in ranges)
    return FLOAT if peak <= LIMIT[FLOAT] else DOUBLE if peak <= LIMIT[DOUBLE] else LONG


def arithmetic(*ranges: Interval) -> str:
    """float64 or int64: the carrier of sums and products of values.

    Never float32: ONNX Runtime may fuse an addition into the float32 convolution before it, and then sums in an order
    whose partial sums no range proves. The cast to float64 stands between the two.
    """
    found = narrowest(*ranges)
    return DOUBLE if found == FLOAT else found
