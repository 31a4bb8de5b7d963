"""Ops that only move values and cannot be a read with other strides: reshape, concat, pad, gather."""

from __future__ import annotations

from arithmos.ir.graph import Node
from arithmos.targets.c.ctype import Term, ctype_of, literal, narrowed
from arithmos.targets.c.emission import Function, Operand, element
from arithmos.targets.c.layout import Layout, Loop, index, packed


def reshape(function: Function, node: Node) -> None:
    """The elements in the graph's order, whatever order they are stored in."""
    x, y = function.operand(node.inputs[0]), function.target()
    copy(function, x, Operand(y.pointer, y.dtype, packed(x.layout.shape), y.range))


def concat(function: Function, node: Node) -> None:
    """The operands one behind the other along an axis."""
    y, axis, start = function.target(), node.attrs["axis"], 0
    for name in node.inputs:
        x = function.operand(name)
        extent = x.layout.shape[axis]
        offset = y.layout.offset + start * y.layout.strides[axis]
        strides = tuple(0 if e == 1 else s for e, s in zip(x.layout.shape, y.layout.strides, strict=True))
        copy(function, x, Operand(y.pointer, y.dtype, Layout(x.layout.shape, strides, offset), y.range))
        start += extent


def pad(function: Function, node: Node) -> None:
    """`fill` everywhere, then the elements between the margins."""
    x, y, margins = function.operand(node.inputs[0]), function.target(), node.attrs["margins"]
    if any(any(margin) for margin in margins):
        fill = narrowed(literal(node.attrs["fill"]), ctype_of(y.dtype)).text
        with function.loop("i", y.layout.elements):
            function.line(f"{y.pointer}[i] = {fill};")
    offset = sum(before * stride for (before, _, _), stride in zip(margins, y.layout.strides, strict=True))
    steps = (s * (m[2] + 1) if e > 1 else 0 for s, m, e in zip(y.layout.strides, margins, x.layout.shape, strict=True))
    copy(function, x, Operand(y.pointer, y.dtype, Layout(x.layout.shape, tuple(steps), offset), y.range))


def gather(function: Function, node: Node) -> None:
    """y[…, j…] = data[indices[…], j…]."""
    data, indices, y = function.operand(node.inputs[0]), function.operand(node.inputs[1]), function.target()
    rank = len(indices.layout.shape)
    row = data.layout.strides[0]
    inner = Layout(data.layout.shape[1:], data.layout.strides[1:])
    with function.nest(indices.layout, [], "p") as loops:
        picked = element(indices, indices.layout, loops).text
        function.line(f"const {ctype_of(data.dtype)} *restrict row = {data.pointer} + {picked} * {row};")
        target = Layout(y.layout.shape[rank:], y.layout.strides[rank:])
        with function.nest(target, [inner], "k") as columns:
            shifted = [Loop(loop.variable, tuple(axis + rank for axis in loop.axes)) for loop in columns]
            read = Term(f"row[{index(inner, columns)}]", data.range, ctype_of(data.dtype), True)
            place = index(y.layout, [*loops, *shifted])
            function.line(f"{y.pointer}[{place}] = {narrowed(read, ctype_of(y.dtype)).text};")


def copy(function: Function, x: Operand, y: Operand) -> None:
    """y = x, element by element of one shape, in the order y is stored in."""
    with function.nest(y.layout, [x.layout]) as loops:
        read = element(x, x.layout, loops)
        function.line(f"{y.pointer}[{index(y.layout, loops)}] = {narrowed(read, ctype_of(y.dtype)).text};")
