"""The system that counts: constraints, wires and non-zeros of a circuit, without making it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from arithmos.targets.zk.combination import Extent, Signal
from arithmos.targets.zk.system import Hint, Label


@dataclass(slots=True)
class Count:
    """What one gadget of one value costs."""

    constraints: int = 0
    wires: int = 0
    nonzeros: int = 0


class Tally:
    """Counts by (value, gadget). A class: it counts. Non-zeros are an upper bound: equal wires are not merged."""

    def __init__(self) -> None:
        self.label = Label()
        self.counts: dict[tuple[str, str], Count] = {}

    def new(self, n: int) -> Extent:
        """n wires."""
        self._count.wires += n
        return Extent(np.ones(n, np.int64))

    def bits(self, x: Signal, n: int) -> list[Signal]:
        """n constraints, n - 1 wires; the lowest bit has the terms of x and of all others."""
        if n == 0:
            return []
        rows = len(x)
        upper = self._boolean(rows, n - 1)
        lowest = Extent(_terms(x) + n - 1)
        self._emit(rows, 2 * int(lowest.terms.sum()) + 2 * rows)
        return [lowest, *upper]

    def hint(self, compute: Hint, given: Sequence[Signal], n: int) -> list[Signal]:
        """n constraints, n wires."""
        return list(self._boolean(len(given[0]), n))

    def product(self, a: Signal, b: Signal, plus: Signal | int = 0, over: int = 1) -> Signal:
        """1 constraint, 1 wire."""
        extra = 1 if isinstance(plus, int) else _terms(plus)
        self._emit(len(a), int((_terms(a) + _terms(b) + 2 + extra).sum()) + len(a))
        return self.new(len(a))

    def wire(self, x: Signal) -> Signal:
        """1 constraint, 1 wire."""
        self._emit(len(x), int(_terms(x).sum()) + 2 * len(x))
        return self.new(len(x))

    def cofactor(self, x: Signal, multiple: int) -> Signal:
        """1 constraint, 1 wire."""
        self._emit(len(x), int(_terms(x).sum()) + 3 * len(x))
        return self.new(len(x))

    def require(self, a: Signal, b: Signal, c: Signal) -> None:
        """1 constraint."""
        self._emit(len(a), int((_terms(a) + _terms(b) + _terms(c)).sum()) + 3 * len(a))

    @property
    def _count(self) -> Count:
        return self.counts.setdefault((self.label.value, self.label.gadget), Count())

    def _boolean(self, rows: int, n: int) -> list[Extent]:
        self._emit(rows * n, 3 * rows * n)
        self._count.wires += rows * n
        return [Extent(np.ones(rows, np.int64))] * n

    def _emit(self, constraints: int, nonzeros: int) -> None:
        self._count.constraints += constraints
        self._count.nonzeros += nonzeros


def _terms(x: Signal) -> np.ndarray:
    assert isinstance(x, Extent)
    return x.terms
