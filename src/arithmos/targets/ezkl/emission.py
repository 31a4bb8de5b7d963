"""The ONNX graph that ezkl reads, under construction: float tensors of one sample, every number in them an integer.

What ezkl 23.0.5 does to such a file at input_scale = param_scale = 0, found by running it:

- constants pass through float32, so they keep 24 significant bits: `parts` cuts wider ones into a sum;
- its reader (tract) folds the product or sum with a constant of each channel into the convolution before it, in
  float32: a negation between the two keeps them apart (see sums.convolution);
- `Relu`, `Floor`, a comparison, an input and an output split |x| into digits of DIGIT bits, as many as the run's
  argument `decomp_legs` says: `decomposed` counts how many that must be;
- `Mul` by a single 2**-DIGIT is a change of scale, and `Floor` behind it is exact at every integer; `Div` is not.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from arithmos.ir.graph import Graph, Shape
from arithmos.ir.interval import Interval, interval_of
from arithmos.targets.one_sample import one_sample
from arithmos.targets.onnx_draft import Draft

FLOAT, LONG = "float32", "int64"

SIGNIFICANT = 24
"""Bits of a float32: every integer of that many significant bits is exact."""

DIGIT = 14
"""ezkl's `decomp_base` is 2**14: its range checks look a digit up in a table of that size."""

MOST_BITS = 52
"""Every number on the way keeps to |x| < 2**52: four digits of ezkl hold it, and so does a float64, in which the file
can be evaluated exactly without ezkl."""

Operand = str | np.ndarray
"""A tensor of the graph under construction, or the integers of a constant."""


class Unfit(Exception):
    """Why a node cannot be said to ezkl exactly; `refuse` makes a sentence of it."""


class Emission(Draft):
    """A draft that knows which tensor or constant each value of the network is, and how wide numbers get."""

    def __init__(self, graph: Graph) -> None:
        super().__init__(graph)
        self.widest = 0
        self._held: dict[str, Operand] = {**graph.constants, **{name: name for name in graph.inputs}}

    def stored(self, array: Any) -> str:
        """An initializer of float32."""
        return self.number(array, FLOAT)

    def read(self, value: str) -> Operand:
        """The tensor of a value, or the integers of a constant."""
        held = self._held[value]
        if isinstance(held, str) and held in self.graph.inputs and self.range(held).magnitude > 1 << SIGNIFICANT:
            raise Unfit(f"its input '{held}' needs {self.range(held).bits} bits, and ezkl reads inputs as float32")
        return held

    def tensor(self, value: str) -> str:
        """The tensor of a value, a constant as an initializer. Raises Unfit for one that float32 does not hold."""
        held = self.read(value)
        if isinstance(held, str):
            return held
        found = parts(held)
        if len(found) > 1:
            raise Unfit(f"its constant '{value}' has more than {SIGNIFICANT} significant bits: ezkl reads float32")
        return self.stored(found[0])

    def bind(self, value: str, found: Operand) -> None:
        """Say which tensor or constant a computed value is."""
        self._held[value] = found

    def held(self, *ranges: Interval) -> None:
        """Claim that numbers of these ranges occur. Raises Unfit where one is too wide."""
        bits = max(interval.magnitude for interval in ranges).bit_length()
        if bits > MOST_BITS:
            raise Unfit(f"its numbers need {bits} bits, and {MOST_BITS} can be followed exactly")

    def decomposed(self, *ranges: Interval) -> None:
        """Claim that ezkl splits numbers of these ranges into digits. Raises Unfit where one is too wide."""
        self.held(*ranges)
        self.widest = max(self.widest, *(interval.magnitude for interval in ranges))

    @property
    def digits(self) -> int:
        """How many digits hold every number that is split; two at least, which is ezkl's default."""
        return max(2, -(-self.widest.bit_length() // DIGIT))

    def shape(self, value: str) -> Shape:
        """The shape of a value in one sample."""
        return one_sample(self.graph.values[value].shape)


def parts(array: np.ndarray) -> Sequence[np.ndarray]:
    """Integers as a sum of arrays that float32 holds: the lower 24 bits, then the next 24, … with the sign of each.

    One array if it fits already; no array is all 0 unless the constant is.
    """
    array = np.asarray(array)  # numpy makes Python integers of zero-dimensional arrays of objects
    if interval_of(array).magnitude < 1 << SIGNIFICANT or bool(
        (array.astype(np.float32).astype(object) == array).all()
    ):
        return [array]
    sign, left = np.where(array < 0, -1, 1), np.asarray(abs(array.astype(object)), dtype=object)
    found: list[np.ndarray] = []
    while left.any():
        found.append(np.asarray(sign * (left % (1 << SIGNIFICANT)) * (1 << SIGNIFICANT * len(found))))
        left = np.asarray(left // (1 << SIGNIFICANT), dtype=object)
    return [part for part in found if part.any()]


def cut(e: Emission, x: str, slices: tuple[tuple[int, int, int, int], ...]) -> str:
    """Elements start, start + step, … (count of them) of each named axis; slices holds (axis, start, step, count).

    Steps are rows chosen by constants: ezkl's reader stumbles over some slices that run backwards.
    """
    for axis, start, step, count in slices:
        if step == 1:
            x = e.put("Slice", x, e.axes([start]), e.axes([start + count]), e.axes([axis]))
        else:
            x = e.put("Gather", x, e.axes(range(start, start + count * step, step)), axis=axis)
    return x
