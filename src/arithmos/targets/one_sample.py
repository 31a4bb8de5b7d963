"""One sample at a time, for targets whose program is about one: a batch taken apart, results put together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from arithmos.errors import UsageError
from arithmos.ir.border import batch_size
from arithmos.ir.graph import Graph, Shape


def one_sample(shape: Shape) -> Shape:
    """The shape of one sample: -k is k."""
    return tuple(abs(extent) for extent in shape)


def samples(graph: Graph, inputs: Mapping[str, np.ndarray]) -> list[dict[str, np.ndarray]]:
    """The inputs of each sample of a batch. Raises UsageError for several that some value does not keep apart."""
    sizes = {batch_size(graph.values[name].shape, array.shape) for name, array in inputs.items()} - {None}
    n = sizes.pop() if sizes else 1
    assert n is not None
    if n > 1 and (inside := [v.name for v in graph.values.values() if _batch_inside(v.shape)]):
        raise UsageError(
            "one sample at a time",
            why=f"the batch axis of '{inside[0]}' does not come first, and a circuit is about one sample",
            fix="give a batch of one",
        )
    return [{name: array[_cut(graph.values[name].shape, i)] for name, array in inputs.items()} for i in range(n)]


def together(shape: Shape, parts: Sequence[np.ndarray]) -> np.ndarray:
    """The value of a batch from its samples' values; the first where the value has no batch axis."""
    axis = next((i for i, extent in enumerate(shape) if extent < 0), None)
    return parts[0] if axis is None else np.concatenate(parts, axis=axis)


def _cut(shape: Shape, i: int) -> tuple[slice, ...]:
    return tuple(slice(i * -extent, (i + 1) * -extent) if extent < 0 else slice(None) for extent in shape)


def _batch_inside(shape: Shape) -> bool:
    """Whether the batch axis has extents before it: then samples are no longer one behind another."""
    return any(extent < 0 and any(before != 1 for before in shape[:i]) for i, extent in enumerate(shape))
