"""floor(a / b) for a divisor proven positive, and its two relatives with a square or a power of two.

Constraints of a row: quotient bits + 2 * remainder bits + 1: y and rem = a - y * b are sums of bits, b - 1 - rem is one
more, and y * b = a - rem.

Why there is no second witness. y - lo is a sum of bits, so lo <= y < lo + 2**k; rem >= 0 and rem <= b - 1 by their
bits. |y * b| < 2**126 is far below p, so a = y * b + rem holds in the integers, where quotient and remainder are
unique.
"""

from __future__ import annotations

from arithmos.targets.zk.combination import Signal, binary
from arithmos.targets.zk.system import System


def constraints(n_quotient: int, n_remainder: int) -> int:
    """Constraints of a row."""
    return n_quotient + 2 * n_remainder + 1


def floor_div(c: System, a: Signal, b: Signal, lo: int, n_quotient: int, n_remainder: int) -> Signal:
    """floor(a / b), proven to be in lo .. lo + 2**n_quotient - 1; b in 1 .. 2**n_remainder."""
    y = _number(c.hint(lambda a, b: a // b - lo, [a, b], n_quotient), a) + lo
    rem = _number(c.hint(lambda a, b: a % b, [a, b], n_remainder), a)
    c.bits(b - 1 - rem, n_remainder)
    c.require(y, b, a - rem)
    return y


def _number(bits: list[Signal], like: Signal) -> Signal:
    return binary(bits) if bits else like * 0
