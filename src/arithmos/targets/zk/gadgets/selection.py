"""a where a condition is not zero, else b.

Constraints of a row: 1 for a condition that is 0 or 1; else the comparisons that make it one: reach + 1 for each side
it can have ([x >= 1] and [-x >= 1]), and 1.

Why there is no second witness. The comparisons are bits that are determined (see maximum); they exclude each other, so
their sum s is 0 or 1, and y = b + s * (a - b) is one number.
"""

from __future__ import annotations

from arithmos.targets.zk.combination import Signal
from arithmos.targets.zk.gadgets.maximum import at_least, reach_of
from arithmos.targets.zk.system import System


def constraints(lo: int, hi: int) -> int:
    """Constraints of a row, for a condition in lo .. hi."""
    if lo >= 0 and hi <= 1:
        return 1
    return sum(reach_of(low - 1, high - 1) + 1 for low, high in _sides(lo, hi)) + 1


def where(c: System, condition: Signal, a: Signal, b: Signal, lo: int, hi: int) -> Signal:
    """b + [condition != 0] * (a - b), the condition proven to be in lo .. hi."""
    if lo >= 0 and hi <= 1:
        return c.product(condition, a - b, plus=b)
    positive = [at_least(c, condition, condition * 0 + 1, reach_of(lo - 1, hi - 1))] if hi > 0 else []
    negative = [at_least(c, -condition, condition * 0 + 1, reach_of(-hi - 1, -lo - 1))] if lo < 0 else []
    chosen, *others = positive + negative
    for other in others:
        chosen = chosen + other
    return c.product(chosen, a - b, plus=b)


def _sides(lo: int, hi: int) -> list[tuple[int, int]]:
    return [(lo, hi)] * (hi > 0) + [(-hi, -lo)] * (lo < 0)
