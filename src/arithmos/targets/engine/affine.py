"""Sums with constant factors: what stands in front of a requantize, gathered from mul, add and sub nodes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from arithmos.ir.graph import Graph, Node

LIMIT = 1 << 62


@dataclass(frozen=True, slots=True, eq=False)
class Affine:
    """sum of factor * value + constant. The factors and the constant broadcast to the shape of the sum."""

    terms: tuple[tuple[str, np.ndarray], ...]
    constant: np.ndarray

    def times(self, factor: np.ndarray) -> Affine | None:
        """The sum times a constant; None if a factor might leave int64."""
        factor = factor.astype(np.int64)
        parts = (*(f for _, f in self.terms), self.constant)
        if magnitude(factor) * max(magnitude(p) for p in parts) >= LIMIT:
            return None
        return Affine(tuple((name, f * factor) for name, f in self.terms), self.constant * factor)


def magnitude(array: np.ndarray) -> int:
    """max |x|, 0 for an empty array; exact at any size, while np.abs leaves -2**63 as it is."""
    return max(int(array.max(initial=0)), -int(array.min(initial=0)))


def single(name: str) -> Affine:
    """The value itself."""
    return Affine(((name, np.ones((), dtype=np.int64)),), np.zeros((), dtype=np.int64))


def affine(graph: Graph, producers: dict[str, Node], name: str, opaque: Callable[[str], bool]) -> Affine:
    """The value as a sum of values of its own shape; nodes whose output is opaque are not looked into."""
    if name in graph.constants:
        return Affine((), graph.constants[name].astype(np.int64))
    node = producers.get(name)
    if node is None or opaque(name) or node.op not in ("mul", "add", "sub"):
        return single(name)
    shape = graph.values[name].shape
    if any(n not in graph.constants and graph.values[n].shape != shape for n in node.inputs):
        return single(name)
    if node.op == "mul" and not any(n in graph.constants for n in node.inputs):
        return single(name)
    left, right = (affine(graph, producers, n, opaque) for n in node.inputs)
    if node.op == "mul":
        product = right.times(left.constant) if node.inputs[0] in graph.constants else left.times(right.constant)
        return product or single(name)
    sign = np.int64(-1 if node.op == "sub" else 1)
    if magnitude(left.constant) + magnitude(right.constant) >= LIMIT:
        return single(name)
    return Affine((*left.terms, *((n, f * sign) for n, f in right.terms)), left.constant + sign * right.constant)
