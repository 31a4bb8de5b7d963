"""Sums and maxima: conv, linear, matmul, sum_pool, max_pool, reduce_sum, reduce_max, argmax."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from functools import reduce
from itertools import product

import numpy as np

from arithmos.ir.graph import Node, Shape
from arithmos.ir.interval import ZERO
from arithmos.ir.ops.window import Pairs
from arithmos.targets.onnx.carrier import DOUBLE, FLOAT, LIMIT, LONG, arithmetic, narrowest
from arithmos.targets.onnx.elementwise import Emitted
from arithmos.targets.onnx.emission import Emission, cut, dynamic
from arithmos.targets.onnx.integer64 import larger, reduce_axis
from arithmos.targets.onnx.layout import surround
from arithmos.targets.onnx.split import Part, any_order, split

SPATIAL_RANKS = (1, 2, 3)
"""ONNX Runtime's Conv and MaxPool have kernels for these."""

MAX_PARTS = 8
"""More float32 convolutions than this cost more than one in float64 by matrix products."""


def _conv(e: Emission, node: Node) -> Emitted:
    x, w, *bias = node.inputs
    weight, rank = e.graph.constants[w], len(e.shape(x)) - 2
    offset = e.graph.constants[bias[0]] if bias else None
    sums = any_order(weight, e.range(x), offset)
    parts: list[Part] = []
    if rank in SPATIAL_RANKS and narrowest(e.range(x), e.range(w)) == FLOAT and sums.magnitude <= LIMIT[DOUBLE]:
        parts = split(weight, node.attrs["groups"], e.range(x), LIMIT[FLOAT])
    if not 1 <= len(parts) <= MAX_PARTS:
        return _conv_by_products(e, node)
    alone = len(parts) == 1 and sums.magnitude <= LIMIT[FLOAT]
    tensors = [_conv_part(e, node, part, bias[0] if alone and bias else "") for part in parts]
    if alone:
        return FLOAT, tensors[0]
    # The parts are exact in float32, their sum with the bias is exact in float64 only.
    total = e.cast(tensors[0], DOUBLE)
    for tensor in tensors[1:]:
        total = e.put("Add", total, e.cast(tensor, DOUBLE))
    return DOUBLE, _add_bias(e, total, DOUBLE, bias, rank)


def _conv_part(e: Emission, node: Node, part: Part, bias: str) -> str:
    x, attrs = node.inputs[0], node.attrs
    tensor = e.read(x, FLOAT)
    if part.channels != (0, e.shape(x)[1]):
        first, last = part.channels
        tensor = cut(e, tensor, ((1, first, 1, last - first),))
    return e.put(
        "Conv",
        tensor,
        e.integers(part.weight, FLOAT),
        e.read(bias, FLOAT) if bias else "",
        kernel_shape=list(part.weight.shape[2:]),
        strides=list(attrs["stride"]),
        dilations=list(attrs["dilation"]),
        pads=_pads(attrs["padding"]),
        group=attrs["groups"],
    )


def _add_bias(e: Emission, total: str, carrier: str, bias: list[str], rank: int) -> str:
    if not bias:
        return total
    shaped = e.graph.constants[bias[0]].reshape(-1, *[1] * rank)
    return e.put("Add", total, e.integers(shaped, carrier))


def _conv_by_products(e: Emission, node: Node) -> Emitted:
    """One matrix product for each tap of the kernel, in float64 below 2**53, else in int64."""
    x, w, *bias = node.inputs
    weight, groups, (batch, channels) = e.graph.constants[w], node.attrs["groups"], e.shape(x)[:2]
    out, offset = e.shape(node.output), e.graph.constants[bias[0]] if bias else None
    carrier = arithmetic(any_order(weight, e.range(x), offset), *(e.range(name) for name in node.inputs))
    grouped = e.axes(dynamic((batch, groups, channels // groups, math.prod(out[2:]))))
    rows = weight.reshape(groups, weight.shape[0] // groups, weight.shape[1], -1)
    total = ""
    geometry = (weight.shape[2:], node.attrs["stride"], node.attrs["padding"], node.attrs["dilation"])
    for tap, window in enumerate(_windows(e, x, carrier, 0, out, *geometry)):
        tensor = e.put("MatMul", e.integers(rows[..., tap], carrier), e.put("Reshape", window, grouped))
        total = e.put("Add", total, tensor) if total else tensor
    total = e.put("Reshape", total, e.axes(dynamic(out)))
    return carrier, _add_bias(e, total, carrier, bias, len(out) - 2)


def _windows(
    e: Emission,
    x: str,
    carrier: str,
    fill: int,
    out: Shape,
    kernel: Shape,
    stride: Shape,
    padding: Pairs,
    dilation: Shape,
) -> Iterator[str]:
    """For each tap of the kernel, the element under it of every window: a strided slice of the padded input."""
    padded = surround(e, e.read(x, carrier), [(0, 0), (0, 0), *padding], e.number(fill, carrier))
    for tap in product(*(range(k) for k in kernel)):
        corner = (t * d for t, d in zip(tap, dilation, strict=True))
        yield cut(e, padded, tuple(zip(range(2, len(out)), corner, stride, out[2:], strict=True)))


def _linear(e: Emission, node: Node) -> Emitted:
    x, w, *bias = node.inputs
    weight, offset = e.graph.constants[w], e.graph.constants[bias[0]] if bias else None
    carrier = narrowest(any_order(weight, e.range(x), offset), *(e.range(name) for name in node.inputs))
    tensor = e.put("MatMul", e.read(x, carrier), e.integers(weight.T, carrier))
    return carrier, e.put("Add", tensor, e.read(bias[0], carrier)) if bias else tensor


def _matmul(e: Emission, node: Node) -> Emitted:
    a, b = node.inputs
    # The op's own bound is K * hull(0, a * b): every partial sum in any order is inside.
    carrier = narrowest(e.range(a), e.range(b), e.range(node.output))
    return carrier, e.put("MatMul", e.read(a, carrier), e.read(b, carrier))


def _sum_pool(e: Emission, node: Node) -> Emitted:
    """A convolution with ones, channel by channel: ONNX has no sum over windows, and a mean times its count rounds."""
    (x,) = node.inputs
    kernel, stride, padding, shape = *(node.attrs[k] for k in ("kernel", "stride", "padding")), e.shape(x)
    carrier = narrowest(e.range(x), e.range(node.output))
    if carrier == FLOAT and len(kernel) in SPATIAL_RANKS:
        ones = e.integers(np.ones((shape[1], 1, *kernel), dtype=np.int8), FLOAT)
        attrs = {"kernel_shape": list(kernel), "strides": list(stride), "pads": _pads(padding), "group": shape[1]}
        return FLOAT, e.put("Conv", e.read(x, FLOAT), ones, **attrs)
    windows = _windows(e, x, carrier, 0, e.shape(node.output), kernel, stride, padding, (1,) * len(kernel))
    return carrier, reduce(lambda a, b: e.put("Add", a, b), windows)


def _max_pool(e: Emission, node: Node) -> Emitted:
    (x,) = node.inputs
    kernel, stride, padding = (node.attrs[k] for k in ("kernel", "stride", "padding"))
    out, carrier = e.shape(node.output), narrowest(e.range(x))
    if carrier != LONG and len(kernel) in SPATIAL_RANKS:
        pads = _pads(_needed(e.shape(x)[2:], out[2:], kernel, stride, padding))
        attrs = {"kernel_shape": list(kernel), "strides": list(stride), "pads": pads}
        return carrier, e.put("MaxPool", e.read(x, carrier), **attrs)
    # Padding is absent, not a number: the lowest of the range never wins over an element, and each window has one.
    windows = _windows(e, x, carrier, e.range(x).lo, out, kernel, stride, padding, (1,) * len(kernel))
    join = larger if carrier == LONG else lambda e, a, b: e.put("Max", a, b)
    return carrier, reduce(lambda a, b: join(e, a, b), windows)


def _needed(space: Shape, out: Shape, kernel: Shape, stride: Shape, padding: Pairs) -> Pairs:
    """The padding without what no window reaches: ONNX Runtime refuses a margin as wide as the kernel."""
    ends = ((n - 1) * s + k for n, s, k in zip(out, stride, kernel, strict=True))
    return tuple(
        (before, max(0, end - before - size)) for (before, _), end, size in zip(padding, ends, space, strict=True)
    )


def _pads(padding: Pairs) -> list[int]:
    return [before for before, _ in padding] + [after for _, after in padding]


def _reduce_sum(e: Emission, node: Node) -> Emitted:
    (x,) = node.inputs
    carrier = narrowest(e.range(x) | ZERO, e.range(node.output))
    if carrier == LONG:
        return LONG, _reduce_long(e, node, "Add")
    axes = e.axes(node.attrs["axes"])
    return carrier, e.put("ReduceSum", e.read(x, carrier), axes, keepdims=int(node.attrs["keepdims"]))


def _reduce_max(e: Emission, node: Node) -> Emitted:
    (x,) = node.inputs
    carrier = narrowest(e.range(x))
    if carrier == LONG:
        return LONG, _reduce_long(e, node, "Max")
    attrs = {"axes": list(node.attrs["axes"]), "keepdims": int(node.attrs["keepdims"])}
    return carrier, e.put("ReduceMax", e.read(x, carrier), **attrs)


def _reduce_long(e: Emission, node: Node, op: str) -> str:
    (x,) = node.inputs
    tensor = e.read(x, LONG)
    for axis in node.attrs["axes"]:
        tensor = reduce_axis(e, tensor, op, axis, e.shape(x)[axis])
    return tensor if node.attrs["keepdims"] else e.put("Squeeze", tensor, e.axes(node.attrs["axes"]))


def _argmax(e: Emission, node: Node) -> Emitted:
    (x,) = node.inputs
    axis, carrier = node.attrs["axis"], narrowest(e.range(x))
    tensor = e.read(x, carrier)
    if carrier == LONG:
        top = reduce_axis(e, tensor, "Max", axis, e.shape(x)[axis])
        tensor = e.cast(e.put("Equal", tensor, top), FLOAT)  # the first 1 stands where the first maximum does
    return LONG, e.put("ArgMax", tensor, axis=axis, keepdims=0, select_last_index=0)


EMIT: dict[str, Callable[[Emission, Node], Emitted]] = {
    "conv": _conv,
    "linear": _linear,
    "matmul": _matmul,
    "sum_pool": _sum_pool,
    "max_pool": _max_pool,
    "reduce_sum": _reduce_sum,
    "reduce_max": _reduce_max,
    "argmax": _argmax,
}
