"""Linear combinations of wires, many at once: constant + sum of coefficient * wire, in four flat arrays.

A value of the network that is linear in wires needs no constraint: it *is* such a combination. Arithmetic is that of a
numpy vector (`+`, `-`, `*` by integers, `[rows]`), so that a gadget written once runs on combinations, which makes
constraints, and on int64 vectors, which makes the witness.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np


@dataclass(frozen=True, slots=True, eq=False)
class Combination:
    """Row i is constant[i] + sum of coefficients[j] * wire wires[j] over starts[i] <= j < starts[i + 1]."""

    constant: np.ndarray
    starts: np.ndarray
    wires: np.ndarray
    coefficients: np.ndarray

    __array_ufunc__ = None  # an array before a combination would broadcast over it

    def __len__(self) -> int:
        return int(self.constant.size)

    @property
    def counts(self) -> np.ndarray:
        """Terms of each row, the constant not counted."""
        return np.diff(self.starts)

    def __add__(self, other: Combination | np.ndarray | int) -> Combination:
        if isinstance(other, Combination):
            return joined([self, other])
        return Combination(self.constant + other, self.starts, self.wires, self.coefficients)

    __radd__ = __add__

    def __neg__(self) -> Combination:
        return Combination(-self.constant, self.starts, self.wires, -self.coefficients)

    def __sub__(self, other: Combination | np.ndarray | int) -> Combination:
        return self + -other

    def __rsub__(self, other: np.ndarray | int) -> Combination:
        return -self + other

    def __mul__(self, factor: np.ndarray | int) -> Combination:
        if isinstance(factor, int) and factor == 0:
            return constants(np.zeros(len(self), np.int64))
        spread = factor if isinstance(factor, int) else np.repeat(factor, self.counts)
        return Combination(self.constant * factor, self.starts, self.wires, self.coefficients * spread)

    __rmul__ = __mul__

    def __getitem__(self, rows: np.ndarray) -> Combination:
        counts = self.counts[rows]
        starts = _starts(counts)
        source = np.repeat(self.starts[:-1][rows] - starts[:-1], counts) + np.arange(starts[-1])
        return Combination(self.constant[rows], starts, self.wires[source], self.coefficients[source])


@dataclass(frozen=True, slots=True, eq=False)
class Extent:
    """Combinations of which only the size is known: row i has at most terms[i] terms, the constant not counted."""

    terms: np.ndarray

    __array_ufunc__ = None

    def __len__(self) -> int:
        return int(self.terms.size)

    def __add__(self, other: Extent | np.ndarray | int) -> Extent:
        return Extent(self.terms + other.terms) if isinstance(other, Extent) else self

    __radd__ = __add__

    def __neg__(self) -> Extent:
        return self

    __sub__ = __add__
    __rsub__ = __add__

    def __mul__(self, factor: np.ndarray | int) -> Extent:
        return self if not isinstance(factor, int) or factor else Extent(np.zeros_like(self.terms))

    __rmul__ = __mul__

    def __getitem__(self, rows: np.ndarray) -> Extent:
        return Extent(self.terms[rows])


Signal: TypeAlias = Any
"""n numbers of a circuit, of one kind in one run: a Combination while constraints are made, an Extent while they are
counted, an int64 vector while the witness is computed. All three know +, -, * by integers, [rows] and len."""


def wire_block(first: int, n: int) -> Combination:
    """The wires first, first + 1, …, one a row."""
    return Combination(np.zeros(n, np.int64), np.arange(n + 1), np.arange(first, first + n), np.ones(n, np.int64))


def constants(values: np.ndarray) -> Combination:
    """Rows without a wire."""
    flat = np.asarray(values, dtype=np.int64).reshape(-1)
    empty = np.zeros(0, np.int64)
    return Combination(flat, np.zeros(flat.size + 1, np.int64), empty, empty)


def joined(parts: Sequence[Combination]) -> Combination:
    """The sum, row by row."""
    counts = [part.counts for part in parts]
    starts = _starts(np.sum(counts, axis=0))
    wires = np.empty(starts[-1], np.int64)
    coefficients = np.empty(starts[-1], np.int64)
    ahead = starts[:-1].copy()
    for part, count in zip(parts, counts, strict=True):
        places = np.repeat(ahead - part.starts[:-1], count) + np.arange(part.wires.size)
        wires[places], coefficients[places] = part.wires, part.coefficients
        ahead += count
    return Combination(np.sum([part.constant for part in parts], axis=0), starts, wires, coefficients)


def stacked(parts: Sequence[Combination]) -> Combination:
    """The rows of all of them, one after another."""
    return Combination(
        np.concatenate([part.constant for part in parts]),
        _starts(np.concatenate([part.counts for part in parts])),
        np.concatenate([part.wires for part in parts]),
        np.concatenate([part.coefficients for part in parts]),
    )


def weighted(parts: Sequence[Signal], weights: Sequence[int]) -> Signal:
    """The sum of weight * part; parts of one kind, at least one."""
    scaled = [part if weight == 1 else part * weight for part, weight in zip(parts, weights, strict=True)]
    if isinstance(scaled[0], Combination):
        return joined(scaled)
    if isinstance(scaled[0], Extent):
        return Extent(np.sum([part.terms for part in scaled], axis=0))
    return np.sum(scaled, axis=0, dtype=np.int64)


def binary(bits: Sequence[Signal]) -> Signal:
    """The number whose bits these are, the lowest first."""
    return weighted(bits, [1 << i for i in range(len(bits))])


def gathered(parts: Sequence[Signal], rows: Sequence[np.ndarray]) -> Signal:
    """The signal whose row rows[k][i] is row i of part k; together the rows are 0 .. n - 1."""
    order = np.empty(sum(row.size for row in rows), np.int64)
    order[np.concatenate(rows)] = np.arange(order.size)
    if isinstance(parts[0], Combination):
        return stacked(parts)[order]
    if isinstance(parts[0], Extent):
        return Extent(np.concatenate([part.terms for part in parts])[order])
    return np.concatenate(parts)[order]


def canonical(rows: Combination) -> Combination:
    """The same with each row's wires ascending, none twice, none with coefficient 0."""
    owner = np.repeat(np.arange(len(rows)), rows.counts)
    step = (np.diff(rows.wires) > 0) | (np.diff(owner) > 0)
    if step.all() and rows.coefficients.all():
        return rows
    order = np.argsort((owner << 32) | rows.wires, kind="stable")
    key = ((owner << 32) | rows.wires)[order]
    first = np.flatnonzero(np.concatenate([[True], np.diff(key) > 0])) if key.size else np.zeros(0, np.int64)
    sums = np.add.reduceat(rows.coefficients[order], first) if first.size else np.zeros(0, np.int64)
    kept = np.flatnonzero(sums)
    counts = np.bincount(key[first[kept]] >> 32, minlength=len(rows))
    return Combination(rows.constant, _starts(counts), (key & 0xFFFFFFFF)[first[kept]], sums[kept])


@dataclass(frozen=True, slots=True, eq=False)
class Matrix:
    """A sparse integer matrix of n rows: entries (row, source, weight), rows ascending."""

    n: int
    row: np.ndarray
    source: np.ndarray
    weight: np.ndarray


def transformed(matrix: Matrix, x: Combination | Extent) -> Combination | Extent:
    """matrix * x: row r is the sum of weight * row source of x."""
    if isinstance(x, Extent):
        return Extent(np.bincount(matrix.row, weights=x.terms[matrix.source], minlength=matrix.n).astype(np.int64))
    counts = x.counts[matrix.source]
    ends = _starts(counts)
    place = np.repeat(x.starts[:-1][matrix.source] - ends[:-1], counts) + np.arange(ends[-1])
    # Exact in float64: the number of terms is far below 2**53.
    terms = np.bincount(matrix.row, weights=counts, minlength=matrix.n).astype(np.int64)
    constant = np.zeros(matrix.n, np.int64)
    if x.constant.any():
        np.add.at(constant, matrix.row, matrix.weight * x.constant[matrix.source])
    weights = np.repeat(matrix.weight, counts)
    return Combination(constant, _starts(terms), x.wires[place], x.coefficients[place] * weights)


def _starts(counts: np.ndarray) -> np.ndarray:
    return np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
