"""int64 arithmetic out of the operators that ONNX Runtime computes exactly on int64: Add, Sub, Mul, Div, Less, Where.

Measured with onnxruntime 1.31.1 on x86-64: Max, Min, Clip and ReduceMax are wrong where two numbers agree in their
upper 32 bits and the lower halves differ in their highest bit (an SSE2 comparison in Eigen, described in
github.com/microsoft/onnxruntime pull request 25280), and ReduceSum adds in float64. None of them is used on int64.
"""

from __future__ import annotations

from functools import reduce

from arithmos.ir.interval import Interval
from arithmos.targets.onnx.carrier import LONG
from arithmos.targets.onnx.emission import Emission, cut


def larger(e: Emission, a: str, b: str) -> str:
    """max(a, b)."""
    return e.put("Where", e.put("Less", a, b), b, a)


def smaller(e: Emission, a: str, b: str) -> str:
    """min(a, b)."""
    return e.put("Where", e.put("Less", a, b), a, b)


def total(e: Emission, a: str, b: str) -> str:
    """a + b."""
    return e.put("Add", a, b)


COMBINE = {"Max": larger, "Add": total}
"""What a reduction by this operator does with two tensors."""


def reduce_axis(e: Emission, tensor: str, op: str, axis: int, extent: int) -> str:
    """The reduction of one axis, kept with extent 1: halves are combined until one element is left."""
    while extent > 1:
        half = extent // 2
        halves = [cut(e, tensor, ((axis, start, 1, half),)) for start in (0, half)]
        combined = reduce(lambda a, b: COMBINE[op](e, a, b), halves)
        if extent % 2:
            combined = e.put("Concat", combined, cut(e, tensor, ((axis, extent - 1, 1, 1),)), axis=axis)
        tensor, extent = combined, half + extent % 2
    return tensor


def floor_quotient(e: Emission, a: str, b: str, range_a: Interval) -> str:
    """floor(a / b), b positive: ONNX's Div cuts towards zero, which is one too high where a remainder is negative."""
    quotient = e.put("Div", a, b)
    if range_a.lo >= 0:
        return quotient
    remainder = e.put("Sub", a, e.put("Mul", quotient, b))
    negative = e.put("Less", remainder, e.number(0, LONG))
    return e.put("Sub", quotient, e.cast(negative, LONG))


def root(e: Emission, x: str, estimate: str) -> str:
    """floor(sqrt(x)) from an estimate that is off by one at most; divisions only, for squares could overflow."""
    one = e.number(1, LONG)
    too_high = e.put("Less", e.put("Div", x, larger(e, estimate, one)), estimate)
    found = e.put("Sub", estimate, e.cast(too_high, LONG))
    above = e.put("Add", found, one)
    too_low = e.put("Less", found, e.put("Div", x, above))  # found + 1 <= x // (found + 1)
    return e.put("Add", found, e.cast(too_low, LONG))
