"""Where every stored value lives: an argument of the program, a constant, or a piece of the arena."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from arithmos.ir.graph import Graph
from arithmos.ir.interval import Interval
from arithmos.targets.arena import Life, offsets
from arithmos.targets.c.ctype import stored_dtype
from arithmos.targets.c.layout import Layout, channels_last, packed
from arithmos.targets.c.sample import sample_shape
from arithmos.targets.c.step import Step

ALIGNMENT = 8
"""Bytes: an int64_t may stand at any start of the arena."""

Kind = Literal["input", "constant", "output", "arena"]

SPATIAL = frozenset({"conv", "max_pool", "sum_pool"})
"""Ops that read all channels of a position at once: their values are stored channels last."""

KEEPING = frozenset({"pad", "slice", "concat"})
"""Ops whose value is stored as their first operand is."""


@dataclass(frozen=True, slots=True)
class Storage:
    """owner: the value whose memory this is (another one's where a reshape moves nothing). start: byte in the arena."""

    kind: Kind
    owner: str
    dtype: np.dtype
    layout: Layout
    range: Interval
    start: int = 0

    @property
    def nbytes(self) -> int:
        """Bytes of memory."""
        return self.layout.elements * self.dtype.itemsize


@dataclass(frozen=True, slots=True)
class Memory:
    """The storage of every stored value, the values that need no code (reshapes), and the size of the arena."""

    storages: Mapping[str, Storage]
    renamed: frozenset[str]
    arena_bytes: int


def plan(graph: Graph, steps: Sequence[Step], scalar: Collection[str]) -> Memory:
    """Choose layouts and places. A graph output lives in the caller's array, in the graph's order, while it is used."""
    storages = {
        **{name: _fixed(graph, name, "input") for name in graph.inputs},
        **{name: _fixed(graph, name, "constant") for name in graph.constants},
    }
    renamed = set()
    for step in steps:
        root = step.root
        source = storages.get(root.inputs[0])
        if root.op == "reshape" and root.output not in graph.outputs and source and _in_order(source):
            storages[root.output] = replace(source, layout=packed(sample_shape(graph.values[root.output].shape)))
            renamed.add(root.output)
            continue
        stored = _fixed(graph, root.output, "output" if root.output in graph.outputs else "arena")
        if stored.kind == "arena" and len(stored.layout.shape) >= 3 and _spatial(graph, step, storages, scalar):
            stored = replace(stored, layout=channels_last(stored.layout.shape))
        storages[root.output] = stored
    lives = _lives(steps, storages)
    found, total = offsets(list(lives.values()), ALIGNMENT)
    starts = dict(zip(lives, found, strict=True))
    storages = {name: replace(s, start=starts[s.owner]) if s.owner in starts else s for name, s in storages.items()}
    return Memory(storages, frozenset(renamed), total)


def _fixed(graph: Graph, name: str, kind: Kind) -> Storage:
    value = graph.values[name]
    assert value.range is not None, "an integer graph has ranges"
    return Storage(kind, name, stored_dtype(value.range), packed(sample_shape(value.shape)), value.range)


def _in_order(storage: Storage) -> bool:
    return storage.layout == packed(storage.layout.shape)


def _spatial(graph: Graph, step: Step, storages: Mapping[str, Storage], scalar: Collection[str]) -> bool:
    """Whether the step's value is read best with all channels of a position side by side."""
    if step.anchor is not None:
        return step.anchor.op in SPATIAL
    root = step.root
    if root.op in KEEPING:
        return _is_channels_last(storages[root.inputs[0]])
    inside, rank = {node.output for node in step.nodes}, len(graph.values[root.output].shape)
    return root.op in scalar and any(
        name not in inside and len(storages[name].layout.shape) == rank and _is_channels_last(storages[name])
        for node in step.nodes
        if node.op != "transpose"
        for name in node.inputs
    )


def _is_channels_last(storage: Storage) -> bool:
    return storage.kind == "arena" and not _in_order(storage)


def _lives(steps: Sequence[Step], storages: Mapping[str, Storage]) -> dict[str, Life]:
    """First and last step of every piece of the arena, by owner."""
    spans: dict[str, tuple[int, int]] = {}
    for time, step in enumerate(steps):
        touched = {step.root.output, *(name for node in step.nodes for name in node.inputs)} & storages.keys()
        for owner in sorted(storages[name].owner for name in touched if storages[name].kind == "arena"):
            spans[owner] = (spans.get(owner, (time, time))[0], time)
    return {owner: Life(storages[owner].nbytes, *span) for owner, span in spans.items()}
