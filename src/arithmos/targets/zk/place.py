"""A node of one sample: its operands' shapes, constants and bounds, element by element."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from arithmos.ir.graph import Graph, Node, Shape
from arithmos.targets.one_sample import one_sample

Bounds = tuple[np.ndarray, np.ndarray]
"""The least and the greatest integer of each element of a value, of the shape the value has for one sample."""


@dataclass(frozen=True, slots=True, eq=False)
class Place:
    """A node and what is known where it stands."""

    graph: Graph
    node: Node
    bounds: Mapping[str, Bounds]

    @property
    def shape(self) -> Shape:
        """The shape of the node's value."""
        return one_sample(self.graph.values[self.node.output].shape)

    @property
    def size(self) -> int:
        """Elements of the node's value."""
        return math.prod(self.shape)

    def operand_shape(self, i: int) -> Shape:
        """The shape of operand i."""
        return one_sample(self.graph.values[self.node.inputs[i]].shape)

    def array(self, i: int) -> np.ndarray | None:
        """Operand i as int64 if it is a constant."""
        constant = self.graph.constants.get(self.node.inputs[i]) if i < len(self.node.inputs) else None
        return None if constant is None else constant.astype(np.int64)

    def spread(self, i: int) -> np.ndarray:
        """For each element of the result, in order, which element of operand i broadcasts to it."""
        shape = self.operand_shape(i)
        return np.broadcast_to(np.arange(math.prod(shape)).reshape(shape), self.shape).reshape(-1)

    def operand_bounds(self, i: int) -> Bounds:
        """Bounds of operand i, flat, one for each element of operand i."""
        lo, hi = self.bounds[self.node.inputs[i]]
        return lo.reshape(-1), hi.reshape(-1)

    def spread_bounds(self, i: int) -> Bounds:
        """Bounds of operand i, flat, one for each element of the result."""
        (lo, hi), rows = self.operand_bounds(i), self.spread(i)
        return lo[rows], hi[rows]


def classes(*columns: np.ndarray) -> list[tuple[tuple[int, ...], np.ndarray]]:
    """(values, rows with these values) for each distinct row of the columns, rows ascending."""
    table = np.stack([np.asarray(column, dtype=np.int64) for column in columns], axis=1)
    found, place = np.unique(table, axis=0, return_inverse=True)
    order = np.argsort(place.reshape(-1), kind="stable")
    parts = np.split(order, np.cumsum(np.bincount(place.reshape(-1)))[:-1])
    return [(tuple(int(v) for v in values), rows) for values, rows in zip(found, parts, strict=True)]


def bit_lengths(values: np.ndarray) -> np.ndarray:
    """int.bit_length of each non-negative int64."""
    result = np.zeros(values.shape, np.int64)
    rest = values.astype(np.int64)
    for step in (32, 16, 8, 4, 2, 1):
        large = rest >> step > 0
        result += np.where(large, step, 0)
        rest = np.where(large, rest >> step, rest)
    return result + (rest > 0)
