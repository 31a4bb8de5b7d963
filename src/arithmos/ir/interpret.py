"""The interpreter: the definition of correct. Short, slow, obvious; every other runner is compared with it by ==."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np

from arithmos.errors import UsageError
from arithmos.ir.border import fits
from arithmos.ir.escape import check_inside
from arithmos.ir.graph import Graph, Node, spent_after
from arithmos.ir.interval import interval_of
from arithmos.ir.ops import OP_SETS
from arithmos.ir.ops.op import Op


def interpret(
    graph: Graph,
    inputs: Mapping[str, np.ndarray],
    *,
    dtype: type = np.float32,
    ops: Mapping[str, Op] | None = None,
) -> Iterator[tuple[str, np.ndarray]]:
    """Every computed value in graph order, inputs first; integers as int64, floats as `dtype`
    (integers given to a float graph too, except where they are indices). ops: other rows that compute the same.

    A value is dropped after its last reader, so the memory is that of the live values. An integer that leaves its
    proven range, or an array of another shape, would be a defect of arithmos and stops the run: no silent wrap.
    Raises UsageError for inputs of a float graph that choose rows of a constant and are no such rows, RangeEscape where
    a value leaves the interval of its polynomial.
    """
    kind = np.int64 if graph.op_set == "int" else dtype
    whole = set() if graph.op_set == "int" else indices(graph)
    live = {name: _cast(inputs[name], kind, name in whole) for name in graph.inputs}
    yield from live.items()
    spent = spent_after(graph)
    table = ops or OP_SETS[graph.op_set]
    for node in graph.nodes:
        kept = whole if node.op == "gather" or node.output in whole else set()
        arrays = [_cast(live[n] if n in live else graph.constants[n], kind, n in kept) for n in node.inputs]
        if node.op == "gather" and graph.op_set == "float":
            _check_rows(graph, node, *arrays)
        if node.op == "polynomial":
            check_inside(graph, node, arrays[0])
            arrays[1:] = [graph.constants[n] for n in node.inputs[1:]]  # coefficients keep their float64
        result = table[node.op].run(*arrays, **node.attrs)
        value = graph.values[node.output]
        if not fits(value.shape, result.shape):
            raise AssertionError(f"{node.output} has the shape {result.shape}, inferred was {value.shape}")
        interval = value.range
        if interval is not None and interval_of(result) not in interval:
            raise AssertionError(f"{node.output} left its proven range {interval}: {interval_of(result)}")
        yield node.output, result
        live[node.output] = result
        for name in spent[node.output]:
            live.pop(name, None)


def evaluate(
    graph: Graph, inputs: Mapping[str, np.ndarray], *, every: bool = False, dtype: type = np.float32
) -> dict[str, np.ndarray]:
    """The outputs by name, or every value with `every=True` (constants excepted: they are in the graph)."""
    wanted = set(graph.outputs)
    results = {n: a for n, a in interpret(graph, inputs, dtype=dtype) if every or n in wanted}
    results |= {n: np.asarray(graph.constants[n]) for n in graph.outputs if n in graph.constants}
    return results if every else {name: results[name] for name in graph.outputs}


def indices(graph: Graph) -> set[str]:
    """The values of a float graph that choose rows of a gather, and what they are made of: they stay integers."""
    found: set[str] = set()
    for node in reversed(graph.nodes):
        if node.output in found and node.op != "argmax":
            found.update(node.inputs)
        if node.op == "gather":
            found.add(node.inputs[1])
    return found


def _check_rows(graph: Graph, node: Node, data: np.ndarray, chosen: np.ndarray) -> None:
    """In an integer graph the proven range says that there is such a row; here the input must be asked."""
    rows = len(data)
    if chosen.dtype.kind not in "iub":
        problem = f"they are {chosen.dtype}"
    elif chosen.size and not (-rows <= int(chosen.min()) and int(chosen.max()) < rows):
        problem = f"they span {interval_of(chosen)}, there are {rows} rows"
    else:
        return
    raise UsageError(
        f"'{node.inputs[1]}' does not choose rows of '{node.inputs[0]}'",
        where=str(graph.values[node.output].source),
        why=problem,
        fix="give integers from 0 on, each smaller than the number of rows",
    )


def _cast(array: np.ndarray, kind: type, whole: bool) -> np.ndarray:
    return array if whole and array.dtype.kind in "iub" else array.astype(kind, copy=False)
