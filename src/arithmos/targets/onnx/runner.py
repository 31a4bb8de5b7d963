"""Run an integer graph in ONNX Runtime."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from arithmos.ir.graph import Graph
from arithmos.targets import onnx_file
from arithmos.targets.onnx import backend
from arithmos.targets.onnx.backend import Level
from arithmos.targets.onnx.model import build
from arithmos.targets.target import Runner

IN_MEMORY_BYTES = 1 << 30
"""Larger models pass through a temporary folder, for a protobuf ends at 2 GB."""


def prepare(graph: Graph, every: bool, *, level: Level = "all", threads: int = 0) -> Runner:
    """Outputs, or every value. Neither level nor threads changes an integer: every sum is exact in any order."""
    model = build(graph, every)
    if sum(array.nbytes for array in model.initializers.values()) <= IN_MEMORY_BYTES:
        made = backend.session(onnx_file.to_proto(model).SerializeToString(), level=level, threads=threads)
    else:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / onnx_file.MODEL_FILE
            onnx_file.write(model, path, IN_MEMORY_BYTES)
            made = backend.session(path, level=level, threads=threads)

    def run(inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        results = backend.execute(made, model, inputs)
        if not every:
            return {name: results[name] for name in graph.outputs}
        return {name: np.asarray(inputs[name]) for name in graph.inputs} | results

    return run
