"""2**s for s proven to be in 0 .. 2**n - 1.

Constraints of a row: 2 * n - 1: n bits, and the product of the n factors 1 + bit_i * (2**(2**i) - 1).

Why there is no second witness. The bits of s are determined (see requantize), and the product is one number.
"""

from __future__ import annotations

from arithmos.targets.zk.combination import Signal
from arithmos.targets.zk.system import System


def constraints(n: int) -> int:
    """Constraints of a row."""
    return max(2 * n - 1, 0)


def power_of_two(c: System, s: Signal, n: int) -> Signal:
    """2**s; s is below 64."""
    result = s * 0 + 1
    for i, bit in enumerate(c.bits(s, n)):
        factor = bit * ((1 << (1 << i)) - 1) + 1
        result = factor if i == 0 else c.product(result, factor)
    return result
