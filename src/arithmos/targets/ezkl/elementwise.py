"""Element by element: add, sub, mul, maximum, clip, where, requantize, shift_right."""

from __future__ import annotations

from collections.abc import Callable
from functools import reduce

import numpy as np

from arithmos.ir.graph import Node
from arithmos.ir.interval import Interval, interval_of
from arithmos.ir.ops.arithmetic import requantize_sum
from arithmos.targets.ezkl.emission import DIGIT, Emission, Operand, Unfit, parts


def plus(e: Emission, a: Operand, b: Operand) -> str:
    """a + b, a constant part by part; at least one of them is a tensor."""
    if isinstance(a, np.ndarray):
        a, b = b, a
    assert isinstance(a, str), "a sum of constants is a constant"
    if isinstance(b, str):
        return e.put("Add", a, b)
    return reduce(lambda x, part: e.put("Add", x, e.stored(part)), parts(b), a)


def minus(e: Emission, a: Operand, b: Operand) -> str:
    """a - b, a constant part by part; at least one of them is a tensor."""
    if isinstance(b, np.ndarray):
        return plus(e, a, np.asarray(-b.astype(object)))
    if isinstance(a, str):
        return e.put("Sub", a, b)
    first, *rest = parts(a)
    return reduce(lambda x, part: e.put("Add", x, e.stored(part)), rest, e.put("Sub", e.stored(first), b))


def times(e: Emission, a: Operand, b: Operand) -> str:
    """a * b, a constant part by part; at least one of them is a tensor."""
    if isinstance(a, np.ndarray):
        a, b = b, a
    assert isinstance(a, str), "a product of constants is a constant"
    if isinstance(b, str):
        return e.put("Mul", a, b)
    products = [e.put("Mul", a, e.stored(part)) for part in parts(b)]
    return reduce(lambda x, y: e.put("Add", x, y), products)


def relu(e: Emission, x: str, interval: Interval) -> str:
    """max(x, 0) of a tensor of this range."""
    e.decomposed(interval)
    return e.put("Relu", x)


def clamp(e: Emission, x: str, interval: Interval, lo: int | None, hi: int | None) -> str:
    """min(max(x, lo), hi) = hi - relu(hi - (lo + relu(x - lo))); a side that x cannot reach is left out."""
    if lo is not None and lo > interval.lo:
        x = relu(e, minus(e, x, np.array(lo)) if lo else x, interval - Interval(lo, lo))
        x = plus(e, x, np.array(lo)) if lo else x
        interval = Interval(lo, max(interval.hi, lo))
    if hi is not None and hi < interval.hi:
        x = minus(e, np.array(hi), relu(e, minus(e, np.array(hi), x), Interval(hi, hi) - interval))
    return x


def floor_shift(e: Emission, x: str, shift: int, interval: Interval) -> str:
    """floor(x / 2**shift) of a tensor of this range, digit after digit: a floor of floors is the floor.

    What is left of the shift is filled up to a digit last, when the number is smallest.
    """
    while shift > 0:
        spare = max(DIGIT - shift, 0)
        if spare:
            interval = interval * Interval(1 << spare, 1 << spare)
            x = e.put("Mul", x, e.stored(2.0**spare))
        e.decomposed(interval)
        x = e.put("Floor", e.put("Mul", x, e.stored(2.0**-DIGIT)))
        interval, shift = Interval(interval.lo >> DIGIT, interval.hi >> DIGIT), shift - DIGIT
    return x


def _binary(combine: Callable[[Emission, Operand, Operand], str]) -> Callable[[Emission, Node], Operand]:
    def emit(e: Emission, node: Node) -> Operand:
        a, b = node.inputs
        e.held(e.range(a), e.range(b), e.range(node.output))
        return combine(e, e.read(a), e.read(b))

    return emit


def _maximum(e: Emission, node: Node) -> Operand:
    """max(a, b) = b + relu(a - b)."""
    a, b = node.inputs
    e.held(e.range(a), e.range(b))
    return plus(e, relu(e, minus(e, e.read(a), e.read(b)), e.range(a) - e.range(b)), e.read(b))


def _clip(e: Emission, node: Node) -> Operand:
    (x,) = node.inputs
    e.held(e.range(x), e.range(node.output))
    return clamp(e, e.tensor(x), e.range(x), node.attrs["lo"], node.attrs["hi"])


def _where(e: Emission, node: Node) -> Operand:
    """b + c * (a - b), where c is the condition, or 1 - relu(1 - |condition|) if that is not 0 or 1 already."""
    condition, a, b = node.inputs
    e.held(e.range(a), e.range(b), e.range(a) - e.range(b))
    left, right, c = e.read(a), e.read(b), e.read(condition)
    claims = e.range(condition)
    if isinstance(c, np.ndarray):
        c = (c != 0).astype(np.int64)
    elif claims not in Interval(0, 1):
        inside = Interval(1 - claims.magnitude, 1)
        e.decomposed(claims)
        c = minus(e, np.array(1), relu(e, minus(e, np.array(1), e.put("Abs", c)), inside))
    if isinstance(left, np.ndarray) and isinstance(right, np.ndarray):
        return plus(e, times(e, c, left.astype(object) - right), right)
    return plus(e, times(e, c, minus(e, left, right)), right)


def _requantize(e: Emission, node: Node) -> Operand:
    """clip(floor((x * mul + half) / 2**shift), lo, hi)."""
    x, *multiplier = node.inputs
    shift, lo, hi = node.attrs["shift"], node.attrs["lo"], node.attrs["hi"]
    mul = e.graph.constants[multiplier[0]] if multiplier else None
    total = requantize_sum(e.range(x), mul, shift)
    half = (1 << shift) >> 1
    e.held(e.range(x), total, total - Interval(half, half), e.range(node.output))
    tensor = e.tensor(x) if mul is None else times(e, e.tensor(x), mul)
    if shift:
        tensor = floor_shift(e, plus(e, tensor, np.array(half)), shift, total)
    return clamp(e, tensor, Interval(total.lo >> shift, total.hi >> shift), lo, hi)


def _shift_right(e: Emission, node: Node) -> Operand:
    """floor(x / 2**s) by constants: floor(x * 2**(max(s) - s) / 2**max(s))."""
    x, s = node.inputs
    shifts = e.read(s)
    if isinstance(shifts, str):
        raise Unfit("it shifts by a value that is computed: ezkl shifts by constants")
    most = int(shifts.max())
    factor = np.asarray((1 << most) // (1 << shifts.astype(object)))
    scaled = e.range(x) * interval_of(factor)
    e.held(scaled)
    tensor = e.tensor(x) if interval_of(factor) == Interval(1, 1) else times(e, e.tensor(x), factor)
    return floor_shift(e, tensor, most, scaled)


EMIT: dict[str, Callable[[Emission, Node], Operand]] = {
    "add": _binary(plus),
    "sub": _binary(minus),
    "mul": _binary(times),
    "maximum": _maximum,
    "clip": _clip,
    "where": _where,
    "requantize": _requantize,
    "shift_right": _shift_right,
}
