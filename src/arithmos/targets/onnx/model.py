"""An integer graph as an ONNX model in plain records: nodes, initializers, and what its inputs and outputs are."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from arithmos.ir.border import format_shape
from arithmos.ir.codec import digest, encode_scale
from arithmos.ir.graph import Graph, Node
from arithmos.targets.onnx import elementwise, layout, sums
from arithmos.targets.onnx.elementwise import Emitted
from arithmos.targets.onnx.emission import Emission
from arithmos.targets.onnx_file import Model, Port

EMIT: dict[str, Callable[[Emission, Node], Emitted]] = elementwise.EMIT | layout.EMIT | sums.EMIT
"""The coverage table: one emitter for each op."""


def build(graph: Graph, every: bool) -> Model:
    """The model of a graph: its outputs are the graph's, in order; with `every` all other computed values follow."""
    e = Emission(graph)
    exposed = list(graph.outputs)
    for node in graph.nodes:
        e.start(node.output)
        carrier, tensor = EMIT[node.op](e, node)
        e.bind(node.output, carrier, tensor)
        if every and node.output not in graph.outputs:
            exposed.append(node.output)
    outputs = tuple(Port(name, e.expose(name), e.wire(name), e.shape(name)) for name in dict.fromkeys(exposed))
    inputs = tuple(Port(name, name, e.wire(name), e.shape(name)) for name in graph.inputs)
    n_outputs = len(dict.fromkeys(graph.outputs))
    metadata = {
        "arithmos.digest": digest(graph),
        "arithmos.inputs": [_facts(graph, port) for port in inputs],
        "arithmos.outputs": [_facts(graph, port) for port in outputs[:n_outputs]],
        "arithmos.values": [_facts(graph, port) for port in outputs[n_outputs:]],
    }
    return Model("arithmos", tuple(e.nodes), e.initializers, inputs, outputs, metadata)


def _facts(graph: Graph, port: Port) -> dict[str, Any]:
    value = graph.values[port.value]
    assert value.range is not None, "targets run integer graphs"
    return {
        "value": port.value,
        "tensor": port.tensor,
        "dtype": port.dtype,
        "shape": format_shape(port.shape),
        "range": [value.range.lo, value.range.hi],
        "scale": None if value.scale is None else encode_scale(value.scale),
        "source": str(value.source),
    }
