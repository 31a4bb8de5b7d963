"""An ONNX model in plain records, and the only code that makes protobuf of it: for every target that writes ONNX."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from arithmos.extras import require
from arithmos.ir.graph import Shape

EXTRA = "onnx"
OPSET, IR_VERSION = 17, 8
"""Every operator used exists in opset 17, which ONNX Runtime executes since version 1.12."""

MODEL_FILE, WEIGHT_FILE = "model.onnx", "model.onnx.data"


@dataclass(frozen=True, slots=True)
class OnnxNode:
    """One node of the ONNX graph; every operator used here has one output. `to` of a Cast is a numpy type name."""

    op: str
    inputs: tuple[str, ...]
    output: str
    attrs: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Port:
    """An input or output: the network's value, its tensor in the model, the type that crosses the border."""

    value: str
    tensor: str
    dtype: str
    shape: Shape


@dataclass(frozen=True, slots=True, eq=False)
class Model:
    """Everything that goes into the file. A negative extent of a port is the batch; metadata becomes JSON."""

    name: str
    nodes: tuple[OnnxNode, ...]
    initializers: dict[str, np.ndarray]
    inputs: tuple[Port, ...]
    outputs: tuple[Port, ...]
    metadata: dict[str, Any]


def write(model: Model, path: Path, external_bytes: int) -> None:
    """Write the model to `path`, and check it with onnx's own checker.

    Initializers of more than external_bytes in all go to `model.onnx.data` beside it: a protobuf ends at 2 GB.
    """
    onnx = require("onnx", EXTRA)
    proto = to_proto(model)
    if sum(array.nbytes for array in model.initializers.values()) > external_bytes:
        onnx.save_model(
            proto, str(path), save_as_external_data=True, all_tensors_to_one_file=True, location=WEIGHT_FILE
        )
    else:
        onnx.save_model(proto, str(path))
    onnx.checker.check_model(str(path), full_check=True)


def to_proto(model: Model) -> Any:
    """The onnx.ModelProto of a model."""
    require("onnx", EXTRA)
    helper, numpy_helper = require("onnx.helper", EXTRA), require("onnx.numpy_helper", EXTRA)
    graph = helper.make_graph(
        [_node(helper, node) for node in model.nodes],
        model.name,
        [_value_info(helper, port) for port in model.inputs],
        [_value_info(helper, port) for port in model.outputs],
        [numpy_helper.from_array(array, name) for name, array in model.initializers.items()],
    )
    proto = helper.make_model(
        graph, producer_name="arithmos", opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION
    )
    helper.set_model_props(
        proto, {key: item if isinstance(item, str) else json.dumps(item) for key, item in model.metadata.items()}
    )
    return proto


def _node(helper: Any, node: OnnxNode) -> Any:
    attrs = dict(node.attrs)
    if node.op == "Cast":
        attrs["to"] = helper.np_dtype_to_tensor_dtype(np.dtype(attrs["to"]))
    return helper.make_node(node.op, list(node.inputs), [node.output], name=node.output, **attrs)


def _value_info(helper: Any, port: Port) -> Any:
    return helper.make_tensor_value_info(
        port.tensor, helper.np_dtype_to_tensor_dtype(np.dtype(port.dtype)), _dims(port.shape)
    )


def _dims(shape: Shape) -> list[int | str]:
    return [extent if extent >= 0 else "N" if extent == -1 else f"{-extent}N" for extent in shape]
