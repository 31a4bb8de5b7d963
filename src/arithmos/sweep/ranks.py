"""The ranks of the right classes in a float network, and what share of them lies in front."""

from __future__ import annotations

import numpy as np

from arithmos.evidence.ranks import ranks_in
from arithmos.extras import require
from arithmos.ir.graph import Graph

BATCH = 100


def ranks(graph: Graph, images: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """The rank of each image's label in a float network run in float32 on torch. Raises MissingTool without torch."""
    network = require("arithmos.targets.clear.network", "torch").Network(graph)
    starts = range(0, len(images), BATCH)
    outputs = (network.outputs({graph.inputs[0]: images[s : s + BATCH]})[graph.outputs[0]] for s in starts)
    return np.concatenate([ranks_in(y, labels[s : s + BATCH]) for s, y in zip(starts, outputs, strict=True)])


def top(found: np.ndarray, k: int) -> float:
    """The share of ranks below k: top-1 and top-5 accuracy."""
    return float((found < k).mean())
