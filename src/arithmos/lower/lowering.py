"""One lowering in progress: the integer graph under construction and the form of every float value so far."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from arithmos.ir.build import Builder
from arithmos.ir.graph import Graph, Value, consumers, producers
from arithmos.ir.interval import INT64, Interval
from arithmos.ir.scale import exact_scale, scale_of
from arithmos.lower.choice import Choice, WeightGrid, weight_owner
from arithmos.lower.derived import Derived, along, fixed, narrow
from arithmos.lower.factor import Factor, constant, of_step
from arithmos.lower.form import Form, Term, single
from arithmos.lower.recipe import Recipe
from arithmos.quant.grid import Grid
from arithmos.quant.multiplier import multipliers

LAST_LEVEL = 1 << 15
"""A multiplier of twice the last level rounds by less than a quarter of a step; levels beyond ask for no more."""

UNBOUNDED = Interval(-(1 << 62), (1 << 62) - 1)


Weights = Callable[[str, float], WeightGrid]
"""The weights of a layer (or a constant factor) by its name and the step of its input."""


class Lowering:
    """State of one `lower`: a class because it grows node by node and is thrown away with the last."""

    def __init__(self, graph: Graph, grids: Mapping[str, Grid], recipe: Recipe, weights: Weights) -> None:
        self.graph = graph
        self.recipe = recipe
        self.grids = grids
        self.builder = Builder("int")
        self.producers = producers(graph)
        self.consumers = consumers(graph)
        self.forms: dict[str, Form] = {}
        self.derived: dict[str, Derived] = {}
        self.steps = Choice(grids, {}).steps
        self.fixed: set[str] = set()
        self.outputs: dict[str, Factor] = {}
        self._weights = weights
        self._integers: dict[str, str] = {}

    def value(self, name: str) -> Value:
        """The float value."""
        return self.graph.values[name]

    def array(self, name: str) -> np.ndarray | None:
        """The float constant in float64 (masks and indices as they are), or None if the value is computed."""
        array = self.graph.constants.get(name)
        return None if array is None else array.astype(np.float64) if array.dtype.kind == "f" else array

    def emit(self, op: str, *inputs: str, origin: str, name: str, factor: Factor | None = None, **attrs: Any) -> str:
        """Add an integer node that stems from the float value `origin`; factor gives its scale, a label."""
        source = self.value(origin).source
        ndim = len(self.value(origin).shape)
        scale = None if factor is None else scale_of(factor.array, ndim)
        return self.builder.add(op, *inputs, name=name, scale=scale, source=source, **attrs)

    def constant(self, name: str, array: np.ndarray, origin: str, factor: Factor | None = None) -> str:
        """Add an integer constant that stems from the float value `origin`."""
        scale = None if factor is None else scale_of(factor.array, array.ndim)
        return self.builder.constant(name, array, scale=scale, source=self.value(origin).source)

    def derive(self, name: str, how: Derived, origin: str, factor: Factor | None = None, *, small: bool = False) -> str:
        """Add the integer constant that follows from steps, and remember how; small: narrowed where it repeats."""
        array = how.integers(self.graph.constants, self.steps)
        added = self.constant(name, narrow(array) if small else array, origin, factor)
        self.derived[added] = how
        return added

    def grid_step(self, name: str) -> Factor:
        """The step of a float value's grid."""
        return of_step(self.grids[name].owner, self.grids[name].step)

    def weights(self, name: str, parameter: str, input_step: Factor, origin: str) -> tuple[str, WeightGrid]:
        """The integer weights of a layer (or a constant factor) as a constant, and what was chosen for them.

        Weights that were not rounded to nearest do not follow from the float ones and have no derivation.
        """
        chosen = self._weights(name, float(input_step))
        owner = weight_owner(name)
        self.steps[owner] = chosen.steps
        axis = -chosen.integers.ndim
        how = Derived(parameter, {owner: -1}, chosen.levels, axis, odd=chosen.odd)
        added = self.constant(parameter, chosen.integers, origin, of_step(owner, along(chosen.steps, axis)))
        if np.array_equal(how.integers(self.graph.constants, self.steps), chosen.integers):
            self.derived[added] = how
        return added, chosen

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

    def integer(self, name: str) -> tuple[str, Factor]:
        """(integer value, step) of a float value as narrow integers; put on its grid once if it is not yet."""
        if name in self.graph.constants:
            return self._parameter(name)
        if self.is_narrow(name):
            step = self.forms[name].step
            assert step is not None
            return self.forms[name].value, step
        step = self.grid_step(name)
        if name not in self._integers:
            self._integers[name] = self.requantize(
                self.forms[name], step, self.grids[name].range, origin=name, name=name
            )
        return self._integers[name], step

    def _parameter(self, name: str) -> tuple[str, Factor]:
        """(integer constant, step): a constant operand of a product, on one weight grid of its own."""
        if name not in self._integers:
            self._integers[name], _ = self.weights(name, name, constant(1.0), name)
        owner = weight_owner(name)
        return self._integers[name], of_step(owner, self.steps[owner].reshape(()))

    def rescaled(self, name: str, step: Factor, origin: str) -> str:
        """The value as integers of the given step, made once: as they are where the step is theirs, else rounded."""
        value, own = self.integer(name)
        if float(own) == float(step):
            return value
        key = f"{name} in steps of {float(step)!r}"
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

    def requantize(self, form: Form, step: Factor, levels: Interval, *, origin: str, name: str) -> str:
        """The form as integers of one grid: clip(floor((sum M_i * q_i + K + 2**(n-1)) / 2**n), levels)."""
        bits, least = self.recipe.multiplier_bits, 2 * min(levels.hi, LAST_LEVEL)
        ratios = [t.factor / step for t in form.terms]
        muls, shift = multipliers([r.array for r in ratios], bits, least)
        coarse = [_coarse(m, r.array * 2.0**shift) for m, r in zip(muls, ratios, strict=True)]
        if len(form.terms) > 1 and shift and any(coarse):
            pairs = zip(form.terms, coarse, strict=True)
            terms = tuple(self._refine(t, step, shift, origin, name) if bad else t for t, bad in pairs)
            form = Form(terms, form.offset)
            ratios = [t.factor / step for t in terms]
            muls, shift = multipliers([r.array for r in ratios], bits, least)
        # A multiplier of 1 that may not stay 1 when steps are trained is a constant too; `finish` drops it.
        scaled = [
            None if np.all(m == 1) and not r.powers else fixed(r * 2.0**shift)
            for m, r in zip(muls, ratios, strict=True)
        ]
        fine = step * 2.0**-shift
        offset = fixed(constant(form.offset) / fine)
        shifted = bool(np.any(offset.integers({}, self.steps)))
        if len(form.terms) == 1 and not shifted:
            return self._single(form.terms[0], scaled[0], shift, step, levels, origin, name)
        products = [self._product(t, m, origin, name) for t, m in zip(form.terms, scaled, strict=True)]
        total = products[0]
        for product in products[1:]:
            total = self.emit("add", total, product, origin=origin, name=f"{name}.sum", factor=fine)
        if shifted:
            added = self.derive(f"{name}.offset", offset, origin, fine, small=True)
            total = self.emit("add", total, added, origin=origin, name=f"{name}.sum", factor=fine)
        if shift == 0:
            return self.emit("clip", total, origin=origin, name=name, factor=step, lo=levels.lo, hi=levels.hi)
        return self.emit(
            "requantize", total, origin=origin, name=name, factor=step, shift=shift, lo=levels.lo, hi=levels.hi
        )

    def _single(
        self, term: Term, mul: Derived | None, shift: int, step: Factor, levels: Interval, origin: str, name: str
    ) -> str:
        attrs = {"lo": levels.lo, "hi": levels.hi}
        if mul is not None:
            gain = self.derive(f"{name}.mul", mul, origin, small=True)
            return self.emit(
                "requantize", term.value, gain, origin=origin, name=name, factor=step, shift=shift, **attrs
            )
        if shift == 0:
            return self.emit("clip", term.value, origin=origin, name=name, factor=step, **attrs)
        return self.emit("requantize", term.value, origin=origin, name=name, factor=step, shift=shift, **attrs)

    def _product(self, term: Term, mul: Derived | None, origin: str, name: str) -> str:
        if mul is None:
            return term.value
        unit = np.all(mul.integers({}, self.steps) == 1)  # a name of its own: finished networks do not have it
        gain = self.derive(f"{name}.unit" if unit else f"{name}.mul", mul, origin, small=True)
        return self.emit("mul", term.value, gain, origin=origin, name=f"{gain}.product" if unit else f"{name}.scaled")

    def _refine(self, term: Term, step: Factor, shift: int, origin: str, name: str) -> Term:
        """The term on a grid 2**8 times finer than the result's; its multiplier in the sum is then a power of two.

        Not finer than 2**shift, for that multiplier would be a fraction.
        """
        fine = step * 2.0 ** -min(8, shift)
        value = self.requantize(Form((term,), np.zeros(())), fine, UNBOUNDED, origin=origin, name=f"{name}.fine")
        return Term(value, fine)

    def align(self, name: str) -> tuple[str, Factor]:
        """(integer value, step) on one step for all channels, without clipping: for network outputs and argmax.

        The step is the largest factor of the form, so nothing is lost but the rounding of the finer channels. It
        follows from the others and has an owner of its own, "NAME.aligned".
        """
        form = self.forms[name]
        if form.step is not None:
            return form.value, form.step
        owner = f"{name}.aligned"
        size = max(float(np.abs(t.factor.array).max(initial=0)) for t in form.terms) or 1.0
        self.steps[owner] = np.asarray(size)
        step = of_step(owner, size)
        value = self.requantize(form, step, UNBOUNDED, origin=name, name=name)
        return value, step

    def output(self, name: str) -> str:
        """The value that leaves the network: on one step, and labelled with it.

        A mean is known by the integers of its sum and a smaller step; they get a name and a scale of their own.
        """
        value, step = self.align(name)
        scale = self.builder.values[value].scale
        if scale != exact_scale(float(step)) and not (scale is None and float(step) == 1):
            value = self.emit("clip", value, origin=name, name=name, factor=step, lo=None, hi=None)
        self.outputs[value] = step
        return value

    def bind(self, name: str, form: Form) -> None:
        """The float value is known by this form from here on."""
        self.forms[name] = form


def _coarse(mul: np.ndarray, exact: np.ndarray) -> bool:
    """Whether rounding `exact` to integers costs the largest one more than 1 part in 256."""
    return int(np.abs(mul).max(initial=0)) < 128 and bool(np.any(mul != exact))


assert UNBOUNDED in INT64
