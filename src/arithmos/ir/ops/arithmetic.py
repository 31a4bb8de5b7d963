"""Element by element: add, sub, mul, maximum, clip, where, requantize, shift_right, floor_div, isqrt."""

from __future__ import annotations

import math

import numpy as np

from arithmos.errors import RangeError
from arithmos.ir.graph import Shape
from arithmos.ir.interval import INT64, Interval, interval_of, span, unsigned
from arithmos.ir.ops.op import Example, Fact, Op, Operand, broadcast, expect


def _clip_run(x: np.ndarray, *, lo: float | None, hi: float | None) -> np.ndarray:
    """min(max(x, lo), hi); None leaves that side open."""
    return np.asarray(np.clip(x, lo, hi))


def _clip_bound(x: Fact, *, lo: int | None, hi: int | None) -> Interval:
    low = min(x.range.lo, x.range.hi if hi is None else hi) if lo is None else lo
    return x.range.clip(low, max(x.range.hi, low) if hi is None else hi)


def _clip_infer(x: Shape, *, lo: float | None, hi: float | None) -> Shape:
    expect(lo is None or hi is None or lo <= hi, f"clip to [{lo}, {hi}] is empty")
    return x


def _where_run(cond: np.ndarray, a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return np.where(cond != 0, a, b)


def _requantize_infer(x: Shape, mul: Shape = (), *, shift: int, lo: int, hi: int) -> Shape:
    expect(0 <= shift <= 62, f"shift must be in 0..62, got {shift}")
    expect(lo <= hi, f"requantize to [{lo}, {hi}] is empty")
    expect(broadcast(x, mul) == x, f"multiplier {mul} does not broadcast to {x}")
    return x


def _requantize_run(x: np.ndarray, mul: np.ndarray | None = None, *, shift: int, lo: int, hi: int) -> np.ndarray:
    """clip(floor((x * mul + 2**(shift-1)) / 2**shift), lo, hi); ties go towards +inf; shift 0 rounds nothing."""
    product = x if mul is None else x * mul
    return np.asarray(np.clip((product + ((1 << shift) >> 1)) >> shift, lo, hi))


def requantize_sum(x: Interval, mul: np.ndarray | None, shift: int) -> Interval:
    """The range of x * mul + 2**(shift-1), the widest number inside a requantize. Raises RangeError beyond int64."""
    factor = Interval(1, 1) if mul is None else interval_of(mul)
    half = (1 << shift) >> 1
    total = (x * factor) + Interval(half, half)
    if total not in INT64 or (x * factor) not in INT64:
        raise RangeError(
            f"requantize needs {total.bits} bits, int64 has 64",
            why=f"the accumulator range {x} times a multiplier up to {factor.magnitude} is too wide",
            fix="use a multiplier of fewer bits: Recipe(multiplier_bits=16)",
        )
    return total


def _requantize_bound(x: Fact, mul: Fact | None = None, *, shift: int, lo: int, hi: int) -> Interval:
    expect(mul is None or mul.array is not None, "the multiplier must be a constant")
    total = requantize_sum(x.range, None if mul is None else mul.array, shift)
    return Interval(total.lo >> shift, total.hi >> shift).clip(lo, hi)


def _shift_right_bound(x: Fact, s: Fact) -> Interval:
    expect(s.range in Interval(0, 62), f"the shift must be proven to be in 0..62, its range is {s.range}")
    return span(v >> n for v in (x.range.lo, x.range.hi) for n in (s.range.lo, s.range.hi))


def _floor_div_bound(a: Fact, b: Fact) -> Interval:
    expect(b.range.lo >= 1, f"the divisor must be proven positive, its range is {b.range} (clip it)")
    return span(v // d for v in (a.range.lo, a.range.hi) for d in (b.range.lo, b.range.hi))


def _isqrt_run(x: np.ndarray) -> np.ndarray:
    """floor(sqrt(x)): the float64 root is off by one at most, and is mended without a square that could overflow."""
    root = np.sqrt(x.astype(np.float64)).astype(np.int64)
    root -= root > x // np.maximum(root, 1)
    root += root + 1 <= x // (root + 1)
    return root


def _isqrt_bound(x: Fact) -> Interval:
    expect(x.range.lo >= 0, f"isqrt takes non-negative integers, the range is {x.range} (clip it)")
    return Interval(math.isqrt(x.range.lo), math.isqrt(x.range.hi))


WIDE = Interval(-(1 << 20), 1 << 20)
PAIRS = (
    Example((Operand((-1, 3, 4)), Operand((-1, 3, 4)))),
    Example((Operand((-1, 3, 2, 2), WIDE), Operand((3, 1, 1), WIDE, constant=True))),
    Example((Operand((-1, 3, 1)), Operand((-1, 1, 4)))),
)

OPS = {
    "add": Op(broadcast, lambda a, b: a + b, lambda a, b: a.range + b.range, PAIRS),
    "sub": Op(broadcast, lambda a, b: a - b, lambda a, b: a.range - b.range, PAIRS),
    "mul": Op(broadcast, lambda a, b: a * b, lambda a, b: a.range * b.range, PAIRS),
    "maximum": Op(
        broadcast,
        np.maximum,
        lambda a, b: Interval(max(a.range.lo, b.range.lo), max(a.range.hi, b.range.hi)),
        PAIRS,
    ),
    "clip": Op(
        _clip_infer,
        _clip_run,
        _clip_bound,
        (
            Example((Operand((-1, 3, 4)),), {"lo": 0, "hi": 100}),
            Example((Operand((-1, 5), WIDE),), {"lo": -7, "hi": None}),
        ),
    ),
    "where": Op(
        broadcast,
        _where_run,
        lambda cond, a, b: a.range | b.range,
        (
            Example((Operand((-1, 3, 4), Interval(0, 1)), Operand((-1, 3, 4)), Operand((1, 1), constant=True))),
            Example((Operand((3, 3), Interval(0, 1), constant=True), Operand((-1, 3, 3)), Operand((-1, 3, 3)))),
        ),
    ),
    "requantize": Op(
        _requantize_infer,
        _requantize_run,
        _requantize_bound,
        (
            Example(
                (Operand((-1, 3, 2, 2), WIDE), Operand((3, 1, 1), Interval(1, (1 << 24) - 1), constant=True)),
                {"shift": 24, "lo": -127, "hi": 127},
            ),
            Example(
                (Operand((-1, 6), WIDE), Operand((6,), Interval(-99, 99), constant=True)),
                {"shift": 8, "lo": 0, "hi": 255},
            ),
            Example((Operand((-1, 6), WIDE),), {"shift": 4, "lo": -128, "hi": 127}),
            Example(
                (Operand((-1, 6)), Operand((), Interval(3, 3), constant=True)), {"shift": 0, "lo": -300, "hi": 300}
            ),
            Example(
                (
                    Operand((-1, 6), Interval(-(1 << 37), 1 << 37)),
                    Operand((), Interval(1 << 22, 1 << 24), constant=True),
                ),
                {"shift": 40, "lo": -(1 << 15), "hi": (1 << 15) - 1},
            ),
        ),
    ),
    "shift_right": Op(
        broadcast,
        lambda x, s: x >> s,
        _shift_right_bound,
        (
            Example((Operand((-1, 3, 4), WIDE), Operand((-1, 3, 4), Interval(0, 40)))),
            Example((Operand((-1, 5), WIDE), Operand((), Interval(3, 3), constant=True))),
        ),
    ),
    "floor_div": Op(
        broadcast,
        lambda a, b: a // b,
        _floor_div_bound,
        (
            Example((Operand((-1, 3, 4), WIDE), Operand((-1, 3, 1), Interval(1, 1000)))),
            Example((Operand((-1, 4), WIDE), Operand((4,), Interval(7, 9), constant=True))),
        ),
    ),
    "isqrt": Op(
        lambda x: x,
        _isqrt_run,
        _isqrt_bound,
        (Example((Operand((-1, 3, 4), unsigned(20)),)), Example((Operand((-1, 9), unsigned(62)),))),
    ),
}
