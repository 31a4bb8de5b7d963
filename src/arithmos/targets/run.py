"""Run a graph on arrays: one function for the float graph, the interpreter and every target."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any, Literal, overload

import numpy as np

from arithmos.device import find_device
from arithmos.errors import UsageError
from arithmos.ir.border import admit, named_inputs
from arithmos.ir.graph import Graph, require_graph
from arithmos.ir.interpret import evaluate
from arithmos.targets import clear
from arithmos.targets.target import Runner, find, preflight


@overload
def run(
    graph: Graph, inputs: Any, *, target: str | None = ..., every: Literal[True], dtype: type | str = ...
) -> dict[str, np.ndarray]: ...
@overload
def run(
    graph: Graph, inputs: Any, *, target: str | None = ..., every: Literal[False] = ..., dtype: type | str = ...
) -> Any: ...
def run(
    graph: Graph, inputs: Any, *, target: str | None = None, every: bool = False, dtype: type | str = np.float32
) -> Any:
    """The network's output for a batch: integers for an integer graph, `dtype` for a float or polynomial graph.

    inputs: an array or tensor (batch first), a tuple of them in the network's order, or {name: array}. Float images
    given to an integer graph are rounded to the input's grid; integer arrays are range-checked and used as they are.
    Returns the output array, {name: array} where there are several outputs, or every value by name with `every=True`.
    target: the interpreter by default; for a polynomial graph it is `clear`, in float32 on torch, which takes float
    graphs too. All others run integers, the same ones as the interpreter, in the type that suits them.
    Raises UsageError for inputs that do not fit, UnsupportedNetwork listing every node the target lacks, MissingTool,
    RangeEscape where a value leaves the interval of its polynomial.
    """
    require_graph(graph)
    arrays = admit(graph, named_inputs(graph, inputs))
    if graph.op_set == "int":
        results = prepared(graph, find(target or "interpreter").name, every)(arrays)
    else:
        results = _real(graph, arrays, target, every, _float_type(dtype))
    if every:
        return results
    return results[graph.outputs[0]] if len(graph.outputs) == 1 else {name: results[name] for name in graph.outputs}


def _real(
    graph: Graph, arrays: Mapping[str, np.ndarray], target: str | None, every: bool, kind: type
) -> dict[str, np.ndarray]:
    named = target or ("clear" if graph.op_set == "poly" and kind is np.float32 else "interpreter")
    chosen, at, device = str(named).partition("@")
    if chosen == clear.NAME and kind is np.float32:
        return clear.outputs(graph, arrays, every=every, device=find_device(device) if at else "cpu")
    if chosen == "interpreter":
        with np.errstate(all="ignore"):  # what overflows is infinite, as in torch
            return evaluate(graph, arrays, every=every, dtype=kind)
    if chosen == clear.NAME:
        raise UsageError(
            "target 'clear' computes in float32",
            why="it is the fast way; the interpreter computes in float64 too",
            fix='leave dtype out, or give target="interpreter"',
        )
    name = "polynomial" if graph.op_set == "poly" else "float"
    raise UsageError(
        f"target '{chosen}' runs integer graphs, this one is a {name} graph",
        why="targets execute exact integers",
        fix="call ar.quantize first, or leave the target out",
    )


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
