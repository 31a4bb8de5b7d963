"""Two runs of one network, value by value: where they first differ, and how much of them does."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from arithmos.errors import UsageError
from arithmos.ir.graph import Graph, require_graph


@dataclass(frozen=True, slots=True)
class Difference:
    """The first element in which two runs differ.

    Where the shapes differ, or the type is none of integers, those stand for the numbers, and the index is ().
    """

    value: str
    index: tuple[int, ...]
    expected: int | tuple[int, ...] | str
    actual: int | tuple[int, ...] | str
    source: str = ""

    def __str__(self) -> str:
        if isinstance(self.expected, tuple):
            what = f"{self.value}: expected the shape {self.expected}, got {self.actual}"
        elif isinstance(self.expected, str):
            what = f"{self.value}: expected {self.expected}, got {self.actual}"
        else:
            place = f"[{', '.join(map(str, self.index))}]" if self.index else ""
            what = f"{self.value}{place}: expected {self.expected}, got {self.actual}"
        return f"{what}, at {self.source}" if self.source else what


@dataclass(frozen=True, slots=True)
class Comparison:
    """How much was compared, how much of it differs, and the first difference in graph order."""

    values: int
    elements: int
    different_values: int
    different_elements: int
    first: Difference | None


def compare(graph: Graph, expected: Mapping[str, np.ndarray], actual: Mapping[str, np.ndarray]) -> Comparison:
    """Every value that both runs show, in graph order, element by element, by ==.

    The order is that of the network: inputs, then nodes; the first difference is where an error arises, not one of
    those it causes. Arrays of different shapes differ as a whole, and so does an array that is not of an integer type:
    a float stands for every integer that rounds to it.
    """
    shared = [name for name in named_values(graph) if name in expected and name in actual]
    elements = n_values = n_elements = 0
    first: Difference | None = None
    for name in shared:
        found, count = difference(graph, name, expected[name], actual[name])
        elements += expected[name].size
        if found is not None:
            n_values, n_elements, first = n_values + 1, n_elements + count, first or found
    return Comparison(len(shared), elements, n_values, n_elements, first)


def difference(graph: Graph, name: str, expected: np.ndarray, actual: np.ndarray) -> tuple[Difference | None, int]:
    """The first difference of one value in row-major order, and how many elements differ."""
    source = str(graph.values[name].source)
    if actual.dtype.kind not in "iu":
        return Difference(name, (), "integers", f"an array of {actual.dtype}", source), actual.size
    if expected.shape != actual.shape:
        return Difference(name, (), expected.shape, actual.shape, source), max(expected.size, actual.size)
    wrong = np.asarray(expected != actual)
    if not wrong.any():
        return None, 0
    index = tuple(int(i) for i in np.unravel_index(int(wrong.argmax()), wrong.shape))
    return Difference(name, index, int(expected[index]), int(actual[index]), source), int(wrong.sum())


def require_integers(graph: Graph, purpose: str) -> None:
    """Raise UsageError for what is no graph, and for a float graph, whose floats depend on the order of a sum."""
    require_graph(graph)
    if graph.op_set == "poly":
        raise UsageError(
            f"a network of polynomials cannot be {purpose}",
            why="its results are real numbers, which depend on the order of a sum; integers are equal or not",
            fix="`arithmos approximate` compares it with the exact network: the bundle's report.json says what it lost",
        )
    if graph.op_set != "int":
        raise UsageError(
            f"only an integer graph can be {purpose}",
            why="this is a float graph, and floats depend on the order of a sum",
            fix="call ar.quantize first",
        )


def named_values(graph: Graph) -> list[str]:
    """Every input and every computed value, in graph order; constants that are outputs come last."""
    names = [*graph.inputs, *(node.output for node in graph.nodes)]
    return names + [name for name in dict.fromkeys(graph.outputs) if name in graph.constants]


def in_corpus(graph: Graph, found: Difference, samples_before: int) -> Difference:
    """The difference with its index counted from the first sample of a corpus instead of the first of its batch."""
    shape = graph.values[found.value].shape
    if not found.index:
        return found
    moved = (i - extent * samples_before if extent < 0 else i for i, extent in zip(found.index, shape, strict=True))
    return replace(found, index=tuple(moved))
