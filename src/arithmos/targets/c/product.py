"""conv and linear: rows of the input times rows of weights, four rows at a time.

The loops are shaped for vectorising compilers and small processors alike. Four positions are gathered into `columns`
(all that a filter sees of each, side by side); then every filter meets the four columns in one loop of constant length
over contiguous bytes, which gcc turns into dot-product instructions where the processor has them.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from arithmos.ir.graph import Node
from arithmos.ir.interval import Interval, signed, unsigned
from arithmos.targets.c.ctype import INT32, Term, ctype_of, widened, work_type
from arithmos.targets.c.emission import Function, Operand, Table, describe
from arithmos.targets.c.geometry import Window, places, window_of
from arithmos.targets.c.layout import Loop, channels_last, coordinate, index, packed, product, sum_of
from arithmos.targets.c.scalar import finish
from arithmos.targets.c.window import depthwise

TILE = 4
"""Positions that share one pass over the weights: enough to hide their loads, few enough for sixteen registers."""

CHUNK = 32
"""Columns of 8-bit integers are padded with zeros to a multiple of this, the bytes of a vector register."""

OFFSET = 128
"""Added to int8 columns, and taken out of the bias: dot-product instructions want unsigned times signed."""


@dataclass(frozen=True, slots=True)
class Rows:
    """y[p, c] = bias[c] + sum over k of x[p, k] * w[c, k], in groups of filters that see their own columns.

    axes: the axes of y that p counts through; channel: the axis c. direct: the rows lie side by side in memory.
    gather(function, position, offset) writes the code that fills `column` for a position, with `+ offset` everywhere.
    """

    x: Operand
    weights: np.ndarray
    bias: np.ndarray | None
    groups: int
    axes: tuple[int, ...]
    channel: int
    direct: bool
    gather: Callable[[Function, str, int], None]


@dataclass(frozen=True, slots=True)
class Tiling:
    """How the product is cut: `tile` of `positions` at a time, `filters` of each group, `pitch` entries a column.

    work: the type of the sums. offset: what is added to the columns. gathers: whether there are columns at all.
    """

    positions: int
    tile: int
    filters: int
    pitch: int
    work: str
    offset: int
    gathers: bool

    @property
    def position(self) -> str:
        """The C variable that is the position inside the loop over a tile."""
        return "p" if self.positions > self.tile else "t"

    def entry(self, t: str, pitch: int, inner: str) -> str:
        """The index of entry `inner` of line t."""
        return sum_of([product(t, pitch) if not t.isdigit() else str(int(t) * pitch) if t != "0" else "", inner])


def conv(function: Function, node: Node) -> None:
    """y[o, p] = b[o] + sum over c, k of w[o, c, k] * x[c, p * stride + k * dilation - padding]."""
    weight = function.program.graph.constants[node.inputs[1]]
    groups, shape = node.attrs["groups"], function.shape(node.output)
    if weight.shape[1] == 1 and weight.shape[0] == groups:
        depthwise(function, node)
        return
    x = function.operand(node.inputs[0])
    window = window_of(node, x.layout.shape, weight.shape[2:], shape)
    filters = np.moveaxis(weight, 1, -1).reshape(weight.shape[0], -1)
    still = set(window.kernel) | set(window.stride) == {1} and not any(sum(node.attrs["padding"], ()))
    direct = still and groups == 1 and x.layout == channels_last(x.layout.shape)
    axes = (0, *range(2, len(shape)))
    gather = partial(_gather_window, window, x, shape, weight.shape[1], groups)
    _emit(function, node, Rows(x, filters, _bias(function, node), groups, axes, 1, direct, gather))


def linear(function: Function, node: Node) -> None:
    """y[p, o] = b[o] + sum over k of w[o, k] * x[p, k]."""
    x, last = function.operand(node.inputs[0]), len(function.shape(node.output)) - 1
    weight = function.program.graph.constants[node.inputs[1]]
    direct = x.layout == packed(x.layout.shape)
    gather = partial(_gather_row, x)
    _emit(function, node, Rows(x, weight, _bias(function, node), 1, tuple(range(last)), last, direct, gather))


def _bias(function: Function, node: Node) -> np.ndarray | None:
    return function.program.graph.constants[node.inputs[2]].astype(np.int64) if len(node.inputs) > 2 else None


def _emit(function: Function, node: Node, rows: Rows) -> None:
    value, shape = function.program.graph.values[node.output], function.shape(node.output)
    assert value.range is not None
    cut = _tiling(rows, math.prod(shape[axis] for axis in rows.axes), value.range)
    weights, start = _constants(function, node, rows, cut)
    if cut.gathers:
        dtype = np.dtype(np.uint8) if cut.offset else rows.x.dtype
        function.local("columns", dtype, cut.tile * cut.pitch, cleared=cut.pitch != rows.weights.shape[1])
    function.local("acc", np.dtype(cut.work[:-2]), cut.tile * cut.filters)
    with ExitStack() as stack:
        if rows.groups > 1:
            stack.enter_context(function.loop("g", rows.groups))
        if cut.positions > cut.tile:
            stack.enter_context(_tiles(function, cut))
        if cut.gathers:
            with _positions(function, cut):
                line = f" + {product('t', cut.pitch)}" if cut.tile > 1 else ""
                function.line(f"{ctype_of(dtype)} *restrict column = columns{line};")
                rows.gather(function, cut.position, cut.offset)
        elif cut.positions > cut.tile:
            function.line(f"const {ctype_of(rows.x.dtype)} *restrict row = {rows.x.pointer} + first * {cut.pitch};")
        source = "columns" if cut.gathers else "row" if cut.positions > cut.tile else rows.x.pointer
        _sums(function, rows, cut, source, weights, start)
        with _positions(function, cut), function.loop("o", cut.filters):
            channel = _channel(function, rows, cut)
            place = cut.entry("t", cut.filters, "o") if cut.tile > 1 else "o"
            loops = [Loop(cut.position, rows.axes), Loop(channel, (rows.channel,))]
            finish(function, loops, Term(f"acc[{place}]", value.range, cut.work, True))


def _tiling(rows: Rows, n_positions: int, total: Interval) -> Tiling:
    """Types and extents. `total` holds every partial sum that starts from the bias, so no sum can leave its type."""
    n_filters, terms = rows.weights.shape[0] // rows.groups, rows.weights.shape[1]
    weight = Interval(int(rows.weights.min(initial=0)), int(rows.weights.max(initial=0)))
    work = work_type(total, rows.x.range, weight, rows.x.range * weight)
    narrow = rows.x.dtype.itemsize == 1 and weight in signed(8) and work == "int32_t"
    padded = -(-terms // CHUNK) * CHUNK
    pitch = padded if narrow and 3 * padded <= 4 * terms else terms
    offset = OFFSET if narrow and rows.x.dtype == np.int8 and _shifted_bias_fits(rows) else 0
    gathers = bool(offset) or pitch != terms or not rows.direct
    return Tiling(n_positions, min(TILE, n_positions), n_filters, pitch, work, offset, gathers)


def _shifted(rows: Rows) -> np.ndarray:
    """bias - 128 * sum of the weights, for each filter."""
    sums = rows.weights.sum(axis=1, dtype=np.int64)
    return np.asarray((0 if rows.bias is None else rows.bias) - OFFSET * sums)


def _shifted_bias_fits(rows: Rows) -> bool:
    """Whether every partial sum of (x + 128) * w that starts from the shifted bias is an int32."""
    bias, bytes_range = _shifted(rows), unsigned(8)
    plus = np.maximum(rows.weights, 0).sum(axis=1, dtype=np.int64) * bytes_range.hi
    minus = np.minimum(rows.weights, 0).sum(axis=1, dtype=np.int64) * bytes_range.hi
    return Interval(int((bias + minus).min()), int((bias + plus).max())) in INT32


def _constants(function: Function, node: Node, rows: Rows, cut: Tiling) -> tuple[Table, str]:
    """The filters as rows of `pitch`, and what each sum starts from ("0" or an array, `{}` the channel)."""
    program, terms = function.program, rows.weights.shape[1]
    name = node.inputs[1]

    def padded() -> np.ndarray:
        return np.pad(rows.weights, ((0, 0), (0, cut.pitch - terms)))

    note = f", rows of {cut.pitch}, zeros behind {terms}" if cut.pitch != terms else f", rows of {terms}"
    order = " as (filter, kernel, channel)" if node.op == "conv" and math.prod(function.shape(name)[2:]) > 1 else ""
    weights = program.table(name, f"rows{cut.pitch}", padded, f"{describe(program.graph, name)}{order}{note}")
    if cut.offset:
        kind, meaning = f"less_{OFFSET}", f"{OFFSET} * the sum of each filter, for x + {OFFSET} is unsigned"
        if rows.bias is None:
            return weights, program.table(name, kind, lambda: _shifted(rows), f"0 - {meaning}").identifier + "[{}]"
        bias = node.inputs[2]
        return weights, program.table(
            f"{bias}",
            f"{kind}_{program.names[name]}",
            lambda: _shifted(rows),
            f"{describe(program.graph, bias)} - {meaning}",
        ).identifier + "[{}]"
    return weights, "0" if rows.bias is None else function.operand(node.inputs[2]).pointer + "[{}]"


@contextmanager
def _tiles(function: Function, cut: Tiling) -> Iterator[None]:
    """The loop over tiles; where they do not divide the positions, the last one overlaps the one before."""
    if cut.positions % cut.tile == 0:
        with function.block(f"for (int first = 0; first < {cut.positions}; first += {cut.tile})"):
            yield
        return
    last = cut.positions - cut.tile
    with function.loop("tile", -(-cut.positions // cut.tile)):
        function.line(
            f"const int first = tile * {cut.tile} < {last} ? tile * {cut.tile} : {last}; /* tiles may overlap */"
        )
        yield


@contextmanager
def _positions(function: Function, cut: Tiling) -> Iterator[None]:
    """The loop over the positions of a tile."""
    if cut.tile == 1:
        yield
        return
    with function.loop("t", cut.tile):
        if cut.positions > cut.tile:
            function.line("const int p = first + t;")
        yield


def _channel(function: Function, rows: Rows, cut: Tiling) -> str:
    if rows.groups == 1:
        return "o"
    function.line(f"const int channel = g * {cut.filters} + o;" if cut.filters > 1 else "const int channel = g + o;")
    return "channel"


def _sums(function: Function, rows: Rows, cut: Tiling, source: str, weights: Table, start: str) -> None:
    """Every filter of the group with every column of the tile."""
    ctype, x = ctype_of(weights.array.dtype), ctype_of(np.dtype(np.uint8) if cut.offset else rows.x.dtype)
    with function.loop("o", cut.filters):
        channel = _channel(function, rows, cut)
        function.line(f"const {ctype} *restrict w = {weights.identifier} + {product(channel, cut.pitch)};")
        first = ", ".join(f"sum{t} = {'sum0' if t else start.format(channel)}" for t in range(cut.tile))
        function.line(f"{cut.work} {first};")
        with function.loop("k", cut.pitch):
            for t in range(cut.tile):
                term = Term(f"{source}[{cut.entry(str(t), cut.pitch, 'k')}]", rows.x.range, x, True)
                function.line(f"sum{t} += {widened(term, cut.work).text} * w[k];")
        for t in range(cut.tile):
            function.line(f"acc[{cut.entry(str(t), cut.filters, 'o')}] = sum{t};")


def _gather_row(x: Operand, function: Function, position: str, offset: int) -> None:
    """column[k] = x[position, k]."""
    last = len(x.layout.shape) - 1
    with function.loop("k", x.layout.shape[last]):
        place = index(x.layout, [Loop(position, tuple(range(last))), Loop("k", (last,))])
        function.line(f"column[k] = {_shift(f'{x.pointer}[{place}]', offset)};")


def _gather_window(
    window: Window,
    x: Operand,
    y_shape: tuple[int, ...],
    channels: int,
    groups: int,
    function: Function,
    position: str,
    offset: int,
) -> None:
    """column[k, c] = x[c, place k of the window at position], zero outside."""
    axes = [axis for axis in (0, *range(2, len(y_shape))) if y_shape[axis] > 1]
    for i, axis in enumerate(axes):
        variable = "n" if axis == 0 else f"o{window.letters[axis - 2]}"
        function.line(f"const int {variable} = {coordinate(position, y_shape, axes, i)};")
    if groups == 1 and _rows_are_runs(window, x, channels):
        _gather_runs(function, window, x, channels, offset)
        return
    ctype, stride = ctype_of(x.dtype), x.layout.strides[1]
    with places(function, window):
        group = product("g", channels * stride) if groups > 1 else ""
        base = index(x.layout, window.positions(x.layout.shape))
        start = sum_of([base if base != "0" else "", group])
        outside = window.outside(range(len(window.size)))
        if outside:
            with function.block(f"if ({outside})"), function.loop("c", channels):
                function.line(f"column[c] = {offset};")
        with function.block("else" if outside else ""):
            function.line(f"const {ctype} *restrict pixel = {x.pointer} + {start};")
            with function.loop("c", channels):
                place = product("c", stride) or "0"
                function.line(f"column[c] = {_shift(f'pixel[{place}]', offset)};")
        function.line(f"column += {channels};")


def _rows_are_runs(window: Window, x: Operand, channels: int) -> bool:
    """Whether all that a window sees along the last axis lies side by side in memory."""
    side_by_side = channels == 1 or x.layout.strides[1] == 1
    return side_by_side and window.dilation[-1] == 1 < window.kernel[-1] and x.layout.strides[-1] == channels


def _gather_runs(function: Function, window: Window, x: Operand, channels: int, offset: int) -> None:
    """The same a row of the window at a time: one contiguous copy where the whole row lies inside."""
    last = len(window.size) - 1
    run, pitch = window.kernel[last] * channels, window.size[last] * channels
    head = replace(window, letters=window.letters[:last], size=window.size[:last], kernel=window.kernel[:last])
    start = product(f"o{window.letters[last]}", window.stride[last] * channels) if window.count[last] > 1 else ""
    before = window.padding[last][0] * channels
    function.line(f"const int start = {sum_of([start, str(-before) if before else ''])}; /* in a row of {pitch} */")
    outside = head.outside(range(last))
    with places(function, head):
        base = index(x.layout, head.positions(x.layout.shape))
        if outside:
            with function.block(f"if ({outside})"), function.loop("k", run):
                function.line(f"column[k] = {offset};")
        with function.block("else" if outside else ""):
            function.line(f"const {ctype_of(x.dtype)} *restrict row = {x.pointer} + {base};")
            inside = _shift("row[start + k]", offset)
            if window.leaves(last):
                with function.block(f"if (start >= 0 && start <= {pitch - run})"), function.loop("k", run):
                    function.line(f"column[k] = {inside};")
                with function.block("else"), function.loop("k", run):
                    function.line(f"column[k] = start + k < 0 || start + k >= {pitch} ? {offset} : {inside};")
            else:
                with function.loop("k", run):
                    function.line(f"column[k] = {inside};")
        function.line(f"column += {run};")


def _shift(element: str, offset: int) -> str:
    return f"(uint8_t)({element} + {offset})" if offset else element
