"""The inputs of a verification: what is given, random integers, corners of the input range, and rounding ties."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from arithmos.errors import UsageError
from arithmos.evidence.ties import add_ties, can_tie
from arithmos.ir.border import batch_size
from arithmos.ir.cost import elements
from arithmos.ir.graph import Graph, Shape
from arithmos.ir.interval import narrowest_dtype

BATCH_BYTES = 1 << 27
"""A batch is as large as all values of the network fit in, as int64."""


@dataclass(frozen=True, slots=True, eq=False)
class Samples:
    """n inputs of one kind: "given", "uniform", "corners" or "ties"."""

    kind: str
    n: int
    inputs: Mapping[str, np.ndarray]


def corpus(
    graph: Graph,
    given: Mapping[str, np.ndarray] | None = None,
    *,
    uniform: int = 32,
    corners: int = 16,
    ties: int = 16,
    seed: int = 0,
) -> list[Samples]:
    """The given inputs (as the network takes them), then as many of each kind as asked for; the seed decides all.

    uniform: over the input range. corners: all lowest, all highest, alternating both ways, all zero, then one element
    at one end and all others at the other. ties: see ties.py; none where no first layer rounds.
    A network with an input without batch axis gets its samples one by one. Raises UsageError for negative numbers.
    """
    counts = {"uniform": uniform, "corners": corners, "ties": ties, "seed": seed}
    if negative := [f"{key}={n}" for key, n in counts.items() if n < 0]:
        raise UsageError(
            f"{', '.join(negative)} cannot be",
            why="samples are counted from 0, and so are seeds",
            fix="give 0 or more",
        )
    rng = np.random.default_rng(seed)
    found = [] if given is None else [Samples("given", _count(graph, given), dict(given))]
    drawn = [("uniform", uniform), ("corners", corners), ("ties", ties if can_tie(graph) else 0)]
    for kind, n in drawn:
        for size in [n] if batched(graph) else [1] * n:
            if size:
                found.append(
                    Samples(kind, size, _DRAW[kind](graph, size, rng, sum(s.n for s in found if s.kind == kind)))
                )
    return found


def batches(
    graph: Graph, samples: Samples, batch_bytes: int = BATCH_BYTES
) -> Iterator[tuple[int, dict[str, np.ndarray]]]:
    """(number of samples, inputs) in batches small enough that all values of one fit into batch_bytes as int64."""
    if not batched(graph):
        yield samples.n, dict(samples.inputs)
        return
    per_sample = 8 * sum(elements(v.shape) for name, v in graph.values.items() if name not in graph.constants)
    size = max(1, batch_bytes // max(1, per_sample))  # all values may be empty: an extent may be 0
    for start in range(0, samples.n, size):
        n = min(size, samples.n - start)
        yield n, {name: _take(array, graph.values[name].shape, start, n) for name, array in samples.inputs.items()}


def batched(graph: Graph) -> bool:
    """Whether samples can be run together: every input has a batch axis."""
    return bool(graph.inputs) and all(any(e < 0 for e in graph.values[name].shape) for name in graph.inputs)


def _take(array: np.ndarray, shape: Shape, start: int, n: int) -> np.ndarray:
    axis = next(i for i, extent in enumerate(shape) if extent < 0)
    each = -shape[axis]
    return array[(slice(None),) * axis + (slice(start * each, (start + n) * each),)]


def _count(graph: Graph, inputs: Mapping[str, np.ndarray]) -> int:
    sizes = (batch_size(graph.values[name].shape, array.shape) for name, array in inputs.items())
    return next((size for size in sizes if size is not None), 1)


def _actual(shape: Shape, n: int) -> tuple[int, ...]:
    return tuple(-extent * n if extent < 0 else extent for extent in shape)


def _uniform(graph: Graph, n: int, rng: np.random.Generator, before: int) -> dict[str, np.ndarray]:
    return {name: _narrow(graph, name, _random(graph, name, n, rng)) for name in graph.inputs}


def _random(graph: Graph, name: str, n: int, rng: np.random.Generator) -> np.ndarray:
    value = graph.values[name]
    assert value.range is not None, "corpora are made for integer graphs"
    return rng.integers(value.range.lo, value.range.hi, _actual(value.shape, n), endpoint=True)


def _ties(graph: Graph, n: int, rng: np.random.Generator, before: int) -> dict[str, np.ndarray]:
    arrays = {name: _random(graph, name, n, rng) for name in graph.inputs}
    add_ties(graph, arrays, rng)
    return {name: _narrow(graph, name, array) for name, array in arrays.items()}


def _corners(graph: Graph, n: int, rng: np.random.Generator, before: int) -> dict[str, np.ndarray]:
    """Sample number i of all corners has pattern i; `before` of them were drawn already."""
    arrays = {}
    for name in graph.inputs:
        value = graph.values[name]
        assert value.range is not None, "corpora are made for integer graphs"
        ends = (value.range.lo, value.range.hi)
        axis = next((i for i, extent in enumerate(value.shape) if extent < 0), None)
        one = _actual(value.shape, 1)
        patterns = [_pattern(before + i, one, ends, rng) for i in range(n)]
        arrays[name] = _narrow(graph, name, patterns[0] if axis is None else np.concatenate(patterns, axis=axis))
    return arrays


def _pattern(number: int, shape: tuple[int, ...], ends: tuple[int, int], rng: np.random.Generator) -> np.ndarray:
    lo, hi = ends
    whole = {0: (lo, lo), 1: (hi, hi), 2: (lo, hi), 3: (hi, lo), 4: (min(max(0, lo), hi),) * 2}
    if number in whole:
        parity = np.indices(shape).sum(axis=0) % 2 if shape else np.asarray(0)  # neighbours along every axis differ
        return np.where(parity == 0, *whole[number])
    background, spike = (lo, hi) if number % 2 else (hi, lo)
    array = np.full(shape, background, dtype=np.int64)
    if array.size:
        array.reshape(-1)[int(rng.integers(array.size))] = spike
    return array


def _narrow(graph: Graph, name: str, array: np.ndarray) -> np.ndarray:
    interval = graph.values[name].range
    assert interval is not None, "corpora are made for integer graphs"
    return array.astype(narrowest_dtype(interval))


_DRAW = {"uniform": _uniform, "corners": _corners, "ties": _ties}
