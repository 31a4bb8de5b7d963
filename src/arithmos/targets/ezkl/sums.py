"""Sums and maxima: conv, linear, matmul, sum_pool, max_pool, reduce_sum, reduce_max, argmax."""

from __future__ import annotations

from collections.abc import Callable
from functools import reduce
from itertools import zip_longest
from typing import Any

import numpy as np

from arithmos.ir.graph import Node
from arithmos.ir.interval import Interval
from arithmos.ir.ops.window import Pairs
from arithmos.targets.ezkl.elementwise import minus, plus
from arithmos.targets.ezkl.emission import FLOAT, Emission, Operand, Unfit, parts
from arithmos.targets.ezkl.layout import surround

SPATIAL_RANKS = (1, 2, 3)
"""ezkl has convolutions and pools over so many axes."""


def _conv(e: Emission, node: Node) -> Operand:
    x, w, *bias = node.inputs
    weight = _dilated(e.graph.constants[w], node.attrs["dilation"])
    offset = e.graph.constants[bias[0]] if bias else np.zeros(len(weight), np.int64)
    e.held(e.range(x), e.range(node.output))
    attrs = {"strides": node.attrs["stride"], "padding": node.attrs["padding"], "group": node.attrs["groups"]}
    return convolution(e, e.tensor(x), weight, offset, **attrs)


def convolution(e: Emission, x: str, weight: np.ndarray, bias: np.ndarray, **attrs: Any) -> str:
    """x * W + b, written as -(x * -W - b): ezkl's reader folds what follows a convolution into it, but no negation.

    Parts of W and b that float32 holds are convolutions of their own, whose sum is exact.
    """
    rank = weight.ndim - 2
    if rank not in SPATIAL_RANKS:
        raise Unfit(f"it goes over {rank} axes, and ezkl has windows over 1, 2 or 3")
    sums = []
    pairs = zip_longest(parts(weight), parts(bias))
    for w, b in pairs:
        kernel = e.stored(np.zeros_like(weight) if w is None else -w.astype(np.float64))
        offset = e.stored(np.zeros_like(bias) if b is None else -b.astype(np.float64))
        pads = _pads(attrs["padding"])
        made = {"kernel_shape": list(weight.shape[2:]), "strides": list(attrs["strides"]), "pads": pads}
        sums.append(e.put("Neg", e.put("Conv", x, kernel, offset, **made, group=attrs["group"])))
    return reduce(lambda a, b: e.put("Add", a, b), sums)


def _dilated(weight: np.ndarray, dilation: tuple[int, ...]) -> np.ndarray:
    """The kernel with its zeros written out: ezkl has no dilation."""
    shape = [(k - 1) * d + 1 for k, d in zip(weight.shape[2:], dilation, strict=True)]
    wide = np.zeros((*weight.shape[:2], *shape), weight.dtype)
    wide[(slice(None), slice(None), *(slice(None, None, d) for d in dilation))] = weight
    return wide


def _linear(e: Emission, node: Node) -> Operand:
    x, w, *bias = node.inputs
    e.held(e.range(x), e.range(node.output))
    product = _product(e, e.tensor(x), e.graph.constants[w].T)
    return plus(e, product, e.graph.constants[bias[0]]) if bias else product


def _matmul(e: Emission, node: Node) -> Operand:
    a, b = node.inputs
    e.held(e.range(a), e.range(b), e.range(node.output))
    return _product(e, e.read(a), e.read(b))


def _product(e: Emission, a: Operand, b: Operand) -> str:
    left, right = ([x] if isinstance(x, str) else [e.stored(part) for part in parts(x)] for x in (a, b))
    products = [e.put("MatMul", x, y) for x in left for y in right]
    return reduce(lambda x, y: e.put("Add", x, y), products)


def _sum_pool(e: Emission, node: Node) -> Operand:
    """A convolution with ones, channel by channel."""
    (x,) = node.inputs
    e.held(e.range(x), e.range(node.output))
    channels = e.shape(x)[1]
    ones = np.ones((channels, 1, *node.attrs["kernel"]), np.int64)
    attrs = {"strides": node.attrs["stride"], "padding": node.attrs["padding"], "group": channels}
    return convolution(e, e.tensor(x), ones, np.zeros(channels, np.int64), **attrs)


def _max_pool(e: Emission, node: Node) -> Operand:
    """The maximum of x - min(x), plus min(x), where there is padding: it is 0 in ezkl, which must not win."""
    (x,) = node.inputs
    kernel, stride, padding = (node.attrs[k] for k in ("kernel", "stride", "padding"))
    if len(kernel) not in SPATIAL_RANKS:
        raise Unfit(f"it goes over {len(kernel)} axes, and ezkl has windows over 1, 2 or 3")
    inside = e.range(x)
    e.decomposed(inside, inside - inside)
    lowest = np.array(inside.lo if inside.lo < 0 and any(any(pair) for pair in padding) else 0)
    tensor = minus(e, e.tensor(x), lowest) if lowest else e.tensor(x)
    padded = surround(e, tensor, [(0, 0), (0, 0), *padding])
    pooled = e.put("MaxPool", padded, kernel_shape=list(kernel), strides=list(stride))
    return plus(e, pooled, lowest) if lowest else pooled


def _pads(padding: Pairs) -> list[int]:
    return [before for before, _ in padding] + [after for _, after in padding]


def _reduce_sum(e: Emission, node: Node) -> Operand:
    (x,) = node.inputs
    e.held(e.range(x), e.range(node.output))
    axes = e.axes(node.attrs["axes"])
    return e.put("ReduceSum", e.tensor(x), axes, keepdims=int(node.attrs["keepdims"]))


def _reduce_max(e: Emission, node: Node) -> Operand:
    (x,) = node.inputs
    e.decomposed(e.range(x), e.range(x) - e.range(x))
    attrs = {"axes": list(node.attrs["axes"]), "keepdims": int(node.attrs["keepdims"])}
    return e.put("ReduceMax", e.tensor(x), **attrs)


def _argmax(e: Emission, node: Node) -> Operand:
    (x,) = node.inputs
    e.decomposed(e.range(x), e.range(x) - e.range(x), Interval(0, e.shape(x)[node.attrs["axis"]]))
    index = e.put("ArgMax", e.tensor(x), axis=node.attrs["axis"], keepdims=0, select_last_index=0)
    return e.put("Cast", index, to=FLOAT)


EMIT: dict[str, Callable[[Emission, Node], Operand]] = {
    "conv": _conv,
    "linear": _linear,
    "matmul": _matmul,
    "sum_pool": _sum_pool,
    "max_pool": _max_pool,
    "reduce_sum": _reduce_sum,
    "reduce_max": _reduce_max,
    "argmax": _argmax,
}
