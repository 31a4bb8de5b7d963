"""What a gadget works with: bits, products, wires. Two systems run the same gadgets: one writes constraints, one
values.

A constraint is A * B = C for three linear combinations. Wire 0 is the number 1.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from arithmos.targets.zk.combination import Combination, Signal, constants, joined, wire_block


@dataclass(frozen=True, slots=True)
class Label:
    """Whose constraints these are: the value of the network, the gadget, and which elements of the value (flat)."""

    value: str = ""
    gadget: str = ""
    elements: np.ndarray | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Block:
    """Constraints a * b = c, row by row. `per` of them in a row belong to one element of the label."""

    label: Label
    a: Combination
    b: Combination
    c: Combination
    per: int = 1


Hint = Callable[..., np.ndarray]


class System(Protocol):
    """The vocabulary of gadgets. Every method works on all rows of its signals at once."""

    label: Label

    def bits(self, x: Signal, n: int) -> list[Signal]:
        """The n bits of x, lowest first, for x proven to be in [0, 2**n): n constraints, n - 1 wires."""

    def product(self, a: Signal, b: Signal, plus: Signal | int = 0, over: int = 1) -> Signal:
        """A wire w with a * b = over * (w - plus), that is a * b / over + plus: 1 constraint, 1 wire."""

    def hint(self, compute: Hint, given: Sequence[Signal], n: int) -> list[Signal]:
        """n new bits, whose number the prover computes from what is given: n constraints, n wires."""

    def wire(self, x: Signal) -> Signal:
        """x as one wire: 1 constraint, 1 wire."""

    def cofactor(self, x: Signal, multiple: int) -> Signal:
        """A wire w with x * w = multiple, which every x proven possible divides: 1 constraint, 1 wire."""

    def require(self, a: Signal, b: Signal, c: Signal) -> None:
        """a * b = c: 1 constraint."""


class Constraints:
    """The system that makes constraints and hands each block to `sink`. A class: it counts wires and constraints."""

    def __init__(self, sink: Callable[[Block], None], n_wires: int = 1) -> None:
        self.sink = sink
        self.n_wires = n_wires
        self.n_constraints = 0
        self.label = Label()

    def new(self, n: int) -> Combination:
        """n new wires."""
        self.n_wires += n
        return wire_block(self.n_wires - n, n)

    def bits(self, x: Signal, n: int) -> list[Signal]:
        """Bits 1 .. n - 1 are wires; bit 0 is x - sum of 2**i * bit i, so that x needs no equation of its own."""
        assert isinstance(x, Combination)
        if n == 0:
            return []
        upper = self._boolean(len(x), n - 1)
        weights = np.tile(np.int64(-1) << np.arange(1, n), len(x))
        sums = Combination(np.zeros(len(x), np.int64), np.arange(len(x) + 1) * (n - 1), upper.wires, weights)
        lowest = joined([x, sums])
        self._emit(lowest, lowest - 1, zero(len(x)))
        return [lowest, *(upper[np.arange(i, len(upper), n - 1)] for i in range(n - 1))]

    def hint(self, compute: Hint, given: Sequence[Signal], n: int) -> list[Signal]:
        """n new boolean wires a row."""
        wires = self._boolean(len(given[0]), n)
        return [wires[np.arange(i, len(wires), n)] for i in range(n)]

    def product(self, a: Signal, b: Signal, plus: Signal | int = 0, over: int = 1) -> Signal:
        """One new wire a row."""
        assert isinstance(a, Combination) and isinstance(b, Combination)
        w = self.new(len(a))
        self._emit(a, b, (w - plus) * over)
        return w

    def wire(self, x: Signal) -> Signal:
        """0 * 0 = x - w."""
        assert isinstance(x, Combination)
        w = self.new(len(x))
        self._emit(zero(len(x)), zero(len(x)), x - w)
        return w

    def cofactor(self, x: Signal, multiple: int) -> Signal:
        """One new wire a row."""
        assert isinstance(x, Combination)
        w = self.new(len(x))
        self._emit(x, w, zero(len(x)) + multiple)
        return w

    def require(self, a: Signal, b: Signal, c: Signal) -> None:
        """One constraint a row."""
        assert isinstance(a, Combination) and isinstance(b, Combination) and isinstance(c, Combination)
        self._emit(a, b, c)

    def _boolean(self, rows: int, n: int) -> Combination:
        wires = self.new(rows * n)
        if n:
            self._emit(wires, wires - 1, zero(rows * n), per=n)
        return wires

    def _emit(self, a: Combination, b: Combination, c: Combination, per: int = 1) -> None:
        self.n_constraints += len(a)
        if len(a):
            self.sink(Block(self.label, a, b, c, per))


class Assignment:
    """The system that computes what each wire holds and hands it to `sink`, in the order of the wires."""

    def __init__(self, sink: Callable[[np.ndarray], None]) -> None:
        self.sink = sink
        self.label = Label()

    def bits(self, x: Signal, n: int) -> list[Signal]:
        """The bits of x; all but the lowest are wires."""
        assert isinstance(x, np.ndarray)
        assert not x.size or (x.min() >= 0 and int(x.max()) >> n == 0), f"{self.label.value} leaves its proven range"
        found = (x[:, None] >> np.arange(n)) & 1
        self.sink(found[:, 1:])
        return list(found.T)

    def hint(self, compute: Hint, given: Sequence[Signal], n: int) -> list[Signal]:
        """The bits of what the hint computes."""
        x = compute(*given)
        assert not x.size or (x.min() >= 0 and int(x.max()) >> n == 0), f"{self.label.value} leaves its proven range"
        found = (x[:, None] >> np.arange(n)) & 1
        self.sink(found)
        return list(found.T)

    def product(self, a: Signal, b: Signal, plus: Signal | int = 0, over: int = 1) -> Signal:
        """a * b / over + plus, exact."""
        assert isinstance(a, np.ndarray) and isinstance(b, np.ndarray)
        w = np.asarray(a * b // over + plus)
        self.sink(w)
        return w

    def wire(self, x: Signal) -> Signal:
        """x itself."""
        assert isinstance(x, np.ndarray)
        self.sink(x)
        return x

    def cofactor(self, x: Signal, multiple: int) -> Signal:
        """multiple / x."""
        assert isinstance(x, np.ndarray)
        w = np.asarray(multiple // x)
        self.sink(w)
        return w

    def require(self, a: Signal, b: Signal, c: Signal) -> None:
        """Nothing: a constraint holds no wire."""


def zero(n: int) -> Combination:
    """n rows that are 0."""
    return constants(np.zeros(n, np.int64))
