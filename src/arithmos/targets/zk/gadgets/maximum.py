"""max(a, b) by the sign of a - b.

Constraints of a row: reach + 2, with -2**reach <= a - b < 2**reach proven: reach + 1 bits and one product. Nothing
where the ranges decide.

Why there is no second witness. a - b + 2**reach is in [0, 2**(reach + 1)), its bits are determined (see requantize),
and the top one is s = [a >= b]. Then y = b + s * (a - b) is one number.
"""

from __future__ import annotations

from arithmos.targets.zk.combination import Signal
from arithmos.targets.zk.system import System


def constraints(reach: int) -> int:
    """Constraints of a row."""
    return reach + 2


def reach_of(lo: int, hi: int) -> int:
    """The least reach for a difference in lo .. hi: lo >= -2**reach, hi < 2**reach."""
    return max(hi.bit_length(), (-lo - 1).bit_length() if lo < 0 else 0)


def maximum(c: System, a: Signal, b: Signal, reach: int) -> Signal:
    """max(a, b)."""
    return c.product(at_least(c, a, b, reach), a - b, plus=b)


def at_least(c: System, a: Signal, b: Signal, reach: int) -> Signal:
    """[a >= b], a bit."""
    return c.bits(a - b + (1 << reach), reach + 1)[-1]
