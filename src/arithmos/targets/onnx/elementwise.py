"""Element by element: add, sub, mul, maximum, clip, where, requantize, shift_right, floor_div, isqrt."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from arithmos.ir.graph import Node
from arithmos.ir.interval import Interval
from arithmos.ir.ops.arithmetic import requantize_sum
from arithmos.targets.onnx.carrier import DOUBLE, LIMIT, LONG, arithmetic, narrowest
from arithmos.targets.onnx.emission import Emission
from arithmos.targets.onnx.integer64 import floor_quotient, larger, root, smaller

Emitted = tuple[str, str]
"""(carrier, tensor) of the node's output."""

SHIFTS = 63
"""Shifts of integers are proven to be in 0..62."""


def _binary(op: str) -> Callable[[Emission, Node], Emitted]:
    def emit(e: Emission, node: Node) -> Emitted:
        a, b = node.inputs
        carrier = arithmetic(e.range(a), e.range(b), e.range(node.output))
        return carrier, e.put(op, e.read(a, carrier), e.read(b, carrier))

    return emit


def _maximum(e: Emission, node: Node) -> Emitted:
    a, b = node.inputs
    carrier = narrowest(e.range(a), e.range(b))
    left, right = e.read(a, carrier), e.read(b, carrier)
    return carrier, larger(e, left, right) if carrier == LONG else e.put("Max", left, right)


def _clip(e: Emission, node: Node) -> Emitted:
    (x,) = node.inputs
    carrier = narrowest(e.range(x), e.range(node.output))
    return carrier, clamp(e, e.read(x, carrier), carrier, e.range(x), node.attrs["lo"], node.attrs["hi"])


def clamp(e: Emission, tensor: str, carrier: str, x: Interval, lo: int | None, hi: int | None) -> str:
    """min(max(tensor, lo), hi); a side that the range x cannot reach is left out."""
    low = e.number(lo, carrier) if lo is not None and lo > x.lo else ""
    high = e.number(hi, carrier) if hi is not None and hi < x.hi else ""
    if carrier == LONG:
        tensor = larger(e, tensor, low) if low else tensor
        return smaller(e, tensor, high) if high else tensor
    return e.put("Clip", tensor, low, high) if low or high else tensor


def _where(e: Emission, node: Node) -> Emitted:
    condition, a, b = node.inputs
    carrier = narrowest(e.range(a), e.range(b))
    holds = e.cast(e.read(condition, narrowest(e.range(condition))), "bool")  # a cast to bool is != 0
    return carrier, e.put("Where", holds, e.read(a, carrier), e.read(b, carrier))


def _requantize(e: Emission, node: Node) -> Emitted:
    x, *multiplier = node.inputs
    shift, lo, hi = node.attrs["shift"], node.attrs["lo"], node.attrs["hi"]
    mul = e.graph.constants[multiplier[0]] if multiplier else None
    total = requantize_sum(e.range(x), mul, shift)
    half = (1 << shift) >> 1
    rounded = Interval(total.lo >> shift, total.hi >> shift)
    seen = (total, total - Interval(half, half), *(e.range(name) for name in (*node.inputs, node.output)))
    if narrowest(*seen) != LONG:
        # x * mul and x * mul + half are integers below 2**53; dividing it all by 2**shift first changes exponents only.
        tensor = e.read(x, DOUBLE)
        if mul is not None or shift:
            factor = np.ldexp(np.asarray(1 if mul is None else mul, dtype=np.float64), -shift)
            tensor = e.put("Mul", tensor, e.number(factor, DOUBLE))
        if shift:
            tensor = e.put("Floor", e.put("Add", tensor, e.number(0.5, DOUBLE)))
        return DOUBLE, clamp(e, tensor, DOUBLE, rounded, lo, hi)
    tensor = e.read(x, LONG)
    if multiplier:
        tensor = e.put("Mul", tensor, e.read(multiplier[0], LONG))
    if shift:
        tensor = e.put("Add", tensor, e.number(half, LONG))
        tensor = floor_quotient(e, tensor, e.number(1 << shift, LONG), total)
    return LONG, clamp(e, tensor, LONG, rounded, lo, hi)


def _shift_right(e: Emission, node: Node) -> Emitted:
    x, s = node.inputs
    powers = [1 << k for k in range(SHIFTS)]
    if e.range(x).magnitude <= LIMIT[DOUBLE]:
        # Powers of two by look-up: no claim about the accuracy of Pow is needed. x / 2**s only changes the exponent.
        factors = e.number([1 / p for p in powers], DOUBLE)
        scaled = e.put("Mul", e.read(x, DOUBLE), e.put("Gather", factors, e.read(s, LONG), axis=0))
        return DOUBLE, e.put("Floor", scaled)
    divisor = e.put("Gather", e.number(powers, LONG), e.read(s, LONG), axis=0)
    return LONG, floor_quotient(e, e.read(x, LONG), divisor, e.range(x))


def _floor_div(e: Emission, node: Node) -> Emitted:
    a, b = node.inputs
    if e.range(a).magnitude + e.range(b).magnitude <= LIMIT[DOUBLE]:
        # The nearest double of a/b is on the same side of every integer: a/b misses one by 1/b at least, which is more
        # than half a unit in the last place as long as |a| + b <= 2**53.
        return DOUBLE, e.put("Floor", e.put("Div", e.read(a, DOUBLE), e.read(b, DOUBLE)))
    return LONG, floor_quotient(e, e.read(a, LONG), e.read(b, LONG), e.range(a))


def _isqrt(e: Emission, node: Node) -> Emitted:
    (x,) = node.inputs
    if e.range(x).hi < 1 << 52:
        # sqrt(n*n - 1) = n - 1/(2n) - …, and half a unit in the last place below n is less than that for n < 2**26.
        return DOUBLE, e.put("Floor", e.put("Sqrt", e.read(x, DOUBLE)))
    # The root of the nearest double is off by one at most: the mend of integer64 makes it exact.
    given = e.read(x, LONG)
    estimate = e.cast(e.put("Floor", e.put("Sqrt", e.cast(given, DOUBLE))), LONG)
    return LONG, root(e, given, estimate)


EMIT: dict[str, Callable[[Emission, Node], Emitted]] = {
    "add": _binary("Add"),
    "sub": _binary("Sub"),
    "mul": _binary("Mul"),
    "maximum": _maximum,
    "clip": _clip,
    "where": _where,
    "requantize": _requantize,
    "shift_right": _shift_right,
    "floor_div": _floor_div,
    "isqrt": _isqrt,
}
