"""One lowering in progress: the integer graph under construction and the form of every float value so far."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np

from arithmos.ir.build import Builder
from arithmos.ir.graph import Graph, Value, consumers, producers
from arithmos.ir.interval import INT64, Interval
from arithmos.ir.scale import exact_scale, scale_of
from arithmos.lower.calibrate import Stats
from arithmos.lower.form import Form, Term, single
from arithmos.lower.grids import edge_layers
from arithmos.lower.recipe import Recipe
from arithmos.quant.grid import Grid, round_half_up, symmetric
from arithmos.quant.multiplier import multipliers
from arithmos.quant.rtn import round_to_nearest, weight_steps

LAST_LEVEL = 1 << 15
"""A multiplier of twice the last level rounds by less than a quarter of a step; levels beyond ask for no more."""

UNBOUNDED = Interval(-(1 << 62), (1 << 62) - 1)


class Lowering:
    """State of one `quantize`: a class because it grows node by node and is thrown away with the last."""

    def __init__(self, graph: Graph, stats: Stats, recipe: Recipe, grids: dict[str, Grid]) -> None:
        self.graph = graph
        self.stats = stats
        self.recipe = recipe
        self.grids = grids
        self.builder = Builder("int")
        self.producers = producers(graph)
        self.consumers = consumers(graph)
        self.forms: dict[str, Form] = {}
        self._integers: dict[str, str] = {}
        self._edges = {node.output for node in edge_layers(graph)}

    def value(self, name: str) -> Value:
        """The float value."""
        return self.graph.values[name]

    def array(self, name: str) -> np.ndarray | None:
        """The float constant in float64 (masks and indices as they are), or None if the value is computed."""
        array = self.graph.constants.get(name)
        return None if array is None else array.astype(np.float64) if array.dtype.kind == "f" else array

    def at(self, name: str, *parameters: str) -> Recipe:
        """The recipe of the node that makes the value; first and last layers have weights of at least edge_bits.

        parameters: constants whose module path counts too: a batch norm's value is made by the convolution it was
        folded into, which its weight still names.
        """
        modules = [self.value(n).source.module for n in (name, *parameters)]
        local = self.recipe.at(*modules, name)
        if name in self._edges:
            return dataclasses.replace(local, weight_bits=max(local.weight_bits, local.edge_bits))
        return local

    def emit(
        self, op: str, *inputs: str, origin: str, name: str, factor: np.ndarray | float | None = None, **attrs: Any
    ) -> str:
        """Add an integer node that stems from the float value `origin`; factor gives its scale, a label."""
        source = self.value(origin).source
        ndim = len(self.value(origin).shape)
        scale = None if factor is None else scale_of(factor, ndim)
        return self.builder.add(op, *inputs, name=name, scale=scale, source=source, **attrs)

    def constant(self, name: str, array: np.ndarray, origin: str, factor: np.ndarray | float | None = None) -> str:
        """Add an integer constant that stems from the float value `origin`."""
        scale = None if factor is None else scale_of(factor, array.ndim)
        return self.builder.constant(name, array, scale=scale, source=self.value(origin).source)

    def range(self, value: str) -> Interval:
        """The proven range of an integer value."""
        interval = self.builder.values[value].range
        assert interval is not None
        return interval

    def is_narrow(self, name: str) -> bool:
        """Whether the value already is one integer value on one grid, no wider than its recipe allows."""
        form = self.forms[name]
        if form.step is None or name not in self.grids:
            return False
        bits = self.grids[name].range.bits - (self.grids[name].range.lo >= 0)
        interval = self.range(form.value)
        return interval.bits - (interval.lo >= 0) <= bits

    def integer(self, name: str) -> tuple[str, float]:
        """(integer value, step) of a float value as narrow integers; put on its grid once if it is not yet."""
        if name in self.graph.constants:
            return self._parameter(name)
        if self.is_narrow(name):
            step = self.forms[name].step
            assert step is not None
            return self.forms[name].value, step
        grid = self.grids[name]
        if name not in self._integers:
            self._integers[name] = self.requantize(self.forms[name], grid.step, grid.range, origin=name, name=name)
        return self._integers[name], grid.step

    def _parameter(self, name: str) -> tuple[str, float]:
        """(integer constant, step): a constant operand of a product, on the weight grid of the node that reads it."""
        array, recipe = self.graph.constants[name].astype(np.float64), self.at(name)
        levels, rows = symmetric(recipe.weight_bits), array.reshape(1, -1)
        steps = weight_steps(rows, levels, recipe.weight_observer_used, recipe.scales, per_channel=False)
        if name not in self._integers:
            rounded = round_to_nearest(rows, steps, levels).reshape(array.shape)
            self._integers[name] = self.constant(name, rounded, name, float(steps[0]))
        return self._integers[name], float(steps[0])

    def rescaled(self, name: str, step: float, origin: str) -> str:
        """The value as integers of the given step, made once: as they are where the step is theirs, else rounded."""
        value, own = self.integer(name)
        if own == step:
            return value
        key = f"{name} in steps of {step!r}"
        if key not in self._integers:
            form, levels, new = self.forms[name], self.grids[name].range, f"{name}.rescaled"
            self._integers[key] = self.requantize(form, step, levels, origin=origin, name=new)
        return self._integers[key]

    def operand(self, name: str) -> Form:
        """The form of an addend: on its grid if somebody else reads it too (rounded once for all), else as it is."""
        shared = len(self.consumers[name]) > 1 or self.recipe.joins == "equal"
        if shared and name not in self.graph.constants:
            return single(*self.integer(name))
        return self.forms[name]

    def requantize(self, form: Form, step: float, levels: Interval, *, origin: str, name: str) -> str:
        """The form as integers of one grid: clip(floor((sum M_i * q_i + K + 2**(n-1)) / 2**n), levels)."""
        bits, least = self.recipe.multiplier_bits, 2 * min(levels.hi, LAST_LEVEL)
        ratios = [t.factor / step for t in form.terms]
        muls, shift = multipliers(ratios, bits, least)
        coarse = [_coarse(m, r * 2.0**shift) for m, r in zip(muls, ratios, strict=True)]
        if len(form.terms) > 1 and shift and any(coarse):
            pairs = zip(form.terms, coarse, strict=True)
            terms = tuple(self._refine(t, step, shift, origin, name) if bad else t for t, bad in pairs)
            form = Form(terms, form.offset)
            muls, shift = multipliers([t.factor / step for t in terms], bits, least)
        muls = [_smallest(m) for m in muls]
        offset = round_half_up(form.offset / step * 2.0**shift)
        if len(form.terms) == 1 and not np.any(offset):
            return self._single(form.terms[0], muls[0], shift, step, levels, origin, name)
        products = [self._product(t, m, origin, name) for t, m in zip(form.terms, muls, strict=True)]
        fine = step / 2.0**shift
        total = products[0]
        for product in products[1:]:
            total = self.emit("add", total, product, origin=origin, name=f"{name}.sum", factor=fine)
        if np.any(offset):
            constant = self.constant(f"{name}.offset", _smallest(offset), origin, fine)
            total = self.emit("add", total, constant, origin=origin, name=f"{name}.sum", factor=fine)
        if shift == 0:
            return self.emit("clip", total, origin=origin, name=name, factor=step, lo=levels.lo, hi=levels.hi)
        return self.emit(
            "requantize", total, origin=origin, name=name, factor=step, shift=shift, lo=levels.lo, hi=levels.hi
        )

    def _single(
        self, term: Term, mul: np.ndarray, shift: int, step: float, levels: Interval, origin: str, name: str
    ) -> str:
        attrs = {"lo": levels.lo, "hi": levels.hi}
        if np.all(mul == 1):
            if shift == 0:
                return self.emit("clip", term.value, origin=origin, name=name, factor=step, **attrs)
            return self.emit("requantize", term.value, origin=origin, name=name, factor=step, shift=shift, **attrs)
        multiplier = self.constant(f"{name}.mul", mul, origin)
        return self.emit(
            "requantize", term.value, multiplier, origin=origin, name=name, factor=step, shift=shift, **attrs
        )

    def _product(self, term: Term, mul: np.ndarray, origin: str, name: str) -> str:
        if np.all(mul == 1):
            return term.value
        multiplier = self.constant(f"{name}.mul", mul, origin)
        return self.emit("mul", term.value, multiplier, origin=origin, name=f"{name}.scaled")

    def _refine(self, term: Term, step: float, shift: int, origin: str, name: str) -> Term:
        """The term on a grid 2**8 times finer than the result's; its multiplier in the sum is then a power of two.

        Not finer than 2**shift, for that multiplier would be a fraction.
        """
        fine = step / 2.0 ** min(8, shift)
        value = self.requantize(Form((term,), np.zeros(())), fine, UNBOUNDED, origin=origin, name=f"{name}.fine")
        return Term(value, np.asarray(fine))

    def align(self, name: str) -> tuple[str, float]:
        """(integer value, step) on one step for all channels, without clipping: for network outputs and argmax.

        The step is the largest factor of the form, so nothing is lost but the rounding of the finer channels.
        """
        form = self.forms[name]
        if form.step is not None:
            return form.value, form.step
        step = max(float(np.abs(t.factor).max(initial=0)) for t in form.terms) or 1.0
        value = self.requantize(form, step, UNBOUNDED, origin=name, name=name)
        return value, step

    def output(self, name: str) -> str:
        """The value that leaves the network: on one step, and labelled with it.

        A mean is known by the integers of its sum and a smaller step; they get a name and a scale of their own.
        """
        value, step = self.align(name)
        scale = self.builder.values[value].scale
        if scale == exact_scale(step) or (scale is None and step == 1):
            return value
        return self.emit("clip", value, origin=name, name=name, factor=step, lo=None, hi=None)

    def bind(self, name: str, form: Form) -> None:
        """The float value is known by this form from here on."""
        self.forms[name] = form


def _coarse(mul: np.ndarray, exact: np.ndarray) -> bool:
    """Whether rounding `exact` to integers costs the largest one more than 1 part in 256."""
    return int(np.abs(mul).max(initial=0)) < 128 and bool(np.any(mul != exact))


def _smallest(array: np.ndarray) -> np.ndarray:
    """A scalar for an array of equal numbers, without leading axes of extent one."""
    if array.size and np.all(array == array.flat[0]):
        return np.asarray(array.flat[0])
    while array.ndim and array.shape[0] == 1:
        array = array[0]
    return array


assert UNBOUNDED in INT64
