"""Convolutions and linear layers as the kernels see them: windows over byte tensors."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from arithmos.ir.graph import Node
from arithmos.ir.interval import interval_of, signed
from arithmos.targets.engine.library import MAX_TAPS
from arithmos.targets.engine.orientation import Orientation, extents
from arithmos.targets.engine.step import BYTES, Conv, Requantize, Tensor

if TYPE_CHECKING:
    from arithmos.targets.engine.planner import Planner

Pair = tuple[int, int]


@dataclass(frozen=True, slots=True, eq=False)
class Layer:
    """acc = bias + sum of weight * source; weight: (out, in / groups, kernel y, kernel x)."""

    source: str
    orientation: Orientation
    weight: np.ndarray
    bias: np.ndarray | None
    stride: Pair = (1, 1)
    padding: Pair = (0, 0)
    dilation: Pair = (1, 1)
    groups: int = 1


def layer_of(state: Planner, name: str) -> Layer | None:
    """The conv or linear node behind a value, with a pad or reshape before it; None if the kernels lack it."""
    node = state.producers.get(name)
    if node is None or node.op not in ("conv", "linear"):
        return None
    weight = state.graph.constants.get(node.inputs[1])
    bias = state.graph.constants.get(node.inputs[2]) if len(node.inputs) > 2 else None
    if weight is None or interval_of(weight) not in signed(8) or (len(node.inputs) > 2 and bias is None):
        return None
    if not any(state.range(node.inputs[0]) in r for r in BYTES) or state.range(name) not in signed(32):
        return None
    layer = _convolution(state, node, weight, bias) if node.op == "conv" else _linear(state, node, weight, bias)
    shapes = [] if layer is None else [state.graph.values[n].shape for n in (layer.source, name)]
    if layer is None or any(extents(shape, layer.orientation) is None for shape in shapes):
        return None
    return layer if math.prod(layer.weight.shape[2:]) <= MAX_TAPS else None


def emit_layer(state: Planner, layer: Layer, output: Tensor, requantize: Requantize | None) -> None:
    """Append the layer; its source must have been computed."""
    source = state.tensor(layer.source, layer.orientation)
    assert source is not None and source.width == 1, "layer_of has checked the source"
    geometry = (layer.stride, layer.padding, layer.dilation, layer.groups)
    state.steps.append(Conv(source, output, layer.weight, layer.bias, *geometry, requantize))


def weighted(state: Planner, node: Node) -> bool:
    """conv, linear: the accumulators themselves."""
    layer = layer_of(state, node.output)
    if layer is None:
        return False
    state.ready(layer.source)
    output = state.shaped(node.output, layer.orientation)
    assert output is not None, "layer_of has checked the result"
    emit_layer(state, layer, output, _as_bytes(output) if output.width == 1 else None)
    state.bind(node.output, layer.orientation, output)
    return True


def _as_bytes(output: Tensor) -> Requantize:
    """Accumulators that are so narrow have to be written as bytes."""
    return Requantize(output.range, np.array([1]), 0, output.range.lo, output.range.hi)


def _convolution(state: Planner, node: Node, weight: np.ndarray, bias: np.ndarray | None) -> Layer | None:
    rank, source = weight.ndim - 2, node.inputs[0]
    if rank > 2:
        return None
    before = tuple(int(p) for p, _ in node.attrs["padding"])
    pad = state.producers.get(source)
    if pad is not None and pad.op == "pad" and state.is_private(source) and _is_border(pad):
        source = pad.inputs[0]
        before = tuple(p + int(m[0]) for p, m in zip(before, pad.attrs["margins"][2:], strict=True))
    return Layer(
        source,
        "first",
        weight.reshape(*weight.shape[:2], *last_two(weight.shape[2:], 1)),
        bias,
        last_two(node.attrs["stride"], 1),
        last_two(before, 0),
        last_two(node.attrs["dilation"], 1),
        node.attrs["groups"],
    )


def last_two(values: tuple[int, ...], missing: int) -> Pair:
    """The values of two spatial axes, where there may be only one or none."""
    y, x = (missing, missing, *values)[-2:]
    return int(y), int(x)


def _is_border(pad: Node) -> bool:
    """Whether a pad only puts zeros around the image."""
    margins = pad.attrs["margins"]
    return pad.attrs["fill"] == 0 and all(m == (0, 0, 0) for m in margins[:2]) and all(m[2] == 0 for m in margins[2:])


def _linear(state: Planner, node: Node, weight: np.ndarray, bias: np.ndarray | None) -> Layer:
    """A linear layer is a convolution with one tap; on flattened images its window is the whole image."""
    source = node.inputs[0]
    if len(state.graph.values[source].shape) > 2:
        return Layer(source, "last", weight[:, :, None, None], bias)
    reshape = state.producers.get(source)
    if reshape is not None and reshape.op == "reshape" and state.is_private(source):
        size = extents(state.graph.values[reshape.inputs[0]].shape, "first")
        if size is not None and math.prod(size) == weight.shape[1] and size[1] * size[2] <= MAX_TAPS:
            return Layer(reshape.inputs[0], "first", weight.reshape(weight.shape[0], *size), bias)
    return Layer(source, "first", weight[:, :, None, None], bias)
