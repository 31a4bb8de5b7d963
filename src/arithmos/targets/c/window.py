"""Windows that keep channels apart: max_pool, sum_pool, and convolution with one filter a channel."""

from __future__ import annotations

import math
from contextlib import ExitStack

import numpy as np

from arithmos.ir.graph import Node
from arithmos.ir.interval import Interval
from arithmos.targets.c.ctype import Term, ctype_of, literal, stored_dtype, widened, work_type
from arithmos.targets.c.emission import Function, describe
from arithmos.targets.c.geometry import Window, places_inside, window_of
from arithmos.targets.c.layout import Loop, index, product, sum_of
from arithmos.targets.c.scalar import finish, range_of


def max_pool(function: Function, node: Node) -> None:
    """Maximum over the window; it starts from the lowest value proven possible, since padding is absent."""
    x = function.operand(node.inputs[0])
    step = "acc[c] = {pixel} > acc[c] ? {pixel} : acc[c];"
    _emit(function, node, node.attrs["kernel"], x.dtype, literal(x.range.lo).text, step)


def sum_pool(function: Function, node: Node) -> None:
    """Sum over the window; padding adds nothing."""
    dtype = stored_dtype(range_of(function, node.output))
    step = f"acc[c] = ({ctype_of(dtype)})(acc[c] + {{pixel}});" if dtype.itemsize < 4 else "acc[c] += {pixel};"
    _emit(function, node, node.attrs["kernel"], dtype, "0", step)


def depthwise(function: Function, node: Node) -> None:
    """conv with a filter for each channel: y[c, p] = b[c] + sum over k of w[c, k] * x[c, p * stride + k - padding]."""
    program, name = function.program, node.inputs[1]
    weight = program.graph.constants[name]
    x, value = function.operand(node.inputs[0]), range_of(function, node.output)
    taken = Interval(int(weight.min(initial=0)), int(weight.max(initial=0)))
    work = work_type(value, x.range, taken, x.range * taken)
    taps = weight.reshape(weight.shape[0], -1)
    table = program.table(name, "taps", lambda: taps.T, f"{describe(program.graph, name)} as (kernel, channel)")
    start = "0" if len(node.inputs) < 3 else f"{function.operand(node.inputs[2]).pointer}[c]"
    pixel = widened(Term("{pixel}", x.range, ctype_of(x.dtype), True), work).text
    step = f"acc[c] += {pixel} * {table.identifier}[{{tap}}];"
    _emit(function, node, weight.shape[2:], np.dtype(work[:-2]), start, step)


def _emit(function: Function, node: Node, kernel: tuple[int, ...], dtype: np.dtype, start: str, step: str) -> None:
    """For each position: all channels at once through the places of the window, then what follows for each channel.

    start: what acc[c] begins with. step: the statement for one place, with `{pixel}` and `{tap}` for x and its weight.
    """
    x, shape = function.operand(node.inputs[0]), function.shape(node.output)
    window = window_of(node, x.layout.shape, kernel, shape)
    channels, stride = shape[1], x.layout.strides[1]
    function.local("acc", dtype, channels)
    with ExitStack() as stack:
        outer = [("n", 0), *((f"o{letter}", axis + 2) for axis, letter in enumerate(window.letters))]
        loops = [Loop(variable, (axis,)) for variable, axis in outer if shape[axis] > 1]
        for loop in loops:
            stack.enter_context(function.loop(loop.variable, shape[loop.axes[0]]))
        with function.loop("c", channels):
            function.line(f"acc[c] = {start};")
        with places_inside(function, window):
            base = index(x.layout, window.positions(x.layout.shape))
            function.line(f"const {ctype_of(x.dtype)} *restrict pixel = {x.pointer} + {base};")
            with function.loop("c", channels):
                pixel, tap = f"pixel[{product('c', stride) or '0'}]", sum_of([_place(window, channels), "c"])
                function.line(step.format(pixel=pixel, tap=tap))
        with function.loop("c", channels):
            given = Term("acc[c]", range_of(function, node.output), ctype_of(dtype), True)
            finish(function, [*loops, Loop("c", (1,))], given)


def _place(window: Window, channels: int) -> str:
    """Where the weights of the place (k…) of the window start: all channels of each place side by side."""
    inner = [math.prod(window.kernel[axis + 1 :]) * channels for axis in range(len(window.kernel))]
    return sum_of(
        product(f"k{letter}", inner[axis]) if window.kernel[axis] > 1 else ""
        for axis, letter in enumerate(window.letters)
    )
