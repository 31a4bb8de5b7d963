"""The engine's backends under test, and what each of them has to give."""

from __future__ import annotations

from importlib.util import find_spec

import numpy as np
import pytest

from arithmos.ir.graph import Graph
from arithmos.ir.interpret import evaluate
from arithmos.ir.interval import narrowest_dtype
from arithmos.targets.engine import prepare
from arithmos.targets.engine.backend import BACKENDS

needs_torch = pytest.mark.skipif(find_spec("torch") is None, reason='needs torch: pip install "arithmos[torch]"')
TESTED = [pytest.param(name, marks=[needs_torch] * (name == "torch")) for name in BACKENDS if name != "cuda"]
DIFFERENT = [p for p in TESTED if p.values[0] in ("native", "plain", "torch", "numpy")]
"""Backends that differ in more than the width of a vector."""


def assert_same(graph: Graph, inputs: dict[str, np.ndarray], backend: str, threads: int = 0) -> None:
    """Fused and value by value, in the narrowest types, in graph order."""
    want = evaluate(graph, inputs, every=True)
    outputs = prepare(graph, False, backend=backend, threads=threads)(inputs)
    assert list(outputs) == list(dict.fromkeys(graph.outputs))
    for name, array in outputs.items():
        np.testing.assert_array_equal(array, want.get(name, graph.constants.get(name)), err_msg=f"{name}, fused")
    every = prepare(graph, True, backend=backend, threads=threads)(inputs)
    assert list(every) == list(want)
    for name, array in every.items():
        np.testing.assert_array_equal(array, want[name], err_msg=name)
        interval = graph.values[name].range
        assert interval is not None and array.dtype == narrowest_dtype(interval), name
