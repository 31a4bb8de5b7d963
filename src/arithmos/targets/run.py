"""Run a graph on arrays: one function for the float graph, the interpreter and every target."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any, Literal, overload

import numpy as np

from arithmos.errors import UsageError
from arithmos.ir.border import admit, as_array
from arithmos.ir.graph import Graph
from arithmos.ir.interpret import evaluate
from arithmos.targets.target import Runner, find, preflight


@overload
def run(
    graph: Graph, inputs: Any, *, target: str = ..., every: Literal[True], dtype: type = ...
) -> dict[str, np.ndarray]: ...
@overload
def run(graph: Graph, inputs: Any, *, target: str = ..., every: Literal[False] = ..., dtype: type = ...) -> Any: ...
def run(
    graph: Graph, inputs: Any, *, target: str = "interpreter", every: bool = False, dtype: type = np.float32
) -> Any:
    """The network's output for a batch: integers for an integer graph, `dtype` for a float graph.

    inputs: one array or tensor (batch first) for a network of one input, else {name: array}. Float images given to an
    integer graph are rounded to the input's grid; integer arrays are range-checked and used as they are. Returns the
    output array, {name: array} where there are several outputs, or every value by name with `every=True`. Targets
    return the same integers as the interpreter, in the type that suits them.
    Raises UsageError for inputs that do not fit, UnsupportedNetwork listing every node the target lacks, MissingTool.
    """
    arrays = admit(graph, named_inputs(graph, inputs))
    if graph.op_set == "float":
        if target != "interpreter":
            raise UsageError(
                f"target '{target}' runs integer graphs, this one is a float graph",
                why="targets execute exact integers",
                fix="call ar.quantize first, or leave the target out",
            )
        results = evaluate(graph, arrays, every=every, dtype=dtype)
    else:
        results = prepared(graph, target, every)(arrays)
    if every:
        return results
    return results[graph.outputs[0]] if len(graph.outputs) == 1 else {name: results[name] for name in graph.outputs}


@lru_cache(maxsize=8)
def prepared(graph: Graph, target: str, every: bool) -> Runner:
    """The target's runner for this graph; the last eight are kept, because making one may mean compiling."""
    found = find(target)
    preflight(graph, found)
    return found.prepare(graph, every)


def named_inputs(graph: Graph, inputs: Any) -> dict[str, np.ndarray]:
    """{name: array} of what the caller gave: one array for a network of one input, else a mapping."""
    if isinstance(inputs, Mapping):
        return {name: as_array(array) for name, array in inputs.items()}
    if len(graph.inputs) != 1:
        raise UsageError(
            f"the network has {len(graph.inputs)} inputs, one array was given",
            why=f"they are {', '.join(graph.inputs)}",
            fix="give a dictionary {name: array}",
        )
    return {graph.inputs[0]: as_array(inputs)}
