"""Requantizes with everything linear before them: multipliers, residual and one rounding become one step."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from arithmos.ir.graph import Node
from arithmos.ir.interval import ZERO, Interval, signed
from arithmos.targets.engine.affine import Affine, affine, magnitude
from arithmos.targets.engine.layers import Layer, emit_layer, last_two, layer_of
from arithmos.targets.engine.library import MAX_TERMS
from arithmos.targets.engine.orientation import Orientation, channel_axis, extents, per_channel
from arithmos.targets.engine.step import Join, Pool, Requantize, Tensor, Term

if TYPE_CHECKING:
    from arithmos.targets.engine.planner import Planner

MAX_SHIFT = 40


@dataclass(frozen=True, slots=True, eq=False)
class Operand:
    """One value of a sum with its factor per channel; `layer` if it may be computed in the step that sums."""

    name: str
    factor: np.ndarray
    layer: Layer | None


@dataclass(frozen=True, slots=True, eq=False)
class Sum:
    """clip((sum of factor * value + constant + half) >> shift, lo, hi), per channel, into `output`."""

    operands: tuple[Operand, ...]
    constant: np.ndarray
    shift: int
    lo: int
    hi: int
    orientation: Orientation
    output: Tensor

    def rounding(self, acc: Interval, factor: np.ndarray, terms: tuple[Term, ...] = ()) -> Requantize:
        """As the end of a step whose accumulator has this range and factor."""
        return Requantize(acc, factor, self.shift, self.lo, self.hi, terms, self.constant)


@dataclass(frozen=True, slots=True, eq=False)
class View:
    """Where an operand is read: channels cut or padded, rows and columns skipped on the way to it cost nothing."""

    source: str
    multiplier: np.ndarray
    stride: tuple[int, int] = (1, 1)
    channel: int = 0


def requantize(state: Planner, node: Node) -> bool:
    """requantize, clip."""
    total: Affine | None = affine(state.graph, state.producers, node.inputs[0], _opaque(state))
    if len(node.inputs) == 2 and total is not None:
        total = total.times(state.graph.constants[node.inputs[1]])
    return total is not None and finish(state, node.output, total, node.attrs.get("shift", 0))


def linear_form(state: Planner, node: Node) -> bool:
    """add, sub, mul: a sum, difference or multiple that is a value of its own."""
    opaque = _opaque(state)
    total = affine(state.graph, state.producers, node.output, lambda name: name != node.output and opaque(name))
    return [name for name, _ in total.terms] != [node.output] and finish(state, node.output, total, 0)


def _opaque(state: Planner) -> Callable[[str], bool]:
    """Sums are looked into unless they exist anyway; those beyond int32 never do."""
    return lambda name: not state.is_private(name) and state.range(name) in signed(32)


def finish(state: Planner, name: str, total: Affine, shift: int) -> bool:
    """Append the steps of (total + half) >> shift, clipped to the proven range, which the clip's bounds have made."""
    form = _sum(state, name, total, shift)
    if form is None or not (_after_pool(state, form) or _join(state, form)):
        return False
    state.bind(name, form.orientation, form.output)
    return True


def _sum(state: Planner, name: str, total: Affine, shift: int) -> Sum | None:
    """The sum per channel; None where the kernels cannot hold it."""
    shape, interval = state.graph.values[name].shape, state.range(name)
    if extents(shape, "first") is None or shift > MAX_SHIFT:
        return None
    if not 1 <= len(total.terms) <= MAX_TERMS + 1 or not _fits(state, total, shift):
        return None
    if any(state.graph.values[term].shape != shape or state.range(term) not in signed(32) for term, _ in total.terms):
        return None
    layers = [layer_of(state, term) if state.is_private(term) else None for term, _ in total.terms]
    orientation = _orientation(state, shape, total, layers)
    output = state.shaped(name, orientation) if orientation else None
    if orientation is None or output is None:
        return None
    factors = [per_channel(f, shape, orientation) for _, f in total.terms]
    constant = per_channel(total.constant, shape, orientation)
    operands = tuple(
        Operand(term, factor, layer if layer and layer.orientation == orientation else None)
        for (term, _), factor, layer in zip(total.terms, factors, layers, strict=True)
        if factor is not None
    )
    assert constant is not None and len(operands) == len(factors), "the orientation was chosen so"
    return Sum(operands, constant, shift, interval.lo, interval.hi, orientation, output)


def _fits(state: Planner, total: Affine, shift: int) -> bool:
    """Whether every multiplier is an int32 and the sum, zeros of stored bytes included, stays far inside int64."""
    factors = [magnitude(f) for _, f in total.terms]
    reach = sum(f * (state.range(t).magnitude + 128) for (t, _), f in zip(total.terms, factors, strict=True))
    return max(factors) < 1 << 31 and reach + magnitude(total.constant) + (129 << shift) < 1 << 62


def _orientation(
    state: Planner, shape: tuple[int, ...], total: Affine, layers: list[Layer | None]
) -> Orientation | None:
    """The orientation in which every factor is one number a channel, and most operands lie already."""
    arrays = [*(f for _, f in total.terms), total.constant]
    choices: list[Orientation] = ["first", "last"] if len(shape) > 2 else ["first"]
    possible = [o for o in choices if all(per_channel(a, shape, o) is not None for a in arrays)]

    def at_home(orientation: Orientation) -> int:
        fused = sum(layer is not None and layer.orientation == orientation for layer in layers)
        return fused + sum(state.is_tensor(term, orientation) for term, _ in total.terms)

    return max(possible, key=at_home, default=None)


def _after_pool(state: Planner, form: Sum) -> bool:
    """finish(max_pool(acc)) = max_pool(finish(acc)) for factors >= 0: maxima are taken over bytes, not int32."""
    operand = form.operands[0]
    pool = state.producers.get(operand.name)
    if len(form.operands) > 1 or pool is None or pool.op != "max_pool" or not state.is_private(operand.name):
        return False
    acc = pool.inputs[0]
    layer = layer_of(state, acc) if state.is_private(acc) else None
    before = state.shaped(acc, form.orientation, form.output.range)
    if layer is None or before is None or operand.factor.min() < 0:
        return False
    if layer.orientation != "first" or form.orientation != "first":  # the pool's windows lie on the axes behind 1
        return False
    state.ready(layer.source)
    emit_layer(state, layer, before, form.rounding(state.range(acc), operand.factor))
    state.steps.append(Pool("max", before, form.output, *windows(pool)))
    return True


def _join(state: Planner, form: Sum) -> bool:
    """The first operand that is a layer for us alone is computed in this step; the others are read as they are."""
    fused = next((o for o in form.operands if o.layer), None)
    views = [_view(state, o, form.orientation) for o in form.operands if o is not fused]
    plain = None
    if fused is None:
        plain = next((v for v in views if state.range(v.source) not in signed(8) and _is_whole(state, v, form)), None)
    state.ready(*(v.source for v in views), *((fused.layer.source,) if fused and fused.layer else ()))
    terms = tuple(_term(state, v, form.orientation) for v in views if v is not plain)
    if len(terms) > MAX_TERMS:
        return False
    if fused is not None and fused.layer is not None:
        emit_layer(state, fused.layer, form.output, form.rounding(state.range(fused.name), fused.factor, terms))
        return True
    source = None if plain is None else state.tensor(plain.source, form.orientation)
    if plain is not None and source is not None and source.width == 4:
        rounding = form.rounding(source.range, plain.multiplier, terms)
    elif len(views) <= MAX_TERMS:
        source, everything = None, tuple(_term(state, v, form.orientation) for v in views)
        rounding = form.rounding(ZERO, np.zeros(1, dtype=np.int64), everything)
    else:
        return False
    state.steps.append(Join(source, form.output, rounding))
    return True


def _is_whole(state: Planner, view: View, form: Sum) -> bool:
    """Whether the view is the tensor itself."""
    shape = state.graph.values[view.source].shape
    return (
        view.stride == (1, 1)
        and view.channel == 0
        and shape[channel_axis(shape, form.orientation)] == form.output.channels
    )


def _term(state: Planner, view: View, orientation: Orientation) -> Term:
    tensor = state.tensor(view.source, orientation)
    assert tensor is not None, "the sum has checked its operands"
    return Term(tensor, view.multiplier, view.stride, view.channel)


def _view(state: Planner, operand: Operand, orientation: Orientation) -> View:
    """The operand, read through the pad and the slice before it if it exists for this reader alone."""
    view = View(operand.name, operand.factor)
    for op, through in (("pad", through_pad), ("slice", through_slice)):
        node = state.producers.get(view.source)
        if node is not None and node.op == op and state.is_private(view.source):
            view = through(node, view, len(state.graph.values[view.source].shape), orientation) or view
    return view


def through_pad(node: Node, view: View, rank: int, orientation: Orientation) -> View | None:
    """The view of what a pad with zero channels reads; None for any other pad."""
    axis = 1 if orientation == "first" else rank - 1
    margins = node.attrs["margins"]
    before, after, between = margins[axis]
    if node.attrs["fill"] != 0 or between or any(m != (0, 0, 0) for a, m in enumerate(margins) if a != axis):
        return None
    inside = np.arange(view.multiplier.size)
    inside = (inside >= before) & (inside < view.multiplier.size - after)
    return View(node.inputs[0], np.where(inside, view.multiplier, 0), view.stride, view.channel - before)


def through_slice(node: Node, view: View, rank: int, orientation: Orientation) -> View | None:
    """The view of what a slice reads that takes neighbouring channels, and rows and columns from the first on."""
    steps, channel = [1] * (rank - 2), view.channel
    for axis, start, step, _ in node.attrs["slices"]:
        place = axis - 2 if orientation == "first" else axis - 1
        if axis == (1 if orientation == "first" else rank - 1) and step == 1:
            channel += start
        elif 0 <= place < len(steps) and start == 0 and step >= 1:
            steps[place] = step
        else:
            return None
    return View(node.inputs[0], view.multiplier, last_two(tuple(steps), 1), channel)


def windows(node: Node) -> tuple[tuple[int, int], tuple[int, int], tuple[int, int]]:
    """(kernel, stride, padding before) of a pooling node, as two axes."""
    before = tuple(p for p, _ in node.attrs["padding"])
    return last_two(node.attrs["kernel"], 1), last_two(node.attrs["stride"], 1), last_two(before, 0)
