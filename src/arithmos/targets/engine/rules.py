"""op -> how the kernels compute it: one rule an op. A rule returns False for a node that they cannot compute."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from arithmos.ir.graph import Node
from arithmos.ir.interval import ZERO
from arithmos.targets.engine.layers import weighted
from arithmos.targets.engine.orientation import Orientation, channel_axis, extents
from arithmos.targets.engine.step import BYTES, Copy, Join, Pool, Requantize, Table, Term
from arithmos.targets.engine.sums import View, linear_form, requantize, through_pad, through_slice, windows

if TYPE_CHECKING:
    from arithmos.targets.engine.planner import Planner

Rule = Callable[["Planner", Node], bool]

DEFERRED = frozenset({"conv", "linear", "mul", "add", "sub", "slice", "pad", "max_pool", "reshape", "transpose"})
"""Ops that a reader may take into its own steps: such nodes wait until somebody asks for them."""


def pool(state: Planner, node: Node) -> bool:
    """max_pool, sum_pool."""
    kind = node.op.removesuffix("_pool")
    source = state.tensor(node.inputs[0], "first")
    if source is None:
        return False
    output = state.shaped(
        node.output, "first", source.range if kind == "max" else None, kind == "max" and source.compact
    )
    if output is None or (kind == "sum" and output.width != 4):
        return False
    state.steps.append(Pool(kind, source, output, *windows(node)))
    state.bind(node.output, "first", output)
    return True


def reduce_sum(state: Planner, node: Node) -> bool:
    """A sum over all of space is one window."""
    rank, axes = len(state.graph.values[node.inputs[0]].shape), tuple(sorted(node.attrs["axes"]))
    over: dict[tuple[int, ...], Orientation] = {tuple(range(1, rank - 1)): "last", tuple(range(2, rank)): "first"}
    if rank < 3 or axes not in over:
        return False
    source, output = state.tensor(node.inputs[0], over[axes]), state.shaped(node.output, over[axes])
    if source is None or output is None or output.width != 4:
        return False
    size = (source.height, source.breadth)
    state.steps.append(Pool("sum", source, output, size, size, (0, 0)))
    state.bind(node.output, over[axes], output)
    return True


def table(state: Planner, node: Node) -> bool:
    """One table for all channels, bytes to bytes."""
    name, entries = node.inputs[0], state.graph.constants[node.inputs[1]]
    if node.attrs["axis"] is not None or not all(any(state.range(n) in r for r in BYTES) for n in (name, node.output)):
        return False
    state.ready(name)
    orientation: Orientation = "last" if state.is_tensor(name, "last") else "first"
    source = state.tensor(name, orientation)
    output = state.shaped(node.output, orientation, compact=source is not None and source.compact)
    if source is None or output is None:
        return False
    state.steps.append(Table(source, output, entries, node.attrs["offset"]))
    state.bind(node.output, orientation, output)
    return True


def reshape(state: Planner, node: Node) -> bool:
    """One pixel an image is the same tensor with and without its spatial axes."""
    before, after = (extents(state.graph.values[n].shape, "first") for n in (node.inputs[0], node.output))
    if before is None or before != after or before[1:] != (1, 1):
        return False
    return _alias(state, node, "first", "first")


def transpose(state: Planner, node: Node) -> bool:
    """Moving the channel axis to the other end is a change of name only: tensors are channels-last anyway."""
    perm = tuple(node.attrs["perm"])
    rank = len(perm)
    if perm == (0, *range(2, rank), 1) and not (rank == 3 and state.is_tensor(node.inputs[0], "last")):
        return _alias(state, node, "first", "last")
    if perm == (0, rank - 1, *range(1, rank - 1)):
        return _alias(state, node, "last", "first")
    return False


def _alias(state: Planner, node: Node, source: Orientation, result: Orientation) -> bool:
    tensor = state.tensor(node.inputs[0], source)
    if tensor is not None:
        state.bind(node.output, result, tensor)
    return tensor is not None


def view(state: Planner, node: Node) -> bool:
    """A slice or pad that is a value of its own: copied once."""
    output, shape = state.shaped(node.output, "first"), state.graph.values[node.output].shape
    if output is None:
        return False
    whole = View(node.output, np.ones(output.channels, dtype=np.int64))
    seen = (through_pad if node.op == "pad" else through_slice)(node, whole, len(shape), "first")
    tensor = None if seen is None else state.tensor(seen.source, "first")
    if seen is None or tensor is None:
        return False
    term = Term(tensor, seen.multiplier, seen.stride, seen.channel)
    rounding = Requantize(ZERO, np.zeros(1, dtype=np.int64), 0, output.range.lo, output.range.hi, (term,))
    state.steps.append(Join(None, output, rounding))
    state.bind(node.output, "first", output)
    return True


def concat(state: Planner, node: Node) -> bool:
    """Channels side by side."""
    orientation: Orientation = "first" if node.attrs["axis"] == 1 else "last"
    output = state.shaped(node.output, orientation)
    if output is None or node.attrs["axis"] != channel_axis(state.graph.values[node.output].shape, orientation):
        return False
    if any(name in state.graph.constants or state.shaped(name, orientation) is None for name in node.inputs):
        return False
    state.ready(*node.inputs)
    first = 0
    for name in node.inputs:
        tensor = state.tensor(name, orientation)
        assert tensor is not None, "its shape and range were checked"
        state.steps.append(Copy(tensor, output, first))
        first += tensor.channels
    state.bind(node.output, orientation, output)
    return True


RULES: dict[str, Rule] = {
    "conv": weighted,
    "linear": weighted,
    "requantize": requantize,
    "clip": requantize,
    "add": linear_form,
    "sub": linear_form,
    "mul": linear_form,
    "max_pool": pool,
    "sum_pool": pool,
    "reduce_sum": reduce_sum,
    "table": table,
    "reshape": reshape,
    "transpose": transpose,
    "slice": view,
    "pad": view,
    "concat": concat,
}
