"""Float and polynomial networks in clear, in float32 on torch: fast enough for whole test sets."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Any

import numpy as np

from arithmos.extras import require
from arithmos.ir.border import admit, named_inputs
from arithmos.ir.graph import Graph

NAME = "clear"


@lru_cache(maxsize=8)
def prepared(graph: Graph, device: str = "cpu") -> Any:
    """The graph ready to run (targets/clear/network.py), the last eight kept. Raises MissingTool without torch."""
    require("torch", "torch")
    return require("arithmos.targets.clear.network", "torch").Network(graph, device)


def stream(graph: Graph, inputs: Any, *, first_image: int = 0, device: str = "cpu") -> Iterator[tuple[str, np.ndarray]]:
    """Every value in graph order, inputs first, as float32; each is forgotten after its last reader.

    inputs: in any form that ar.run takes. first_image: what the first image is called in a RangeEscape.
    Raises UsageError for inputs that do not fit, RangeEscape, MissingTool without torch.
    """
    found: Iterator[tuple[str, np.ndarray]] = prepared(graph, device).stream(
        admit(graph, named_inputs(graph, inputs)), first_image=first_image
    )
    return found


def outputs(
    graph: Graph, inputs: Mapping[str, np.ndarray], *, every: bool = False, first_image: int = 0, device: str = "cpu"
) -> dict[str, np.ndarray]:
    """The outputs by name, or every value, of inputs that were admitted. Raises like `stream`."""
    ready = prepared(graph, device)
    if every:
        return dict(ready.stream(inputs, first_image=first_image))
    found: dict[str, np.ndarray] = ready.outputs(inputs, first_image=first_image)
    return found
