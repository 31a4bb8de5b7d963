"""Where the elements of a value lie in memory, and the C index expressions and loops that follow from it."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

from arithmos.ir.graph import Shape


@dataclass(frozen=True, slots=True)
class Layout:
    """Element (i0, i1, …) lies at offset + sum of i_a * strides[a], in elements. Axes of one entry have stride 0."""

    shape: Shape
    strides: tuple[int, ...]
    offset: int = 0

    @property
    def elements(self) -> int:
        """How many there are."""
        return math.prod(self.shape)


@dataclass(frozen=True, slots=True)
class Loop:
    """A C variable (or expression) that counts through some axes as if they were one, the last one fastest."""

    variable: str
    axes: tuple[int, ...]


def packed(shape: Shape, order: Sequence[int] | None = None) -> Layout:
    """Elements side by side; `order` lists the axes from slowest to fastest, as the graph says by default."""
    strides, step = [0] * len(shape), 1
    for axis in reversed(range(len(shape)) if order is None else order):
        strides[axis] = step if shape[axis] != 1 else 0
        step *= shape[axis]
    return Layout(shape, tuple(strides))


def channels_last(shape: Shape) -> Layout:
    """Axis 1 fastest: all channels of a position side by side, as convolutions read them."""
    return packed(shape, (0, *range(2, len(shape)), 1))


def aligned(layout: Layout, shape: Shape) -> Layout:
    """The layout broadcast to a shape: axes are aligned at the end, repeated ones have stride 0."""
    missing = len(shape) - len(layout.shape)
    return Layout(shape, (0,) * missing + layout.strides, layout.offset)


def permuted(layout: Layout, perm: Sequence[int]) -> Layout:
    """The axes in another order."""
    return Layout(tuple(layout.shape[a] for a in perm), tuple(layout.strides[a] for a in perm), layout.offset)


def storage_order(layout: Layout) -> list[int]:
    """The axes of more than one entry from slowest to fastest: loops in this order write memory from front to back."""
    axes = [axis for axis, extent in enumerate(layout.shape) if extent != 1]
    return sorted(axes, key=lambda axis: -abs(layout.strides[axis]))


def index(layout: Layout, loops: Iterable[Loop]) -> str:
    """The C index of the element the loops stand at; axes no loop counts through are at 0."""
    terms = []
    for loop in loops:
        axes = [axis for axis in loop.axes if layout.shape[axis] != 1]
        if _merges(layout, axes):
            terms.append(product(loop.variable, layout.strides[axes[-1]] if axes else 0))
        else:
            terms += [
                product(coordinate(loop.variable, layout.shape, axes, i), layout.strides[axis])
                for i, axis in enumerate(axes)
            ]
    return sum_of([*terms, str(layout.offset) if layout.offset else ""])


def coordinate(variable: str, shape: Shape, axes: Sequence[int], i: int) -> str:
    """Where on axes[i] a variable stands that counts through all of them."""
    inner = math.prod(shape[axis] for axis in axes[i + 1 :])
    text = variable if inner == 1 else f"{variable} / {inner}"
    return text if i == 0 else f"{text} % {shape[axes[i]]}"


def product(text: str, factor: int) -> str:
    """text * factor, "" if the factor is 0."""
    if factor == 0:
        return ""
    simple = text.isidentifier()
    return text if factor == 1 else f"{text if simple else f'({text})'} * {factor}"


def sum_of(terms: Iterable[str]) -> str:
    """The terms that are not empty, added; "0" if there is none."""
    text = " + ".join(term for term in terms if term) or "0"
    return text.replace("+ -", "- ")


def merged_axes(order: Sequence[int], layouts: Iterable[Layout]) -> list[tuple[int, ...]]:
    """The axes in this order, neighbours together wherever one counter can run through them in every layout."""
    groups: list[tuple[int, ...]] = []
    listed = list(layouts)
    for axis in order:
        if groups and all(_merges(layout, (*groups[-1], axis)) for layout in listed):
            groups[-1] = (*groups[-1], axis)
        else:
            groups.append((axis,))
    return groups


def _merges(layout: Layout, axes: Sequence[int]) -> bool:
    return all(layout.strides[a] == layout.strides[b] * layout.shape[b] for a, b in pairwise(axes))
