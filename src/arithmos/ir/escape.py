"""The interval of a polynomial, held against what comes into it: outside, a composite explodes."""

from __future__ import annotations

import math

import numpy as np

from arithmos.errors import RangeEscape
from arithmos.ir.graph import Graph, Node

ROUND_UP = 1.001
"""The bound that would do is the largest magnitude and a little: float32 runs differ in the last bits."""


def check_inside(graph: Graph, node: Node, x: np.ndarray, first_image: int = 0) -> None:
    """Raise RangeEscape unless |x| <= bound everywhere; it names the first image that leaves, at its largest value.

    x: what goes into the polynomial, its batch axis as in the graph. first_image: index of the first one of the batch.
    """
    bound = node.attrs["bound"]
    if bound is None or (x.size and float(np.abs(x).max()) <= bound):
        return
    raise escape_of(graph, node, x, first_image)


def escape_of(graph: Graph, node: Node, x: np.ndarray, first_image: int = 0) -> RangeEscape:
    """The error for an x that leaves the interval; NaN is outside of every one."""
    value, bound = graph.values[node.inputs[0]], node.attrs["bound"]
    axis = next((a for a, extent in enumerate(value.shape) if extent < 0), None)
    images = np.moveaxis(x, axis, 0) if axis is not None else x[np.newaxis]
    magnitude = np.abs(images).reshape(len(images), -1)
    outside = ~(magnitude <= bound)
    image = int(outside.any(axis=1).argmax())
    broken = np.isnan(magnitude[image])
    worst = int(broken.argmax() if broken.any() else magnitude[image].argmax())
    peak = float(magnitude.max())
    return RangeEscape(
        value.name,
        where=str(graph.values[node.output].source),
        image=first_image + image // -(value.shape[axis] if axis is not None else -1),
        value=float(images[image].reshape(-1)[worst]),
        bound=bound,
        enough=peak * ROUND_UP if math.isfinite(peak) else math.inf,
    )
