"""Calibration: run the float graph on sample inputs and record what every value looks like."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from arithmos.errors import UsageError
from arithmos.ir.border import admit, batch_size, is_inputs, named_inputs
from arithmos.ir.graph import Graph, require_graph
from arithmos.ir.interpret import interpret
from arithmos.quant.observe import Observation, Observer

Sample = Mapping[str, np.ndarray]
Stream = Callable[[Graph, Sample], Iterable[tuple[str, np.ndarray]]]


@dataclass(frozen=True, slots=True)
class Stats:
    """What calibration saw: an Observation for each float value, and the first samples themselves.

    samples: kept for what must run the network again: equalisation, solved weights, re-estimated norms.
    """

    observations: Mapping[str, Observation]
    samples: tuple[Sample, ...]
    n_samples: int


def calibrate(graph: Graph, batches: Iterable[Any], *, keep: int = 64, stream: Stream = interpret) -> Stats:
    """Observe every float value of the graph over batches, streamed: memory is one batch and one histogram a value.

    batches: an iterable of arrays or tensors (batch first), or of tuples or {name: array} for several inputs; what
    follows the inputs in a tuple (labels) is left out. One batch by itself, in the form that ar.run takes, is a batch.
    It is run in pieces of at most 32 samples. keep: how many samples are kept, for weights that are solved on them and
    for corrections; solvers want 256 and more where memory allows. stream: what yields the values to observe, faster or
    fewer than all.
    Raises UsageError for no batches, NaN or infinite values (with the batch's number), and shapes that do not fit.
    """
    require_graph(graph)
    if graph.op_set != "float":
        raise UsageError(
            "only a float graph can be calibrated",
            why="the ranges of an integer graph are proven, not measured",
            fix="give the traced graph",
        )
    observers: dict[str, Observer] = {}
    kept: list[Sample] = []
    n = n_kept = 0
    for index, batch in enumerate(_several(graph, batches)):
        arrays = _admitted(graph, batch, index)
        size = next((s for m in graph.inputs if (s := batch_size(graph.values[m].shape, arrays[m].shape))), 1)
        for piece in pieces(graph, arrays, size):
            with np.errstate(all="ignore"):  # a value that overflows is named below, with its source
                _observe(graph, stream(graph, piece), observers)
        if n_kept < keep:
            kept.extend(pieces(graph, arrays, min(size, keep - n_kept)))
            n_kept += min(size, keep - n_kept)
        n += size
    if n == 0:
        raise UsageError(
            "there is nothing to calibrate on",
            why="the iterable of batches was empty",
            fix="give at least one batch of typical inputs; 256 training images are a good choice",
        )
    observations = {name: observer.observation() for name, observer in observers.items()}
    broken = [name for name, seen in observations.items() if not np.isfinite([seen.lo, seen.hi]).all()]
    if broken:
        raise UsageError(
            f"{len(broken)} values become NaN or infinite on the calibration inputs",
            why=f"the first is '{broken[0]}'"
            + (f", from {source}" if (source := str(graph.values[broken[0]].source)) else ""),
            fix="check the weights and the normalisation of the images",
        )
    return Stats(observations, tuple(kept), n)


def pieces(graph: Graph, arrays: Sample, size: int, limit: int = 32) -> list[Sample]:
    """The first `size` samples in pieces of at most `limit`; inputs without a batch axis go with every piece."""

    def cut(name: str, start: int, stop: int) -> np.ndarray:
        shape = graph.values[name].shape
        axis = next((a for a, e in enumerate(shape) if e < 0), None)
        if axis is None:
            return arrays[name]
        return arrays[name][(slice(None),) * axis + (slice(start * -shape[axis], stop * -shape[axis]),)]

    starts = range(0, size, limit)
    return [{m: cut(m, s, min(s + limit, size)) for m in graph.inputs} for s in starts]


def _admitted(graph: Graph, batch: Any, index: int) -> dict[str, np.ndarray]:
    unusable, named = f"calibration batch {index} cannot be used", None
    try:
        named = _named(graph, batch)
        return admit(graph, named)
    except UsageError as error:
        why = error.why if named is not None else f"{error.what}\n{error.why}"
        raise UsageError(unusable, why=why, fix=error.fix) from error


def _observe(graph: Graph, values: Iterable[tuple[str, np.ndarray]], observers: dict[str, Observer]) -> None:
    for name, array in values:
        if array.dtype.kind == "f":
            batch_axis = next((a for a, extent in enumerate(graph.values[name].shape) if extent < 0), 0)
            observers.setdefault(name, Observer()).update(np.moveaxis(array, batch_axis, 0))


def _several(graph: Graph, batches: Any) -> Iterable[Any]:
    """The batches; one batch that was given by itself is the only one."""
    rank = len(graph.values[graph.inputs[0]].shape) if graph.inputs else 0
    alone = len(graph.inputs) > 1 and is_inputs(graph, batches) and all(getattr(x, "ndim", 0) for x in batches)
    if alone or isinstance(batches, Mapping) or (rank and getattr(batches, "ndim", None) == rank):
        return [batches]
    several: Any = None if isinstance(batches, str) else batches
    try:
        found: Iterable[Any] = iter(several)
    except TypeError as error:
        raise UsageError(
            f"{batches!r} is nothing to calibrate on",
            why="ranges of activations are measured on samples",
            fix="give arrays of typical inputs, a batch each: ar.calibrate(graph, [images])",
        ) from error
    return found


def _named(graph: Graph, batch: Any) -> dict[str, np.ndarray]:
    n = len(graph.inputs)
    if isinstance(batch, tuple | list) and len(batch) > n and getattr(batch[0], "ndim", 0) > 0:
        batch = batch[0] if n == 1 else tuple(batch[:n])  # a data loader yields (images, labels)
    return named_inputs(graph, batch)
