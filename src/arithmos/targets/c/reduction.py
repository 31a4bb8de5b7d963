"""Sums and maxima over whole axes, argmax, and products of two activations."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack

import numpy as np

from arithmos.ir.graph import Node
from arithmos.targets.c.ctype import Term, literal, work_type
from arithmos.targets.c.emission import Function, element
from arithmos.targets.c.layout import Loop, aligned
from arithmos.targets.c.scalar import finish, range_of


def reduce_sum(function: Function, node: Node) -> None:
    """sum over axes of x; any partial sum stays in the proven range."""
    work = work_type(range_of(function, node.inputs[0]), range_of(function, node.output))
    _reduce(function, node, node.attrs["axes"], f"{work} sum = 0;", lambda x, at: [f"sum += {x};"], "sum", work)


def reduce_max(function: Function, node: Node) -> None:
    """max over axes of x, from the lowest value proven possible."""
    interval = range_of(function, node.inputs[0])
    work = work_type(interval)
    start = f"{work} best = {literal(interval.lo).text};"
    _reduce(function, node, node.attrs["axes"], start, lambda x, at: [f"best = {x} > best ? {x} : best;"], "best", work)


def argmax(function: Function, node: Node) -> None:
    """The index of the maximum along an axis; the lowest index wins a tie."""
    axis, interval = node.attrs["axis"], range_of(function, node.inputs[0])
    work = work_type(interval)
    start = f"{work} best = {literal(interval.lo).text}; int32_t index = 0;"

    def step(x: str, at: dict[int, str]) -> list[str]:
        return [f"if ({x} > best) {{", f"    best = {x};", f"    index = {at.get(axis, '0')};", "}"]

    _reduce(function, node, (axis,), start, step, "index", "int32_t")


def _reduce(
    function: Function,
    node: Node,
    axes: Sequence[int],
    start: str,
    step: Callable[[str, dict[int, str]], list[str]],
    result: str,
    work: str,
) -> None:
    """Loops over the kept axes; inside them `start`, loops over the reduced axes with `step`, then what follows."""
    x, y_shape = function.operand(node.inputs[0]), function.shape(node.output)
    kept = [axis for axis in range(len(x.layout.shape)) if axis not in axes]
    of_y = kept if node.attrs.get("keepdims", False) else list(range(len(kept)))
    outer = [(Loop(f"i{i}", (a,)), Loop(f"i{i}", (b,))) for i, (a, b) in enumerate(zip(kept, of_y, strict=True))]
    inner = [Loop(f"k{i}", (axis,)) for i, axis in enumerate(axes)]
    outer = [pair for pair in outer if x.layout.shape[pair[0].axes[0]] > 1]
    inner = [loop for loop in inner if x.layout.shape[loop.axes[0]] > 1]
    with ExitStack() as stack:
        for loop, _ in outer:
            stack.enter_context(function.loop(loop.variable, x.layout.shape[loop.axes[0]]))
        function.line(start)
        with ExitStack() as reduced:
            for loop in inner:
                reduced.enter_context(function.loop(loop.variable, x.layout.shape[loop.axes[0]]))
            read = element(x, x.layout, [*(of_x for of_x, _ in outer), *inner])
            for line in step(read.text, {loop.axes[0]: loop.variable for loop in inner}):
                function.line(line)
        assert len(y_shape) == (len(x.layout.shape) if of_y is kept else len(kept))
        finish(function, [of_y for _, of_y in outer], Term(result, range_of(function, node.output), work, True))


def matmul(function: Function, node: Node) -> None:
    """y[…, i, j] = sum over k of a[…, i, k] * b[…, k, j]: a row of y at a time, every partial sum proven."""
    a, b = function.operand(node.inputs[0]), function.operand(node.inputs[1])
    shape, terms = function.shape(node.output), a.layout.shape[-1]
    rank, columns = len(shape), shape[-1]
    a_layout, b_layout = aligned(a.layout, (*shape[:-1], terms)), aligned(b.layout, (*shape[:-2], terms, columns))
    value = range_of(function, node.output)
    work = work_type(a.range, b.range, a.range * b.range, value)
    function.local("acc", np.dtype(work[:-2]), columns)
    loops = [Loop(f"i{axis}", (axis,)) for axis in range(rank - 1) if shape[axis] > 1]
    with ExitStack() as stack:
        for loop in loops:
            stack.enter_context(function.loop(loop.variable, shape[loop.axes[0]]))
        with function.loop("o", columns):
            function.line("acc[o] = 0;")
        with function.loop("k", terms):
            left = element(a, a_layout, [*loops, Loop("k", (rank - 1,))])
            batch = [loop for loop in loops if loop.axes[0] < rank - 2]
            right = element(b, b_layout, [*batch, Loop("k", (rank - 2,)), Loop("o", (rank - 1,))])
            function.line(f"const {work} v = {left.text};")
            with function.loop("o", columns):
                function.line(f"acc[o] += v * {right.text};")
        with function.loop("o", columns):
            finish(function, [*loops, Loop("o", (rank - 1,))], Term("acc[o]", value, work, True))
