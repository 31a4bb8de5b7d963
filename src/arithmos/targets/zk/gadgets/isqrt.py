"""floor(sqrt(x)) for x proven not negative.

Constraints of a row: 3 * n + 3 with n the bits of the root: y has n, rem = x - y * y has n + 1, 2 * y - rem has n + 1,
and y * y = x - rem is one.

Why there is no second witness. y >= 0, rem >= 0 and rem <= 2 * y by their bits, so y**2 <= x <= y**2 + 2 y < (y +
1)**2 in the integers (y**2 < 2**66 is far below p), and one y satisfies that.
"""

from __future__ import annotations

import numpy as np

from arithmos.ir.ops import INT
from arithmos.targets.zk.combination import Signal, binary
from arithmos.targets.zk.system import System


def constraints(n: int) -> int:
    """Constraints of a row."""
    return 3 * n + 3


def isqrt(c: System, x: Signal, n: int) -> Signal:
    """floor(sqrt(x)), proven to be below 2**n, n >= 1."""
    y = binary(c.hint(_root, [x], n))
    rem = binary(c.hint(lambda x: x - _root(x) ** 2, [x], n + 1))
    c.bits(2 * y - rem, n + 1)
    c.require(y, y, x - rem)
    return y


def _root(x: np.ndarray) -> np.ndarray:
    return INT["isqrt"].run(x)
