"""The index of the largest of n numbers, the lowest index where several are: a row of comparisons.

Constraints of a row: (n - 1) * (reach + 3) - 1: each further number is compared with the largest so far (reach + 1
bits), replaces it (1) and its index (1); the last one need not become the largest.

Why there is no second witness. s_j = [x_j > m_j], as [x_j - 1 >= m_j], is determined by its bits (see maximum);
m_{j+1} = m_j + s_j (x_j - m_j) and i_{j+1} = i_j + s_j (j - i_j) follow. An equal number does not replace: s_j is 0.
"""

from __future__ import annotations

from arithmos.targets.zk.combination import Signal
from arithmos.targets.zk.gadgets.maximum import at_least
from arithmos.targets.zk.system import System


def constraints(n: int, reach: int) -> int:
    """Constraints of a row."""
    return (n - 1) * (reach + 3) - 1 if n > 1 else 0


def argmax(c: System, items: list[Signal], reach: int) -> Signal:
    """The first index of the largest item. reach: of x_j - 1 - x_i."""
    best, index = items[0], items[0] * 0
    for j, item in enumerate(items[1:], 1):
        larger = at_least(c, item - 1, best, reach)
        # The first index is 0, so s * (j - i) is linear in s there; the general form keeps the count a formula.
        index = c.product(larger, j - index, plus=index)
        if j < len(items) - 1:
            best = c.product(larger, item - best, plus=best)
    return index
