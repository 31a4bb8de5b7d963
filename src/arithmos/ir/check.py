"""The checker: everything a graph promises, proven again from its nodes."""

from __future__ import annotations

import numpy as np

from arithmos.errors import ArithmosError, RangeError
from arithmos.ir.build import prove
from arithmos.ir.graph import Graph, Node, Value
from arithmos.ir.interval import INT64, Interval, interval_of, narrowest_dtype
from arithmos.ir.ops import OP_SETS
from arithmos.ir.ops.op import ShapeError
from arithmos.ir.ops.polynomial import problems_of_stages
from arithmos.ir.scale import problem_of_scale


def check(graph: Graph) -> None:
    """Raise ArithmosError with every broken promise: names, order, ops, shapes, ranges (recomputed), int64."""
    problems = list(problems_of(graph))
    if problems:
        raise ArithmosError(
            f"the graph breaks {len(problems)} of its promises",
            why="\n       ".join(problems[:12] + (["…"] if len(problems) > 12 else [])),
            fix="make the graph again from the network; if arithmos wrote it so, this is a defect of arithmos",
        )


def problems_of(graph: Graph) -> list[str]:
    """Every broken promise in one line each; empty for a sound graph."""
    if graph.op_set not in tuple(OP_SETS):
        return [f"there is no op set '{graph.op_set}', there are {', '.join(OP_SETS)}"]
    problems: list[str] = []
    known: dict[str, Value] = {}
    for name in (*graph.inputs, *graph.constants):
        if name not in graph.values:
            problems.append(f"'{name}' has no value entry")
        elif name in known:
            problems.append(f"'{name}' is defined twice")
        else:
            known[name] = graph.values[name]
    for name, array in graph.constants.items():
        if name in known and known[name].shape != array.shape:
            problems.append(f"constant '{name}' has shape {array.shape}, its entry says {known[name].shape}")
        if name in known and graph.op_set == "int":
            problems.extend(_integer_problems(name, array, known[name].range))
    for name in graph.inputs:
        if name in known and (known[name].range is None) != (graph.op_set != "int"):
            problems.append(f"input '{name}' has the range {known[name].range} in a {graph.op_set} graph")
        elif name in known and (interval := known[name].range) is not None and interval not in INT64:
            problems.append(f"input '{name}' needs {interval.bits} bits, int64 has 64")
    for node in graph.nodes:
        missing = [name for name in node.inputs if name not in known]
        if missing:
            problems.append(f"'{node.output}' reads {missing} before they are computed")
        elif node.output in known or node.output not in graph.values:
            problems.append(
                f"'{node.output}' is {'defined twice' if node.output in known else 'without a value entry'}"
            )
        else:
            problems.extend(_node_problems(graph, node.output, node, known))
        if node.output in graph.values:
            known.setdefault(node.output, graph.values[node.output])
    for name, value in graph.values.items():
        if value.scale is not None and (why := problem_of_scale(value.scale, value.shape)):
            problems.append(f"'{name}': {why}")
    problems.extend(f"output '{name}' is not computed" for name in graph.outputs if name not in known)
    problems.extend(
        f"value '{name}' belongs to no node, input or constant" for name in graph.values if name not in known
    )
    return problems


def _integer_problems(name: str, array: np.ndarray, claimed: Interval | None) -> list[str]:
    if array.dtype.kind not in "iu":
        return [f"constant '{name}' holds {array.dtype}, not integers"]
    interval = interval_of(array)
    problems = [f"constant '{name}' spans {interval}, its entry says {claimed}"] if claimed != interval else []
    if interval not in INT64:
        problems.append(f"constant '{name}' needs {interval.bits} bits, int64 has 64")
    elif array.dtype != narrowest_dtype(interval):
        problems.append(f"constant '{name}' holds {array.dtype}, its narrowest type is {narrowest_dtype(interval)}")
    return problems


def _node_problems(graph: Graph, name: str, node: Node, known: dict[str, Value]) -> list[str]:
    value = graph.values[name]
    try:
        shape, interval = prove(node, graph.op_set, known, graph.constants)
    except (ShapeError, RangeError) as error:
        return [f"'{name}': {error}"]
    except ArithmosError as error:
        return [f"'{name}': {error.what}"]
    problems = []
    if node.op == "polynomial":
        stages = [graph.constants.get(stage) for stage in node.inputs[1:]]
        problems += [f"'{name}': {problem}" for problem in problems_of_stages(stages)]
    if shape != value.shape:
        problems.append(f"'{name}' has shape {shape}, its entry says {value.shape}")
    if interval != value.range:
        problems.append(f"'{name}' is proven to be in {interval}, its entry says {value.range}")
    if interval is not None and interval not in INT64:
        problems.append(f"'{name}' needs {interval.bits} bits, int64 has 64")
    return problems
