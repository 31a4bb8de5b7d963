"""onnxruntime: the only file that imports it. A model becomes a session, integers go in and come out."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import numpy as np

from arithmos.extras import require
from arithmos.targets.onnx_file import EXTRA, Model

Level = Literal["none", "basic", "extended", "all"]
_LEVELS = {
    "none": "ORT_DISABLE_ALL",
    "basic": "ORT_ENABLE_BASIC",
    "extended": "ORT_ENABLE_EXTENDED",
    "all": "ORT_ENABLE_ALL",
}


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
