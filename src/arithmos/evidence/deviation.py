"""Deviation: an approximate network beside the exact one on the same images, streamed, and what leaves its interval."""

from __future__ import annotations

import math
from collections.abc import Hashable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np

from arithmos.errors import RangeEscape, UsageError
from arithmos.evidence.ranks import ranks_in
from arithmos.ir.border import admit, named_inputs
from arithmos.ir.graph import Graph
from arithmos.lower.replacement import with_bounds
from arithmos.targets.clear import prepared

Key = TypeVar("Key", bound=Hashable)
Labelled = tuple[Any, np.ndarray | None]
"""Inputs as ar.run takes them, and the class of each image, or None where nobody knows it."""


@dataclass(frozen=True, slots=True)
class Scores:
    """Counts of images: right at the first place, among the first five, with finite outputs (others are wrong)."""

    top1: int
    top5: int
    finite: int


@dataclass(frozen=True, slots=True)
class Span:
    """What was seen of the value that a polynomial reads, against its interval [-bound, bound]; None: it has none."""

    name: str
    source: str
    bound: float | None
    lo: float
    hi: float

    @property
    def share(self) -> float | None:
        """max |x| / bound."""
        return None if self.bound is None else max(abs(self.lo), abs(self.hi)) / self.bound


@dataclass(frozen=True, slots=True)
class Raised:
    """A bound that a search raised, at the image and the value that needed it; images before it ran with `before`."""

    name: str
    image: int
    value: float
    before: float
    after: float


@dataclass(frozen=True, slots=True)
class Deviation:
    """n images through both networks. exact, approximate: None without labels; same: images of equal class.

    error_rms: of the difference of the outputs over images with finite ones; output_rms: of the exact outputs.
    spans: one for each polynomial, by graph order. raised: in the order of their images.
    """

    n: int
    exact: Scores | None
    approximate: Scores | None
    same: int
    error_rms: float
    output_rms: float
    spans: tuple[Span, ...]
    raised: tuple[Raised, ...] = ()

    @property
    def relative_percent(self) -> float | None:
        """100 (approximate - exact) / exact of top-1, as published; None without labels and where nothing is right."""
        if self.exact is None or self.approximate is None or not self.exact.top1:
            return None
        return 100 * (self.approximate.top1 - self.exact.top1) / self.exact.top1

    @property
    def bounds(self) -> dict[str, float]:
        """{polynomial: its bound at the end}, for `with_bounds`."""
        return {span.name: span.bound for span in self.spans if span.bound is not None}


def deviation(
    exact: Graph, approximate: Graph, batches: Iterable[Labelled], *, step: float | None = None, device: str = "cpu"
) -> Deviation:
    """Both networks on the same batches, in float32. Raises RangeEscape where a value leaves its interval.

    step: raise the bound of that polynomial instead, by the least multiple of step that does, and go on with the same
    batch. Raises UsageError for no images, and for labels that are no class of the network.
    """
    found = deviations(exact, {"": approximate}, batches, step=step, device=device)[""]
    if isinstance(found, RangeEscape):
        raise found
    return found


def deviations(
    exact: Graph,
    approximate: Mapping[Key, Graph],
    batches: Iterable[Labelled],
    *,
    step: float | None = None,
    device: str = "cpu",
) -> dict[Key, Deviation | RangeEscape]:
    """Several approximations beside one exact network, which runs once; a network that escapes has that for a result.

    Batches are run by all networks before the next is read. Once all have escaped no more is read.
    """
    compared = {key: _Compared(graph, step, device) for key, graph in approximate.items()}
    reference, n = prepared(exact, device), 0
    for inputs, labels in batches:
        arrays = admit(exact, named_inputs(exact, inputs))
        outputs = _flat(reference.outputs(arrays))
        for one in compared.values():
            if one.escape is None:
                one.add(arrays, outputs, labels, n)
        n += len(outputs)
        if all(one.escape for one in compared.values()):
            break
    if n == 0:
        raise UsageError(
            "there is nothing to compare the networks on",
            why="there was no batch of images",
            fix="give at least one image",
        )
    return {key: one.escape or one.result(n) for key, one in compared.items()}


class _Compared:
    """One approximation and what is counted of it. A class because it lives while the batches stream past."""

    def __init__(self, graph: Graph, step: float | None, device: str) -> None:
        self._step, self._device = step, device
        self._use(graph)
        self._readers = {node.output: node.inputs[0] for node in graph.nodes if node.op == "polynomial"}
        self._ends = dict.fromkeys(self._readers.values(), (math.inf, -math.inf))
        self._counts = np.zeros(6, dtype=np.int64)
        self._sums = np.zeros(3)
        self._labelled, self._same = True, 0
        self._raised: list[Raised] = []
        self.escape: RangeEscape | None = None

    def add(self, arrays: Mapping[str, np.ndarray], exact: np.ndarray, labels: np.ndarray | None, first: int) -> None:
        """Run a batch and count; an escape that no search mends is kept in `escape`."""
        try:
            found = self._outputs(arrays, first)
        except RangeEscape as escape:
            self.escape = escape
            return
        good = np.isfinite(found).all(axis=1)
        if labels is None:
            self._labelled = False
        else:
            self._counts += [*_right(exact, labels), *_right(found, labels)]
        self._same += int(((exact.argmax(axis=1) == found.argmax(axis=1)) & good).sum())
        difference = found[good].astype(np.float64) - exact[good]
        self._sums += [(difference**2).sum(), difference.size, (exact.astype(np.float64) ** 2).mean() * len(exact)]

    def result(self, n: int) -> Deviation:
        """What was counted over n images."""
        exact, approximate = (Scores(*map(int, part)) for part in (self._counts[:3], self._counts[3:]))
        values, attrs = self._graph.values, {node.output: node.attrs for node in self._graph.nodes}
        spans = [
            Span(name, str(values[name].source), attrs[name]["bound"], *self._ends[x])
            for name, x in self._readers.items()
        ]
        return Deviation(
            n,
            exact if self._labelled else None,
            approximate if self._labelled else None,
            self._same,
            math.sqrt(self._sums[0] / self._sums[1]) if self._sums[1] else math.nan,
            math.sqrt(self._sums[2] / n),
            tuple(spans),
            tuple(self._raised),
        )

    def _use(self, graph: Graph) -> None:
        self._graph, self._network = graph, prepared(graph, self._device)

    def _outputs(self, arrays: Mapping[str, np.ndarray], first: int) -> np.ndarray:
        while True:
            try:
                return self._once(arrays, first)
            except RangeEscape as escape:
                if self._step is None or not math.isfinite(escape.enough):
                    raise
                self._raise_bounds(escape, self._step)

    def _once(self, arrays: Mapping[str, np.ndarray], first: int) -> np.ndarray:
        wanted, found, ends = set(self._graph.outputs), {}, dict(self._ends)
        for name, tensor in self._network.values(arrays, first_image=first):
            if name in ends:
                lo, hi = ends[name]
                ends[name] = min(lo, float(tensor.min())), max(hi, float(tensor.max()))
            if name in wanted:
                found[name] = tensor.cpu().numpy()
        self._ends = ends
        return _flat({name: found[name] for name in self._graph.outputs})

    def _raise_bounds(self, escape: RangeEscape, step: float) -> None:
        after = escape.bound + step * max(math.ceil((escape.enough - escape.bound) / step), 1)
        readers = [name for name, x in self._readers.items() if x == escape.value_name]
        self._raised += [Raised(name, escape.image, escape.value, escape.bound, after) for name in readers]
        self._use(with_bounds(self._graph, dict.fromkeys(readers, after)))


def _flat(outputs: Mapping[str, np.ndarray]) -> np.ndarray:
    """(images, all outputs side by side)."""
    return np.concatenate([array.reshape(len(array), -1) for array in outputs.values()], axis=1)


def _right(outputs: np.ndarray, labels: np.ndarray) -> tuple[int, int, int]:
    """(top-1, top-5, finite); equal outputs are ordered by class, as argmax does. NaN and infinity are never right."""
    good = np.isfinite(outputs).all(axis=1)
    if len(labels) and int(labels.max()) >= outputs.shape[1]:
        raise UsageError(
            f"there is an image of class {int(labels.max())}",
            why=f"the network knows {outputs.shape[1]} classes, from 0 on",
            fix="compare on the data set that the network was trained on",
        )
    rank = ranks_in(outputs, labels)
    return int((good & (rank < 1)).sum()), int((good & (rank < 5)).sum()), int(good.sum())
