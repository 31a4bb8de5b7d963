"""A float graph in terms of sums, products, relu and smooth functions: the form in which polynomials replace them."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from arithmos.ir.graph import Graph, Node
from arithmos.ir.ops.norm import window_sizes
from arithmos.lower.tournament import maximum, tournament
from arithmos.passes.rename import rename
from arithmos.passes.rewrite import Rewriter, rewrite

Rule = Callable[[Rewriter, Node], str | None]


@dataclass(frozen=True, slots=True)
class Expanded:
    """An expanded graph, and the value of the original whose elements each difference compares, by the difference."""

    graph: Graph
    compared: dict[str, str]


def expand(graph: Graph, *, exact_maxima: bool = False) -> Expanded:
    """The same function, exactly in the reals: every rule below is an identity. Values that stay keep their names.

    batch_norm, avg_pool, reduce_mean, div by constants -> sums times constants; clip and leaky_relu -> sums of relu;
    max_pool and maximum -> b + relu(a - b), unless exact_maxima. What no rule takes is left as it is.
    """
    results: dict[str, str] = {}

    def kept(rule: Rule) -> Rule:
        def run(state: Rewriter, node: Node) -> str | None:
            result = rule(state, node)
            if result is not None and result.startswith(f"{node.output}."):
                results[result] = node.output
            return result

        return run

    rules = {**AFFINE, **PIECEWISE, **({} if exact_maxima else MAXIMA)}
    expanded = rename(rewrite(graph, {op: kept(rule) for op, rule in rules.items()}), results)
    compared = {
        node.inputs[0]: origin.inputs[0]
        for origin in graph.nodes
        if origin.op in MAXIMA and not exact_maxima
        for node in expanded.nodes
        if node.op == "relu" and node.output.startswith(f"{origin.output}.excess")
    }
    return Expanded(expanded, compared)


def _batch_norm(state: Rewriter, node: Node) -> str | None:
    parameters = [state.array(name) for name in node.inputs[1:]]
    if any(p is None for p in parameters):
        return None
    gamma, beta, mean, var = (np.asarray(p, dtype=np.float64) for p in parameters)
    gain = gamma / np.sqrt(var + node.attrs["eps"])
    axes = (-1, *[1] * (len(state.graph.values[node.output].shape) - 2))
    scaled = _times(state, node, state.use(node.inputs[0]), gain.reshape(axes), f"{node.output}.scaled")
    return _plus(state, node, scaled, (beta - mean * gain).reshape(axes), node.output)


def _avg_pool(state: Rewriter, node: Node) -> str:
    attrs = dict(node.attrs)
    divisor, count_padding = attrs.pop("divisor"), attrs.pop("count_padding")
    sizes: np.ndarray | float = divisor or math.prod(attrs["kernel"])
    if not divisor and not count_padding:
        sizes = window_sizes(state.graph.values[node.inputs[0]].shape, **attrs).astype(np.float64)
    like = state.graph.values[node.output]
    total = state.emit("sum_pool", state.use(node.inputs[0]), like=like, name=f"{node.output}.sum", **attrs)
    return _times(state, node, total, 1 / np.asarray(sizes), node.output)


def _reduce_mean(state: Rewriter, node: Node) -> str:
    like, shape = state.graph.values[node.output], state.graph.values[node.inputs[0]].shape
    total = state.emit("reduce_sum", state.use(node.inputs[0]), like=like, name=f"{node.output}.sum", **node.attrs)
    return _times(state, node, total, 1 / np.asarray(math.prod(shape[a] for a in node.attrs["axes"])), node.output)


def _div(state: Rewriter, node: Node) -> str | None:
    divisor = state.array(node.inputs[1])
    if divisor is None or not np.all(divisor):
        return None
    return _times(state, node, state.use(node.inputs[0]), 1 / divisor.astype(np.float64), node.output)


def _clip(state: Rewriter, node: Node) -> str:
    """clip(x, lo, hi) = lo + relu(x - lo) - relu(x - hi); a side that is open has no term."""
    x, lo, hi = state.use(node.inputs[0]), node.attrs["lo"], node.attrs["hi"]
    low = x if lo is None else _plus(state, node, _over(state, node, x, lo), np.asarray(lo), f"{node.output}.low")
    if hi is None:
        return low
    return state.emit("sub", low, _over(state, node, x, hi), like=state.graph.values[node.output])


def _over(state: Rewriter, node: Node, x: str, threshold: float) -> str:
    """relu(x - threshold)."""
    moved = _plus(state, node, x, np.asarray(-threshold), f"{node.output}.over") if threshold else x
    return state.emit("relu", moved, like=state.graph.values[node.output], name=f"{node.output}.relu")


def _leaky_relu(state: Rewriter, node: Node) -> str:
    """slope x + (1 - slope) relu(x)."""
    slope, x = node.attrs["slope"], state.use(node.inputs[0])
    steep = _times(state, node, _over(state, node, x, 0.0), np.asarray(1 - slope), f"{node.output}.steep")
    flat = _times(state, node, x, np.asarray(slope), f"{node.output}.flat")
    return state.emit("add", flat, steep, like=state.graph.values[node.output])


def _maximum(state: Rewriter, node: Node) -> str:
    return maximum(state, node, *(state.use(name) for name in node.inputs))


def _times(state: Rewriter, node: Node, x: str, factor: np.ndarray, name: str) -> str:
    return _with_constant(state, node, "mul", x, factor, name)


def _plus(state: Rewriter, node: Node, x: str, term: np.ndarray, name: str) -> str:
    return _with_constant(state, node, "add", x, term, name)


def _with_constant(state: Rewriter, node: Node, op: str, x: str, array: np.ndarray, name: str) -> str:
    like = state.graph.values[node.output]
    constant = state.constant(f"{name}.constant", np.asarray(array, dtype=np.float32), like.source)
    return state.emit(op, x, constant, like=like, name=name)


AFFINE: dict[str, Rule] = {"batch_norm": _batch_norm, "avg_pool": _avg_pool, "reduce_mean": _reduce_mean, "div": _div}
PIECEWISE: dict[str, Rule] = {"clip": _clip, "leaky_relu": _leaky_relu}
MAXIMA: dict[str, Rule] = {"max_pool": tournament, "maximum": _maximum}
