"""The rank of the right class among the outputs of a classifier: 0 where it is the prediction."""

from __future__ import annotations

import numpy as np

from arithmos.extras import require
from arithmos.ir.graph import Graph

BATCH = 100


def ranks(graph: Graph, images: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """The rank of each image's label in a float network run in float32 on torch. Raises MissingTool without torch."""
    network = require("arithmos.targets.clear.network", "torch").Network(graph)
    starts = range(0, len(images), BATCH)
    outputs = (network.outputs({graph.inputs[0]: images[s : s + BATCH]})[graph.outputs[0]] for s in starts)
    return np.concatenate([ranks_in(y, labels[s : s + BATCH]) for s, y in zip(starts, outputs, strict=True)])


def ranks_in(outputs: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """How many classes come before the label: greater ones, equal ones before it (as argmax chooses), and NaN.

    outputs: (images, classes); labels: (images,).
    """
    own = outputs[np.arange(len(labels)), labels][:, None]
    before = (outputs == own) & (np.arange(outputs.shape[1]) < labels[:, None])
    return np.asarray((~(outputs <= own) | before).sum(axis=1))


def top(found: np.ndarray, k: int) -> float:
    """The share of ranks below k: top-1 and top-5 accuracy."""
    return float((found < k).mean())
