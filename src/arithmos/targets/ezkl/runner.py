"""Run an integer graph in ezkl: its own witness generation, field elements read back as integers."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from arithmos.ir.graph import Graph
from arithmos.targets.ezkl import tool
from arithmos.targets.ezkl.export import write_inputs, write_model
from arithmos.targets.ezkl.model import build
from arithmos.targets.ezkl.prove import integers
from arithmos.targets.one_sample import samples, together
from arithmos.targets.onnx_file import Model
from arithmos.targets.target import Runner


def prepare(graph: Graph, every: bool) -> Runner:
    """A function from inputs to the outputs, or every value, as ezkl computes them.

    Raises MissingTool without ezkl.
    """
    if find_spec("ezkl") is None:
        raise tool.missing()
    model, arguments = build(graph, every)

    def run(inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        taken = samples(graph, inputs)
        rows = _witnesses(model, arguments, taken)
        found = {
            port.value: together(
                graph.values[port.value].shape,
                [np.array(row[i], dtype=np.int64).reshape(port.shape) for row in rows],
            )
            for i, port in enumerate(model.outputs)
        }
        found |= {name: np.asarray(graph.constants[name]) for name in graph.outputs if name in graph.constants}
        return {name: np.asarray(inputs[name]) for name in graph.inputs} | found if every else found

    return run


def _witnesses(model: Model, arguments: dict[str, Any], taken: list[dict[str, np.ndarray]]) -> list[list[list[int]]]:
    """The outputs of each sample, in the model's order."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_model(model, arguments, folder)
        stems = [f"{i:06}" for i in range(len(taken))]
        for stem, sample in zip(stems, taken, strict=True):
            write_inputs(model, sample, folder / f"input.{stem}.json")
        tool.run(folder)
        return [integers(folder / f"witness.{stem}.json") for stem in stems]
