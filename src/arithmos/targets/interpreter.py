"""The interpreter as a target, so that it can be named wherever a runner can."""

from __future__ import annotations

from functools import partial

from arithmos.ir.graph import Graph
from arithmos.ir.interpret import evaluate, interpret
from arithmos.ir.ops import INT
from arithmos.targets.target import Runner, Target


def _prepare(graph: Graph, every: bool) -> Runner:
    return partial(evaluate, graph, every=every)


TARGET = Target("interpreter", "numpy, int64: the definition of correct", INT, _prepare, stream=interpret)
