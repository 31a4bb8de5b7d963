"""A small residual CNN with its statistics, and how far its integers are from its floats."""

from __future__ import annotations

import numpy as np

import factories
from arithmos.ir.border import admit
from arithmos.ir.graph import Graph
from arithmos.ir.interpret import evaluate
from arithmos.ir.scale import as_float
from arithmos.lower.calibrate import Stats, calibrate

CALIBRATION, TEST = factories.images(64), factories.images(32, seed=2)
CACHE: dict[tuple[int, bool], tuple[Graph, Stats]] = {}


def trained(seed: int = 0, batch_norm: bool = True) -> tuple[Graph, Stats]:
    """A float CNN and its statistics, made once."""
    if (seed, batch_norm) not in CACHE:
        graph = factories.float_cnn(seed, batch_norm=batch_norm)
        CACHE[seed, batch_norm] = graph, calibrate(graph, [CALIBRATION])
    return CACHE[seed, batch_norm]


def integers(net: Graph, x: np.ndarray = CALIBRATION) -> dict[str, np.ndarray]:
    return evaluate(net, admit(net, {"x": x}), every=True)


def relative_error(graph: Graph, net: Graph) -> float:
    """RMS error of the logits over their RMS, where nothing is outside the calibrated range."""
    value = net.values[net.outputs[0]]
    assert value.scale is not None
    y = integers(net)[value.name] * as_float(value.scale)
    real = evaluate(graph, {"x": CALIBRATION}, dtype=np.float64)[graph.outputs[0]]
    return float(np.sqrt(np.mean((y - real) ** 2) / np.mean(real**2)))
