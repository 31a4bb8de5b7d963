"""x in lo .. hi, for an input that is not public: without it no proven range would hold.

Constraints of a row, W = hi - lo, n its bits: 1 where W = 0; n where W = 2**n - 1; n + 1 where W = 2**n - 2; else
2 * n.

Why there is no second witness. The bits of x - lo are determined (see requantize) and exist for 0 .. 2**n - 1 alone.
Where 2**n - 1 is too much, n minus the sum of the bits must have a cofactor w, w * (n - sum) = lcm(1 .. n): there is
one for each sum below n, and none for n. Otherwise W - (x - lo) has bits too. A range of
one number has no bits: it is an equation.
"""

from __future__ import annotations

import math

from arithmos.targets.zk.combination import Signal, weighted
from arithmos.targets.zk.system import System


def constraints(lo: int, hi: int) -> int:
    """Constraints of a row."""
    n = (hi - lo).bit_length()
    if n == 0:
        return 1
    return n if hi - lo == (1 << n) - 1 else n + 1 if hi - lo == (1 << n) - 2 and n <= MOST else 2 * n


MOST = 40
"""lcm(1 .. 40) is below 2**53: the cofactor is an int64."""


def check_domain(c: System, x: Signal, lo: int, hi: int) -> None:
    """Satisfiable for x in lo .. hi alone."""
    n = (hi - lo).bit_length()
    if n == 0:
        c.require(x * 0, x * 0, x - lo)
        return
    bits = c.bits(x - lo, n)
    if hi - lo == (1 << n) - 1:
        return
    if hi - lo == (1 << n) - 2 and n <= MOST:
        multiple = math.lcm(*range(1, n + 1))
        left = n - weighted(bits, [1] * n)
        c.cofactor(left, multiple)
    else:
        c.bits(hi - x, n)
