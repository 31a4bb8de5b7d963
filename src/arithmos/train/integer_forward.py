"""An integer graph on torch: the integers of the interpreter on every value, and a gradient through all of them.

Integers live in floats that hold them exactly. A value whose proven range is below 2**24 is float32, below 2**53
float64. Sums of products are formed in float32 only where *every* partial sum is below 2**24: the range rule of conv
and linear adds positive and negative products apart, from a range of x that holds 0, so a sum of any subset of the
products lies between range.lo - b and range.hi - b, and the order of summation does not matter. Wider sums are split
along the input channels, or formed in float64. Beyond 2**53, and for the ops that round by themselves (shift_right,
floor_div, isqrt), the interpreter's own row gives the integers and a real function the gradient.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from arithmos.ir.graph import Graph, Node, spent_after
from arithmos.ir.interval import ZERO, Interval
from arithmos.ir.ops import INT
from arithmos.ir.ops.arithmetic import requantize_sum
from arithmos.train.real_ops import REAL
from arithmos.train.straight_through import MANTISSA, Requantize

SINGLE = 1 << 24
"""Integers below it are exact in float32."""

SUMS = frozenset({"conv", "linear", "matmul", "reduce_sum", "sum_pool"})
"""Ops with partial sums: the width of their range bounds each of them."""

ROUNDS = frozenset({"shift_right", "floor_div", "isqrt"})
"""Ops that round; requantize does too, but has a fast form of its own."""


@dataclass(frozen=True, slots=True)
class Step:
    """One node as it runs: `run` takes the operands as they are held; None stands for the interpreter's row."""

    node: Node
    run: Callable[..., Tensor] | None
    held: torch.dtype


class IntegerForward(nn.Module):
    """(floats that hold integers, by input name) -> values by name. A class because its constants live on a device.

    Exact for the graph's own constants, and for others that stand in for them as long as the ranges hold for these.
    """

    def __init__(self, graph: Graph) -> None:
        """Plan the types of an integer graph."""
        super().__init__()
        self.graph = graph
        self.steps = tuple(_step(graph, node) for node in graph.nodes)
        self._place = {name: f"constant{i}" for i, name in enumerate(graph.constants)}
        for name, array in graph.constants.items():
            whole = torch.from_numpy(np.asarray(array).astype(np.int64))
            self.register_buffer(self._place[name], whole.to(_held(_range(graph, name))), persistent=False)
        self._done = spent_after(graph, keep=graph.outputs)

    def forward(
        self, inputs: Mapping[str, Tensor], constants: Mapping[str, Tensor] | None = None, *, every: bool = False
    ) -> dict[str, Tensor]:
        """The outputs by name, or inputs and every computed value with `every`.

        A value beyond 2**53 is int64 and without a gradient of its own; all others are floats that hold integers.
        """
        values: dict[str, Tensor] = {name: getattr(self, place) for name, place in self._place.items()}
        values |= {name: inputs[name].to(_held(_range(self.graph, name))) for name in self.graph.inputs}
        values |= constants or {}
        near: dict[str, Tensor] = {}  # next to a value beyond 2**53: the float64 that carries its gradient
        with full_precision():
            for step in self.steps:
                name, operands = step.node.output, [values[n] for n in step.node.inputs]
                if step.run is not None:
                    values[name] = step.run(*operands, **step.node.attrs).to(step.held)
                else:
                    followed = [near.get(n, values[n]).double() for n in step.node.inputs]
                    whole, near[name] = _interpreted(step, operands, followed)
                    values[name] = whole if step.held == torch.int64 else near.pop(name).to(step.held)
                for spent in () if every else self._done[name]:
                    del values[spent]
                    near.pop(spent, None)
        computed = (*self.graph.inputs, *(step.node.output for step in self.steps))
        return {name: values[name] for name in (computed if every else self.graph.outputs)}


@contextmanager
def full_precision() -> Iterator[None]:
    """float32 products keep all 24 bits while the block runs.

    No TF32, bfloat16 or mixed precision in products; no cuDNN, whose Winograd and Fourier convolutions go through
    numbers that are no integers (torch's own are columns times weights). The backward pass is free of all this.
    """
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("highest")
    try:
        with (
            torch.backends.cudnn.flags(enabled=False),
            torch.autocast("cuda", enabled=False),
            torch.autocast("cpu", enabled=False),
        ):
            yield
    finally:
        torch.set_float32_matmul_precision(before)


def _step(graph: Graph, node: Node) -> Step:
    """How a node runs: in the type of the widest number it touches, partial sums included."""
    result = _range(graph, node.output)
    widths = [Interval(0, result.hi - result.lo)] if node.op in SUMS else []
    touched = [*(_range(graph, name) for name in node.inputs), result, *widths]
    work = _held(Interval(min(t.lo for t in touched), max(t.hi for t in touched)))
    if node.op in ROUNDS or work == torch.int64:
        return Step(node, None, _held(result))
    run = REAL[node.op]
    if node.op == "requantize":
        mul = graph.constants[node.inputs[1]] if len(node.inputs) > 1 else None
        run = partial(_requantize, widest=requantize_sum(touched[0], mul, node.attrs["shift"]).magnitude)
    elif work == torch.float64 and node.op in ("conv", "linear") and (n := _n_parts(graph, node)) > 1:
        return Step(node, partial(_in_parts, run, n), _held(result))
    return Step(node, partial(_in, work, run), _held(result))


def _in(work: torch.dtype, run: Callable[..., Tensor], *operands: Tensor, **attrs: Any) -> Tensor:
    return run(*(x.to(work) for x in operands), **attrs)


def _requantize(x: Tensor, mul: Tensor | None = None, *, shift: int, lo: int, hi: int, widest: int) -> Tensor:
    result: Tensor = Requantize.apply(x, mul, shift, lo, hi, widest)  # type: ignore[no-untyped-call]
    return result


def _n_parts(graph: Graph, node: Node) -> int:
    """Into how many parts the input channels are cut so that the sums of each are exact in float32; 1 for none."""
    x, weight = _range(graph, node.inputs[0]) | ZERO, graph.constants[node.inputs[1]]
    if node.attrs.get("groups", 1) != 1 or x.magnitude >= SINGLE:
        return 1
    sums = np.abs(weight.astype(np.int64)).reshape(*weight.shape[:2], -1).sum(axis=2)
    n = 2
    while n <= weight.shape[1]:
        widest = max(int(part.sum(axis=1).max()) for part in np.array_split(sums, n, axis=1))
        if widest * (x.hi - x.lo) < SINGLE:
            return n
        n *= 2
    return 1


def _in_parts(
    run: Callable[..., Tensor], n: int, x: Tensor, weight: Tensor, bias: Tensor | None = None, **attrs: Any
) -> Tensor:
    """Sums over parts of the input channels in float32, added in float64."""
    axis = 1 if attrs else -1
    pairs = zip(x.float().tensor_split(n, dim=axis), weight.float().tensor_split(n, dim=1), strict=True)
    total = sum(run(part, rows, **attrs).double() for part, rows in pairs)
    assert isinstance(total, Tensor)
    if bias is None:
        return total
    return total + bias.double().reshape(-1, *[1] * (weight.ndim - 2))


def _interpreted(step: Step, operands: Sequence[Tensor], followed: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
    """The integers by the interpreter's row, and as float64 with the gradient of the real function."""
    node = step.node
    arrays = [x.detach().cpu().numpy().astype(np.int64) for x in operands]
    whole = torch.from_numpy(np.ascontiguousarray(INT[node.op].run(*arrays, **node.attrs))).to(operands[0].device)
    real = REAL[node.op](*followed, **node.attrs)
    return whole, whole.double() + (real - real.detach())


def _range(graph: Graph, name: str) -> Interval:
    interval = graph.values[name].range
    assert interval is not None
    return interval


def _held(interval: Interval) -> torch.dtype:
    """The type that holds every integer of the interval."""
    if interval.magnitude < SINGLE:
        return torch.float32
    return torch.float64 if interval.magnitude < MANTISSA else torch.int64
