"""onnx and onnxruntime: the only file that imports them. Records become protobuf, protobuf becomes a session."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import numpy as np

from arithmos.extras import require
from arithmos.ir.graph import Shape
from arithmos.targets.onnx.emission import OnnxNode
from arithmos.targets.onnx.model import Model, Port

EXTRA = "onnx"
OPSET, IR_VERSION = 17, 8
"""Every operator used exists in opset 17, which ONNX Runtime executes since version 1.12."""

MODEL_FILE, WEIGHT_FILE = "model.onnx", "model.onnx.data"

Level = Literal["none", "basic", "extended", "all"]
_LEVELS = {
    "none": "ORT_DISABLE_ALL",
    "basic": "ORT_ENABLE_BASIC",
    "extended": "ORT_ENABLE_EXTENDED",
    "all": "ORT_ENABLE_ALL",
}


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


def session(source: Path | bytes, *, level: Level = "all", threads: int = 0) -> Any:
    """An onnxruntime.InferenceSession on the CPU. threads: 0 for as many as there are cores."""
    ort = require("onnxruntime", EXTRA)
    options = ort.SessionOptions()
    options.graph_optimization_level = getattr(ort.GraphOptimizationLevel, _LEVELS[level])
    options.intra_op_num_threads = threads
    # Off by default; with it, float32 products on Arm are taken in bfloat16, and no bound holds any more.
    options.add_session_config_entry("mlas.enable_gemm_fastmath_arm64_bfloat16", "0")
    options.log_severity_level = 3  # errors only: warnings about unused initializers are no news to a user
    return ort.InferenceSession(
        source if isinstance(source, bytes) else str(source), options, providers=["CPUExecutionProvider"]
    )


def execute(session: Any, model: Model, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """One run: {value: array} of every output of the model."""
    feeds = {port.tensor: np.asarray(inputs[port.value], dtype=port.dtype) for port in model.inputs}
    results = session.run([port.tensor for port in model.outputs], feeds)
    return {port.value: array for port, array in zip(model.outputs, results, strict=True)}
