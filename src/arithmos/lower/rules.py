"""float op -> integer ops: one rule an op, in one table. A missing row is what `unsupported` reports."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from arithmos.approx.tables import FUNCTIONS, entries
from arithmos.ir.border import round_to_grid
from arithmos.ir.graph import Graph, Node
from arithmos.ir.ops.norm import window_sizes
from arithmos.ir.ops.op import broadcast
from arithmos.lower.choice import weight_owner
from arithmos.lower.derived import Derived, along, owners
from arithmos.lower.factor import Factor, constant, of_step
from arithmos.lower.form import Form, Term, plus, single, times
from arithmos.lower.grids import levels_of, nearest_level
from arithmos.lower.lowering import UNBOUNDED, Lowering
from arithmos.quant.observe import SENTINEL

Rule = Callable[[Lowering, Node], Form]


def _weighted(state: Lowering, node: Node) -> Form:
    """acc = sum of w_q * x_q + b_q, with factor x_step * w_step per output channel."""
    value, step = state.integer(node.inputs[0])
    weight, chosen = state.weights(node.output, node.inputs[1], step, node.output)
    axis = 1 - len(state.value(node.output).shape) if node.op == "conv" else -1
    owner = weight_owner(node.output)
    inputs = [value, weight]
    if chosen.bias is not None:
        unit = step * of_step(owner, chosen.steps)
        inputs.append(state.derive(f"{node.output}.bias", _bias(state, node, chosen.bias, unit), node.output, unit))
    factor = step * of_step(owner, along(chosen.steps, axis))
    name = f"{node.output}.acc"
    acc = state.emit(node.op, *inputs, origin=node.output, name=name, factor=factor, **node.attrs)
    return single(acc, factor)


def _bias(state: Lowering, node: Node, bias: np.ndarray, unit: Factor) -> Derived:
    """bias / unit; the source is the layer's own bias unless a correction has changed it."""
    own = state.array(node.inputs[2]) if len(node.inputs) > 2 else None
    named = own is not None and np.array_equal(own, bias)
    gain = float(unit.inverse.coefficient)
    return Derived(node.inputs[2] if named else bias, owners(unit.inverse), gain=gain)


def _matmul(state: Lowering, node: Node) -> Form:
    (a, a_step), (b, b_step) = (state.integer(name) for name in node.inputs)
    factor = a_step * b_step
    return single(state.emit("matmul", a, b, origin=node.output, name=f"{node.output}.acc", factor=factor), factor)


def _batch_norm(state: Lowering, node: Node) -> Form:
    gamma, beta, mean, var = (np.asarray(state.array(name)) for name in node.inputs[1:])
    axes = (-1, *[1] * (len(state.value(node.output).shape) - 2))
    gain = gamma / np.sqrt(var + node.attrs["eps"])
    form = times(state.operand(node.inputs[0]), gain.reshape(axes))
    return Form(form.terms, form.offset + (beta - mean * gain).reshape(axes))


def _add(state: Lowering, node: Node) -> Form:
    return plus(state.operand(node.inputs[0]), state.operand(node.inputs[1]))


def _sub(state: Lowering, node: Node) -> Form:
    return plus(state.operand(node.inputs[0]), times(state.operand(node.inputs[1]), -1.0))


def _mul(state: Lowering, node: Node) -> Form:
    """A constant factor is free: it goes into the form. Two computed values are multiplied as integers."""
    for one, other in (node.inputs, node.inputs[::-1]):
        gain = state.array(one)
        if gain is not None:
            return times(state.operand(other), gain)
    (a, a_step), (b, b_step) = (state.integer(name) for name in node.inputs)
    factor = a_step * b_step
    return single(state.emit("mul", a, b, origin=node.output, name=f"{node.output}.acc", factor=factor), factor)


def _div(state: Lowering, node: Node) -> Form:
    divisor = state.array(node.inputs[1])
    assert divisor is not None, "unsupported() refuses a computed divisor"
    return times(state.operand(node.inputs[0]), 1.0 / divisor)


def _clip_to(state: Lowering, node: Node, lo: float | None, hi: float | None) -> Form:
    """On the grid of the result, with the bounds rounded to it; integers that are narrow already keep their grid."""
    source, name = node.inputs[0], node.output
    if state.is_narrow(source):
        value, step = state.integer(source)
        bounds = {side: None if x is None else nearest_level(x, float(step)) for side, x in (("lo", lo), ("hi", hi))}
        return single(state.emit("clip", value, origin=name, name=name, factor=step, **bounds), step)
    grid, step = state.grids[name], state.grid_step(name)
    levels = levels_of(grid.step, lo, hi, grid.range)
    return single(state.requantize(state.forms[source], step, levels, origin=name, name=name), step)


def _relu(state: Lowering, node: Node) -> Form:
    return _clip_to(state, node, 0.0, None)


def _clip(state: Lowering, node: Node) -> Form:
    return _clip_to(state, node, node.attrs["lo"], node.attrs["hi"])


def _function(state: Lowering, node: Node) -> Form:
    """A table over the whole proven range of the argument's integers."""
    value, before = state.integer(node.inputs[0])
    grid, step, domain = state.grids[node.output], state.grid_step(node.output), state.range(value)
    table = entries(node.op, float(before), domain, grid.step, grid.range, **node.attrs)
    state.fixed.update(owners(before), owners(step))
    column = state.constant(f"{node.output}.entries", table, node.output, step)
    attrs = {"offset": domain.lo, "axis": None}
    return single(state.emit("table", value, column, origin=node.output, name=node.output, factor=step, **attrs), step)


def _on_one_step(state: Lowering, name: str) -> tuple[str, Factor]:
    """The integers of a form that already has one step, however wide; else narrow ones."""
    step = state.forms[name].step
    return state.integer(name) if step is None else (state.forms[name].value, step)


def _moved(state: Lowering, node: Node) -> Form:
    """Layout ops and maxima over axes move integers of one step, however wide they are."""
    value, step = _on_one_step(state, node.inputs[0])
    return single(state.emit(node.op, value, origin=node.output, name=node.output, factor=step, **node.attrs), step)


def _pad(state: Lowering, node: Node) -> Form:
    value, step = _on_one_step(state, node.inputs[0])
    levels = state.range(value) if abs(node.attrs["fill"]) >= SENTINEL else UNBOUNDED
    fill = int(round_to_grid(np.asarray(node.attrs["fill"]), float(step), levels))
    attrs = {"margins": node.attrs["margins"], "fill": fill}
    return single(state.emit("pad", value, origin=node.output, name=node.output, factor=step, **attrs), step)


def _max_pool(state: Lowering, node: Node) -> Form:
    """Maxima commute with positive factors per channel, so accumulators are pooled before they are rounded."""
    form = state.forms[node.inputs[0]]
    factor = form.terms[0].factor if len(form.terms) == 1 else None
    if (
        factor is not None
        and np.all(factor.array > 0)
        and _per_channel(factor.array, len(state.value(node.inputs[0]).shape))
        and form.offset.ndim == 0
    ):
        name = node.output if form.step is not None else f"{node.output}.max"
        value = state.emit("max_pool", form.value, origin=node.output, name=name, factor=factor, **node.attrs)
        return Form((Term(value, factor),), form.offset)
    value, step = state.integer(node.inputs[0])
    return single(state.emit("max_pool", value, origin=node.output, name=node.output, factor=step, **node.attrs), step)


def _per_channel(factor: np.ndarray, rank: int) -> bool:
    """Whether the factor varies along axis 1 alone, or not at all."""
    shape = (1,) * (rank - factor.ndim) + factor.shape
    return all(extent == 1 for axis, extent in enumerate(shape) if axis != 1)


def _avg_pool(state: Lowering, node: Node) -> Form:
    """A window sum whose division goes into the factor."""
    value, step = state.integer(node.inputs[0])
    attrs = dict(node.attrs)
    divisor, count_padding = attrs.pop("divisor"), attrs.pop("count_padding")
    sizes: np.ndarray | float = math.prod(attrs["kernel"])
    if divisor is not None:
        sizes = float(divisor)
    elif not count_padding:
        sizes = window_sizes(state.value(node.inputs[0]).shape, **attrs).astype(np.float64)
    total = state.emit("sum_pool", value, origin=node.output, name=f"{node.output}.sum", factor=step, **attrs)
    return single(total, step / constant(sizes))


def _reduce_mean(state: Lowering, node: Node) -> Form:
    count = math.prod(state.value(node.inputs[0]).shape[axis] for axis in node.attrs["axes"])
    return times(_reduce_sum(state, node), 1.0 / count)


def _reduce_sum(state: Lowering, node: Node) -> Form:
    value, step = state.integer(node.inputs[0])
    return single(
        state.emit("reduce_sum", value, origin=node.output, name=f"{node.output}.sum", factor=step, **node.attrs), step
    )


def _argmax(state: Lowering, node: Node) -> Form:
    value, _ = state.align(node.inputs[0])
    return single(state.emit("argmax", value, origin=node.output, name=node.output, **node.attrs), constant(1.0))


def _on_grid_of(state: Lowering, name: str, origin: str) -> str:
    """The value as integers of the join's step: as they are where the step is theirs, else rounded to it."""
    step = state.grid_step(origin)
    if name in state.graph.constants:
        return state.derive(name, _rounded(state, name, origin), origin, step)
    return state.rescaled(name, step, origin)


def _rounded(state: Lowering, name: str, origin: str) -> Derived:
    """A constant on the grid of `origin`."""
    return Derived(name, {state.grids[origin].owner: -1}, state.grids[origin].range)


def _joined(state: Lowering, node: Node) -> Form:
    step = state.grid_step(node.output)
    values = [_on_grid_of(state, name, node.output) for name in node.inputs]
    return single(state.emit(node.op, *values, origin=node.output, name=node.output, factor=step, **node.attrs), step)


def _where(state: Lowering, node: Node) -> Form:
    mask, step = state.array(node.inputs[0]), state.grid_step(node.output)
    assert mask is not None, "unsupported() refuses a computed condition"
    values = [_on_grid_of(state, name, node.output) for name in node.inputs[1:]]
    condition = state.constant(node.inputs[0], (mask != 0).astype(np.int64), node.output)
    return single(state.emit("where", condition, *values, origin=node.output, name=node.output, factor=step), step)


def _expand(state: Lowering, node: Node) -> Form:
    step = state.grid_step(node.output)
    value = _on_grid_of(state, node.inputs[0], node.output)
    like, _ = state.integer(node.inputs[1])
    return single(state.emit("expand", value, like, origin=node.output, name=node.output, factor=step), step)


def _gather(state: Lowering, node: Node) -> Form:
    """Rows of a matrix on the grid of the result; the indices are integers already."""
    step = state.grid_step(node.output)
    rows = state.derive(node.inputs[0], _rounded(state, node.inputs[0], node.output), node.output, step)
    indices = state.array(node.inputs[1])
    index = (
        state.forms[node.inputs[1]].value if indices is None else state.constant(node.inputs[1], indices, node.output)
    )
    return single(state.emit("gather", rows, index, origin=node.output, name=node.output, factor=step), step)


RULES: dict[str, Rule] = {
    "conv": _weighted,
    "linear": _weighted,
    "matmul": _matmul,
    "batch_norm": _batch_norm,
    "add": _add,
    "sub": _sub,
    "mul": _mul,
    "div": _div,
    "relu": _relu,
    "clip": _clip,
    "max_pool": _max_pool,
    "avg_pool": _avg_pool,
    "reduce_sum": _reduce_sum,
    "reduce_mean": _reduce_mean,
    "reduce_max": _moved,
    "argmax": _argmax,
    "reshape": _moved,
    "transpose": _moved,
    "slice": _moved,
    "pad": _pad,
    "concat": _joined,
    "maximum": _joined,
    "where": _where,
    "expand": _expand,
    "gather": _gather,
    **{name: _function for name in FUNCTIONS if name != "relu"},
}

MUST_BE_CONSTANT = {
    "conv": (1, 2),
    "linear": (1, 2),
    "batch_norm": (1, 2, 3, 4),
    "div": (1,),
    "where": (0,),
    "gather": (0,),
}
"""Inputs that the rules need as constants, by position."""

GROWN_BY_CONSTANTS = frozenset({"add", "sub", "mul", "div", "batch_norm"})
"""Ops whose constants go into the form of the other operand, which keeps its shape."""

HINTS = {
    "softmax": "no rule expands it into integers yet",
    "layer_norm": "no rule expands it into integers yet",
    "group_norm": "replace it by batch norm, which folds into the convolution",
    "div": "divide by a constant, or multiply by a reciprocal",
}


def unsupported(graph: Graph, node: Node) -> str:
    """Why the node cannot become integers, "" if it can."""
    if node.op not in RULES:
        return f"'{node.op}' has no integer rule ({HINTS.get(node.op, 'write it by supported ops')})"
    positions = [i for i in MUST_BE_CONSTANT.get(node.op, ()) if i < len(node.inputs)]
    if any(node.inputs[i] not in graph.constants for i in positions):
        hint = HINTS.get(node.op, "its parameters must be constants")
        return f"'{node.op}' of computed values has no integer rule ({hint})"
    computed = [graph.values[name].shape for name in node.inputs if name not in graph.constants]
    if node.op in GROWN_BY_CONSTANTS and broadcast(*computed) != graph.values[node.output].shape:
        return f"'{node.op}' by a constant of more elements than the value has no integer rule (expand the value first)"
    return ""
