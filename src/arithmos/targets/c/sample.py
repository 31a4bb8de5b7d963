"""One sample of a batch: the C program computes one, and the batch is put together again around it.

An axis of extent -k of a value holds k entries for each sample. They lie in it as (outer, batch, inner) with
outer * inner = k: outer = 1 where the samples follow each other, more where a transpose moved the batch behind another
axis and a reshape merged the two. What cannot be written so mixes samples, and a program for one sample refuses it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from weakref import WeakKeyDictionary

import numpy as np

from arithmos.ir.graph import Graph, Node, Shape


@dataclass(frozen=True, slots=True)
class Batch:
    """Where the samples of a value lie: on `axis`, behind `outer` entries of each sample, before `inner`."""

    axis: int
    outer: int
    inner: int


@dataclass(frozen=True, slots=True)
class Batches:
    """The place of the samples in every value (None: it is the same for all), and the nodes that mix them."""

    places: dict[str, Batch | None]
    problems: dict[str, str]


def sample_shape(shape: Shape) -> Shape:
    """The shape for a batch of one."""
    return tuple(abs(extent) for extent in shape)


def split(array: np.ndarray, place: Batch | None, n: int) -> np.ndarray:
    """(n, *sample shape), contiguous; a value without a batch axis is repeated."""
    if place is None:
        return np.ascontiguousarray(np.broadcast_to(array, (n, *array.shape)))
    before, after = array.shape[: place.axis], array.shape[place.axis + 1 :]
    apart = array.reshape(*before, place.outer, n, place.inner, *after)
    first = np.moveaxis(apart, len(before) + 1, 0)
    return np.ascontiguousarray(first.reshape(n, *before, place.outer * place.inner, *after))


def join(samples: np.ndarray, place: Batch | None) -> np.ndarray:
    """The inverse of split: the value of a batch from (n, *sample shape)."""
    if place is None:
        return np.asarray(samples[0])
    n, shape = samples.shape[0], samples.shape[1:]
    before, after = shape[: place.axis], shape[place.axis + 1 :]
    apart = samples.reshape(n, *before, place.outer, place.inner, *after)
    moved = np.moveaxis(apart, 0, len(before) + 1)
    return np.ascontiguousarray(moved).reshape(*before, place.outer * n * place.inner, *after)


def batches(graph: Graph) -> Batches:
    """The place of the samples in every value of the graph; computed once a graph."""
    if graph not in _KNOWN:
        _KNOWN[graph] = _analysed(graph)
    return _KNOWN[graph]


_KNOWN: WeakKeyDictionary[Graph, Batches] = WeakKeyDictionary()


def _analysed(graph: Graph) -> Batches:
    places: dict[str, Batch | None] = dict.fromkeys(graph.constants)
    places |= {name: _placed(graph.values[name].shape, 1) for name in graph.inputs}
    problems: dict[str, str] = {}
    for node in graph.nodes:
        shape = graph.values[node.output].shape
        held = [(i, place) for i, name in enumerate(node.inputs) if (place := places[name])]
        outers = {_outer(graph, node, i, place) for i, place in held}
        if not held:
            places[node.output] = None
        elif len(outers) == 1 and None not in outers and sum(extent < 0 for extent in shape) == 1:
            places[node.output] = _placed(shape, outers.pop() or 1)
        else:
            places[node.output] = _placed(shape, 1)
            problems[node.output] = "it mixes the samples of a batch, and the C program computes one sample at a time"
    return Batches(places, problems)


def _placed(shape: Shape, outer: int) -> Batch | None:
    axis = next((axis for axis, extent in enumerate(shape) if extent < 0), None)
    return None if axis is None else Batch(axis, outer, -shape[axis] // outer)


def _outer(graph: Graph, node: Node, index: int, place: Batch) -> int | None:
    """`outer` of the result as this operand has it; None if the samples are mixed."""
    shape = graph.values[node.inputs[index]].shape
    if node.op != "reshape":
        return place.outer
    result = graph.values[node.output].shape
    axis = next(a for a, extent in enumerate(result) if extent < 0)
    ahead = math.prod(shape[: place.axis]) * place.outer  # entries of a sample before the batch, in C order
    outer, rest = divmod(ahead, math.prod(result[:axis]))
    return outer if rest == 0 and outer and -result[axis] % outer == 0 else None
