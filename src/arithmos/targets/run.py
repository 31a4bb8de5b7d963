"""Run a graph on arrays: one function for the float graph, the interpreter and every target."""

from __future__ import annotations

from functools import lru_cache
from typing import Any, Literal, overload

import numpy as np

from arithmos.errors import UsageError
from arithmos.ir.border import admit, named_inputs
from arithmos.ir.graph import Graph, require_graph
from arithmos.ir.interpret import evaluate
from arithmos.targets.target import Runner, find, preflight


@overload
def run(
    graph: Graph, inputs: Any, *, target: str = ..., every: Literal[True], dtype: type | str = ...
) -> dict[str, np.ndarray]: ...
@overload
def run(
    graph: Graph, inputs: Any, *, target: str = ..., every: Literal[False] = ..., dtype: type | str = ...
) -> Any: ...
def run(
    graph: Graph, inputs: Any, *, target: str = "interpreter", every: bool = False, dtype: type | str = np.float32
) -> Any:
    """The network's output for a batch: integers for an integer graph, `dtype` for a float graph.

    inputs: an array or tensor (batch first), a tuple of them in the network's order, or {name: array}. Float images
    given to an integer graph are rounded to the input's grid; integer arrays are range-checked and used as they are.
    Returns the output array, {name: array} where there are several outputs, or every value by name with `every=True`.
    Targets return the same integers as the interpreter, in the type that suits them.
    Raises UsageError for inputs that do not fit, UnsupportedNetwork listing every node the target lacks, MissingTool.
    """
    require_graph(graph)
    arrays = admit(graph, named_inputs(graph, inputs))
    if graph.op_set == "float":
        if target != "interpreter":
            raise UsageError(
                f"target '{target}' runs integer graphs, this one is a float graph",
                why="targets execute exact integers",
                fix="call ar.quantize first, or leave the target out",
            )
        with np.errstate(all="ignore"):  # what overflows is infinite, as in torch
            results = evaluate(graph, arrays, every=every, dtype=_float_type(dtype))
    else:
        results = prepared(graph, find(target).name, every)(arrays)
    if every:
        return results
    return results[graph.outputs[0]] if len(graph.outputs) == 1 else {name: results[name] for name in graph.outputs}


@lru_cache(maxsize=8)
def prepared(graph: Graph, target: str, every: bool) -> Runner:
    """The target's runner for this graph; the last eight are kept, because making one may mean compiling."""
    found = find(target)
    preflight(graph, found)
    return found.prepare(graph, every)


def _float_type(dtype: type | str) -> type:
    """float32 or float64, by itself or by name."""
    try:
        found = np.dtype(dtype).type
    except TypeError:
        found = None
    if found not in (np.float32, np.float64):
        raise UsageError(
            f"a float graph cannot be run in '{dtype}'",
            why="it is evaluated in float32 or float64",
            fix="give dtype=np.float32 or dtype=np.float64",
        )
    return found
