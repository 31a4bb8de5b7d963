"""The emitted file without ezkl: ONNX's own reference evaluator in float64, every tensor on the way checked."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest

from arithmos.ir.graph import Graph
from arithmos.targets.ezkl.emission import DIGIT, MOST_BITS
from arithmos.targets.ezkl.model import build
from arithmos.targets.one_sample import samples, together
from arithmos.targets.onnx_file import Model, to_proto

onnx = pytest.importorskip("onnx", reason='pip install "arithmos[onnx]"')
reference = pytest.importorskip("onnx.reference", reason='pip install "arithmos[onnx]"')
SPLIT = {"Relu", "MaxPool", "ReduceMax", "ArgMax"}
"""What ezkl takes apart into digits; Floor too, whose input is a number before its last division."""


def evaluated(graph: Graph, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Every computed value of a batch. Asserts that every tensor is exact in float64 and fits the promised digits."""
    model, arguments = build(graph, every=True)
    found = [_one(model, arguments["decomp_legs"], sample) for sample in samples(graph, inputs)]
    return {
        port.value: together(graph.values[port.value].shape, [tensors[port.tensor] for tensors in found])
        for port in model.outputs
    }


def _one(model: Model, digits: int, sample: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    proto = doubled(to_proto(model))
    fed = {port.tensor: np.asarray(sample[port.value], np.float64) for port in model.inputs}
    names = [node.output for node in model.nodes]
    tensors = fed | dict(zip(names, reference.ReferenceEvaluator(proto).run(names, fed), strict=True))
    tensors |= {name: array.astype(np.float64) for name, array in model.initializers.items()}
    for node in model.nodes:
        given, array = np.asarray(tensors[node.inputs[0]]), np.asarray(tensors[node.output])
        scaled = array * 2.0**DIGIT
        assert (scaled == np.floor(scaled)).all(), f"{node.output} is no number of {DIGIT} fractional bits"
        assert np.abs(array).max(initial=0) < 2.0**MOST_BITS, f"{node.output} is too wide"
        if node.op in SPLIT or node.op == "Floor":
            widest = np.abs(given * 2.0**DIGIT if node.op == "Floor" else given).max(initial=0)
            assert widest < 2.0 ** (DIGIT * digits), f"{node.output} needs more than {digits} digits"
    return tensors


def doubled(proto: Any) -> Any:
    """The model with float64 in the place of float32."""
    helper, numpy_helper = onnx.helper, onnx.numpy_helper
    single, double = onnx.TensorProto.FLOAT, onnx.TensorProto.DOUBLE
    for tensor in proto.graph.initializer:
        if tensor.data_type == single:
            tensor.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(tensor).astype(np.float64), tensor.name))
    for node in proto.graph.node:
        for attribute in node.attribute:
            if node.op_type == "Cast" and attribute.name == "to" and attribute.i == single:
                attribute.i = double
    for port in proto.graph.input:
        port.type.tensor_type.elem_type = double
    del proto.graph.output[:]
    proto.graph.output.extend(helper.make_tensor_value_info(n.output[0], double, None) for n in proto.graph.node)
    return proto
