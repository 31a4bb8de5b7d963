"""What zkCNN cannot express: its networks are one chain of convolution, relu, max pool, and fully connected layers."""

from __future__ import annotations

import numpy as np

from arithmos.ir.graph import Graph, Node, consumers, producers
from arithmos.targets.zkcnn.rule import REACH

LAYERS = ("conv", "linear")
ROUNDINGS = ("requantize", "clip")
OPS = frozenset({*LAYERS, *ROUNDINGS, "max_pool", "reshape"})

_FOLLOWS = {
    "conv": ("input", *ROUNDINGS, "max_pool"),
    "linear": (*ROUNDINGS, "max_pool", "reshape"),
    "requantize": (*LAYERS, "max_pool"),
    "clip": (*LAYERS, "max_pool"),
    "max_pool": ("conv", *ROUNDINGS),
    "reshape": (*ROUNDINGS, "max_pool"),
}
"""op -> what may compute its first input."""

_NAMES = {"conv": "convolution", "linear": "fully connected layer", "max_pool": "max pool", "reshape": "flattening"}


def refuse(graph: Graph, node: Node) -> str:
    """Why zkCNN has no place for this node of an op it has, "" if it has one."""
    made_by = producers(graph).get(node.inputs[0])
    before = made_by.op if made_by else "input"
    if before in OPS | {"input"} and before not in _FOLLOWS[node.op]:
        return f"{_article(node.op)} behind {'the input' if made_by is None else _article(before)}"
    readers, is_output = consumers(graph)[node.output], node.output in graph.outputs
    if len(graph.inputs) > 1 or len(graph.outputs) > 1:
        return "the network has several inputs or outputs"
    if len(readers) + is_output > 1:
        return f"{len(readers) + is_output} readers, zkCNN's layers are a chain"
    if is_output and node.op != "linear":
        return f"the output is {_article(node.op)}, zkCNN's is a fully connected layer's"
    checks = {"conv": _layer, "linear": _layer, "requantize": _rounding, "clip": _rounding, "max_pool": _pool}
    return checks.get(node.op, _flattening)(graph, node)


def _article(op: str) -> str:
    return f"a {_NAMES.get(op, 'rounding')}"


def _layer(graph: Graph, node: Node) -> str:
    if any(name not in graph.constants for name in node.inputs[1:]):
        return "its weights are computed"
    read, weight = graph.values[node.inputs[0]].range, graph.constants[node.inputs[1]]
    assert read is not None
    if read.lo < (-REACH if node.inputs[0] in graph.inputs else 0) or read.hi - read.lo > REACH:
        return f"it reads integers of {read.lo} to {read.hi}: Q = 9 bits hold relus of 0 to {REACH}, and no others"
    lo, hi = int(weight.min()), int(weight.max())
    if not 0 < hi - lo <= REACH:
        return f"its weights reach from {lo} to {hi}, Q = 9 bits hold a difference of 1 to {REACH}"
    if node.op == "linear":
        return "" if len(graph.values[node.output].shape) == 2 else "it acts on a tensor, zkCNN has matrices"
    attrs, kernel = node.attrs, weight.shape[2:]
    margins = {margin for pair in attrs["padding"] for margin in pair}
    if len(kernel) != 2 or len(set(kernel)) > 1 or len(margins) > 1 or not _power(attrs["stride"]):
        return "its kernel and padding must be square and its stride a power of two"
    if attrs["groups"] != 1 or set(attrs["dilation"]) != {1}:
        return "its groups and dilation must be 1"
    return ""


def _rounding(graph: Graph, node: Node) -> str:
    if len(node.inputs) > 1:
        return "it multiplies before it shifts, zkCNN shifts alone (--scales power_of_two --weight-scale tensor)"
    levels = (node.attrs["lo"], node.attrs["hi"])
    if levels != (0, REACH):
        return f"its levels are {levels[0]} to {levels[1]}, zkCNN has a relu of 0 to {REACH} behind a layer"
    return "" if _layer_of(graph, node.inputs[0]) else "zkCNN rounds accumulators, once"


def _pool(graph: Graph, node: Node) -> str:
    attrs = node.attrs
    if len(set(attrs["kernel"])) > 1 or len(attrs["kernel"]) != 2 or not _power(attrs["stride"]):
        return "its window must be square and its stride a power of two"
    return "" if not np.any(attrs["padding"]) else "zkCNN's pools have no padding"


def _flattening(graph: Graph, node: Node) -> str:
    return "" if len(graph.values[node.output].shape) == 2 else "zkCNN flattens once, before its fully connected layers"


def _layer_of(graph: Graph, name: str) -> Node | None:
    """The layer whose accumulators these are, pooled or not; None for other values."""
    made_by = producers(graph)
    node = made_by.get(name)
    if node is not None and node.op == "max_pool":
        node = made_by.get(node.inputs[0])
    return node if node is not None and node.op in LAYERS else None


def _power(strides: tuple[int, ...]) -> bool:
    return len(set(strides)) == 1 and strides[0].bit_count() == 1
