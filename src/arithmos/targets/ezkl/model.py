"""An integer graph as the ONNX model and the arguments that ezkl takes; why a node has no place in it."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Any

import numpy as np

from arithmos.errors import UnsupportedNetwork
from arithmos.ir.codec import digest
from arithmos.ir.graph import Graph, Node
from arithmos.ir.ops import INT
from arithmos.targets.ezkl import elementwise, layout, sums
from arithmos.targets.ezkl.emission import DIGIT, FLOAT, Emission, Operand, Unfit
from arithmos.targets.onnx_file import Model, Port

EMIT: dict[str, Callable[[Emission, Node], Operand]] = elementwise.EMIT | sums.EMIT | layout.EMIT
"""The coverage table: one emitter for each op. floor_div and isqrt have none: ezkl divides by what is near enough."""


def build(graph: Graph, every: bool) -> tuple[Model, dict[str, Any]]:
    """(the model of one sample, ezkl's run arguments for it).

    The outputs are the graph's, in order, and with `every` all other computed values; constants are left out.
    """
    e = Emission(graph)
    for node in graph.nodes:
        e.start(node.output)
        try:
            e.bind(node.output, _emitted(e, node))
        except Unfit as unfit:
            raise UnsupportedNetwork(
                f"target 'ezkl' cannot run '{node.output}'",
                where=str(graph.values[node.output].source),
                why=str(unfit),
                fix="choose another target, or quantize the network so that this does not arise",
            ) from unfit
    names = dict.fromkeys((*graph.outputs, *(node.output for node in graph.nodes if every)))
    exposed: dict[str, str] = {}
    for name in names:
        if name not in graph.constants:
            exposed[name] = _own(e, e.tensor(name), exposed.values())
    e.decomposed(*(e.range(name) for name in (*graph.inputs, *exposed)))
    outputs = tuple(Port(name, tensor, FLOAT, e.shape(name)) for name, tensor in exposed.items())
    inputs = tuple(Port(name, name, FLOAT, e.shape(name)) for name in graph.inputs)
    metadata = {"arithmos.digest": digest(graph), "arithmos.outputs": list(exposed)}
    return Model("arithmos", tuple(e.nodes), e.initializers, inputs, outputs, metadata), arguments(e.digits)


def _own(e: Emission, tensor: str, taken: Collection[str]) -> str:
    """A tensor that can be an output: computed, and no other output. What is not is negated twice.

    An Identity would do in ONNX; ezkl's reader leaves some of them standing, which ezkl then refuses.
    """
    if tensor in taken or tensor in e.graph.inputs or tensor in e.initializers:
        return e.put("Neg", e.put("Neg", tensor))
    return tensor


def arguments(digits: int) -> dict[str, Any]:
    """The attributes of ezkl's PyRunArgs: no scale anywhere, and so many digits of 14 bits for what is split."""
    return {
        "input_scale": 0,
        "param_scale": 0,
        "decomp_base": 1 << DIGIT,
        "decomp_legs": digits,
        "input_visibility": "public",
        "output_visibility": "public",
        "param_visibility": "fixed",
    }


def refuse(graph: Graph, node: Node) -> str:
    """Why ezkl cannot compute this node exactly, "" if it can."""
    empty = [name for name in (*node.inputs, node.output) if 0 in graph.values[name].shape]
    if empty:
        return f"'{empty[0]}' has no elements"
    e = Emission(graph)
    for name in node.inputs:
        if name not in graph.constants and name not in graph.inputs:
            e.bind(name, name)
    try:
        _emitted(e, node)
        e.decomposed(e.range(node.output))
    except Unfit as unfit:
        return str(unfit)
    return ""


def _emitted(e: Emission, node: Node) -> Operand:
    """The node's tensor; what follows from constants alone is a constant, computed here and not by ezkl in float32."""
    operands = [e.read(name) for name in node.inputs]
    if all(isinstance(operand, np.ndarray) for operand in operands):
        return np.asarray(INT[node.op].run(*(np.asarray(array, np.int64) for array in operands), **node.attrs))
    return EMIT[node.op](e, node)
