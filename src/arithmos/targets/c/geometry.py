"""Sliding windows in C: where a window reads its input, and which of its places lie outside."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

from arithmos.ir.graph import Node, Shape
from arithmos.ir.ops.window import Pairs
from arithmos.targets.c.emission import Function
from arithmos.targets.c.layout import Loop, product, sum_of


@dataclass(frozen=True, slots=True)
class Window:
    """The geometry of a conv or pooling node: input extents, output extents, and what moves between them.

    letters: one for each axis, as in oy, ky, iy: x for one, yx for two, zyx for three, digits for more.
    """

    letters: str
    size: Shape
    count: Shape
    kernel: Shape
    stride: Shape
    padding: Pairs
    dilation: Shape

    def leaves(self, axis: int) -> bool:
        """Whether some place of some window lies outside the input along this axis."""
        last = (self.count[axis] - 1) * self.stride[axis] + (self.kernel[axis] - 1) * self.dilation[axis]
        return self.padding[axis][0] > 0 or last - self.padding[axis][0] >= self.size[axis]

    def at(self, axis: int) -> str:
        """The input coordinate of the place (o, k) along one axis, as a C expression."""
        letter = self.letters[axis]
        start = product(f"o{letter}", self.stride[axis]) if self.count[axis] > 1 else ""
        reach = product(f"k{letter}", self.dilation[axis]) if self.kernel[axis] > 1 else ""
        before = self.padding[axis][0]
        return sum_of([start, reach, str(-before) if before else ""])

    def outside(self, axes: Sequence[int]) -> str:
        """The C condition that i of one of these axes lies outside the input; "" if that cannot happen."""
        terms = []
        for axis in axes:
            if self.leaves(axis):
                terms.append(f"i{self.letters[axis]} < 0 || i{self.letters[axis]} >= {self.size[axis]}")
        return " || ".join(terms)

    def positions(self, x_shape: Shape) -> list[Loop]:
        """The loops that stand at an input position: image n, then one i a spatial axis."""
        loops = [Loop("n", (0,))] if x_shape[0] > 1 else []
        return loops + [Loop(f"i{letter}", (2 + axis,)) for axis, letter in enumerate(self.letters)]


def window_of(node: Node, x_shape: Shape, kernel: Shape, y_shape: Shape) -> Window:
    """The window of a conv or pooling node."""
    attrs = node.attrs
    dilation = attrs.get("dilation", (1,) * len(kernel))
    rank = len(kernel)
    letters = "zyx"[-rank:] if rank <= 3 else "0123456789"[:rank]
    return Window(letters, x_shape[2:], y_shape[2:], kernel, attrs["stride"], attrs["padding"], dilation)


@contextmanager
def places(function: Function, window: Window) -> Iterator[None]:
    """Loops over all places of a window, the input coordinates inside; the caller asks `outside`."""
    with ExitStack() as stack:
        for axis, letter in enumerate(window.letters):
            if window.kernel[axis] > 1:
                stack.enter_context(function.loop(f"k{letter}", window.kernel[axis]))
            if window.size[axis] > 1 or window.leaves(axis):
                function.line(f"const int i{letter} = {window.at(axis)};")
        yield


@contextmanager
def places_inside(function: Function, window: Window) -> Iterator[None]:
    """Loops over the places of a window that lie inside the input, the input coordinates inside.

    The loops have bounds, not a test with `continue`: gcc 12 at -O3 -mavx2 vectorises such tests to wrong sums.
    """
    with ExitStack() as stack:
        for axis, letter in enumerate(window.letters):
            if window.leaves(axis):
                first, end = _bounds(function, window, axis)
                stack.enter_context(function.block(f"for (int k{letter} = {first}; k{letter} < {end}; k{letter}++)"))
            elif window.kernel[axis] > 1:
                stack.enter_context(function.loop(f"k{letter}", window.kernel[axis]))
            if window.size[axis] > 1:
                function.line(f"const int i{letter} = {window.at(axis)};")
        yield


def _bounds(function: Function, window: Window, axis: int) -> tuple[str, str]:
    """(first, end) of the places along an axis that lie inside: C expressions, declared for the position at hand."""
    letter, size, kernel = window.letters[axis], window.size[axis], window.kernel[axis]
    dilation, before = window.dilation[axis], window.padding[axis][0]
    if window.count[axis] == 1:
        lowest = -(-before // dilation)
        return str(lowest), str(max(lowest, min(kernel, -(-(size + before) // dilation))))
    start, first, end = f"start_{letter}", f"first_{letter}", f"end_{letter}"
    position = product(f"o{letter}", window.stride[axis])
    function.line(f"const int {start} = {sum_of([position, str(-before) if before else ''])};")
    names = "0", str(kernel)
    if before:
        past = _ceiling(f"-{start}", f"{dilation - 1} - {start}", dilation)
        function.line(f"const int {first} = {start} < 0 ? {past} : 0;")
        names = first, names[1]
    reach = (kernel - 1) * dilation
    if (window.count[axis] - 1) * window.stride[axis] - before + reach >= size:
        rest = _ceiling(f"{size} - {start}", f"{size + dilation - 1} - {start}", dilation)
        function.line(f"const int {end} = {start} > {size - 1 - reach} ? {rest} : {kernel};")
        names = names[0], end
    return names


def _ceiling(exact: str, raised: str, divisor: int) -> str:
    """A quotient rounded up where it is positive, and at most 0 elsewhere: `raised` is `exact` + divisor - 1."""
    return exact if divisor == 1 else f"({raised}) / {divisor}"
