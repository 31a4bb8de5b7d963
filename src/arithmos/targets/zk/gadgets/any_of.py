"""Whether any of n bits is set, by a polynomial in their sum.

Constraints: 0 for one bit, ceil(n / 2) up to 8, and 4 for each 7 bits beyond.

Let n be even (an odd number counts as one more) and s the sum of the bits. The product of (i - s) over i = 1 .. n is n!
at s = 0 and 0 at s = 1 .. n. Its factors i and n + 1 - i have the product u + i * (n + 1 - i) with u = s * (s - n - 1),
so u and n / 2 - 1 further multiplications make it. More than 8 bits are first brought down, 8 to one.

Why there is no second witness. Every wire is a product of what is determined already.
"""

from __future__ import annotations

import math

from arithmos.targets.zk.combination import Signal, weighted
from arithmos.targets.zk.system import System

MOST_AT_ONCE = 8
"""8! is small."""


def constraints(n: int) -> int:
    """Constraints of a row."""
    if n > MOST_AT_ONCE:
        return MOST_AT_ONCE // 2 + constraints(n - MOST_AT_ONCE + 1)
    return (n + 1) // 2 if n > 1 else 0


def unless_constraints(n: int) -> int:
    """Constraints of `unless_any`: 1 for one bit, 1 + ceil(n / 2) up to 8, none without a bit."""
    if n > MOST_AT_ONCE:
        return MOST_AT_ONCE // 2 + unless_constraints(n - MOST_AT_ONCE + 1)
    return min(n, 1) + constraints(n)


def any_of(c: System, bits: list[Signal]) -> Signal:
    """1 where a bit is set, else 0; at least one bit."""
    bits = _few(c, bits)
    if len(bits) == 1:
        return bits[0]
    if len(bits) == 2:
        return c.product(1 - bits[0], 1 - bits[1], over=-1, plus=1)
    *rest, last = _factors(c, bits)
    return c.product(_multiplied(c, rest), last, over=-math.factorial(2 * len(rest) + 2), plus=1)


def unless_any(c: System, bits: list[Signal], value: Signal, other: int) -> Signal:
    """value where no bit is set, else the number `other`: none * (value - other) + other."""
    bits = _few(c, bits)
    if len(bits) == 1:
        return c.product(1 - bits[0], value - other, plus=other)
    factors = _factors(c, bits)
    return c.product(_multiplied(c, factors), value - other, over=math.factorial(2 * len(factors)), plus=other)


def _few(c: System, bits: list[Signal]) -> list[Signal]:
    while len(bits) > MOST_AT_ONCE:
        bits = [any_of(c, bits[:MOST_AT_ONCE]), *bits[MOST_AT_ONCE:]]
    return bits


def _factors(c: System, bits: list[Signal]) -> list[Signal]:
    n = len(bits) + len(bits) % 2
    s = weighted(bits, [1] * len(bits))
    u = c.product(s, s - (n + 1))
    return [u + i * (n + 1 - i) for i in range(1, n // 2 + 1)]


def _multiplied(c: System, factors: list[Signal]) -> Signal:
    result = factors[0]
    for factor in factors[1:]:
        result = c.product(result, factor)
    return result
