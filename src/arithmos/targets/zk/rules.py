"""op -> gadget: what every op that is not linear becomes, element by element, with as many bits as its bounds need."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from arithmos.targets.zk import affine
from arithmos.targets.zk.combination import Signal, gathered, weighted
from arithmos.targets.zk.gadgets.argmax import argmax
from arithmos.targets.zk.gadgets.division import floor_div
from arithmos.targets.zk.gadgets.isqrt import isqrt
from arithmos.targets.zk.gadgets.maximum import maximum, reach_of
from arithmos.targets.zk.gadgets.power import power_of_two
from arithmos.targets.zk.gadgets.requantize import round_to, rounding
from arithmos.targets.zk.gadgets.selection import where
from arithmos.targets.zk.gadgets.table import lookup
from arithmos.targets.zk.multiplier import smallest
from arithmos.targets.zk.place import Bounds, Place, bit_lengths, classes
from arithmos.targets.zk.system import Label, System

Rule = Callable[[System, Place, list[Signal]], Signal]


def _each(c: System, place: Place, columns: tuple[np.ndarray, ...], make: Callable[..., Signal]) -> Signal:
    """make(rows, *values) for each class of elements that share the values of the columns; the parts put together."""
    label = c.label
    parts: list[Signal] = []
    rows: list[np.ndarray] = []
    for values, members in classes(*columns):
        c.label = Label(label.value, label.gadget, members if label.elements is None else label.elements[members])
        parts.append(make(members, *values))
        rows.append(members)
    c.label = label
    return gathered(parts, rows)


def _requantize(c: System, place: Place, operands: list[Signal]) -> Signal:
    at = place.node.attrs
    x, (least, greatest), mul = operands[0], place.spread_bounds(0), place.array(1)
    factor = np.ones(place.size, np.int64) if mul is None else mul.reshape(-1)[place.spread(1)]
    return _rounded(c, place, x[place.spread(0)], factor, at["shift"], (at["lo"], at["hi"]), (least, greatest))


def _clip(c: System, place: Place, operands: list[Signal]) -> Signal:
    at, (least, greatest) = place.node.attrs, place.spread_bounds(0)
    lo = int(least.min()) if at["lo"] is None else at["lo"]
    hi = max(int(greatest.max()), lo) if at["hi"] is None else at["hi"]
    return _rounded(c, place, operands[0], np.ones(place.size, np.int64), 0, (lo, hi), (least, greatest))


def _rounded(
    c: System,
    place: Place,
    x: Signal,
    factor: np.ndarray,
    shift: int,
    out: tuple[int, int],
    seen: tuple[np.ndarray, ...],
) -> Signal:
    """clip((x * factor + half) >> shift, out), each factor made as small as the bounds allow."""
    least, greatest = seen
    mul, offset, by = (np.empty(place.size, np.int64) for _ in range(3))
    for (value,), rows in classes(factor):
        found = smallest(value, shift, *out, int(least[rows].min()), int(greatest[rows].max()))
        mul[rows], offset[rows], by[rows] = found.mul, found.offset, found.shift
    first, last = np.sort(np.stack([least * mul + offset, greatest * mul + offset]) >> by, axis=0)
    base = np.clip(first, *out)  # the result is base + a number of 0 .. limit
    # Where only the upper side is clipped, a lower base makes the limit 2**k - 1, which costs least.
    spare = out[1] - (np.int64(1) << bit_lengths(out[1] - base)) + 1
    base = np.where((first >= base) & (last > out[1]) & (base < out[1]), spare, base)
    offset = offset - (base << by)

    def make(rows: np.ndarray, shift: int, below: int, top: int, limit: int) -> Signal:
        if limit == 0:
            return x[rows] * 0 + base[rows]
        form = rounding(shift, -(1 << (below - 1)) if below else 0, (1 << top) - 1, limit)
        return round_to(c, x[rows] * mul[rows] + offset[rows], form) + base[rows]

    return _each(c, place, _forms(by, first - base, last - base, out[1] - base), make)


def _forms(by: np.ndarray, low: np.ndarray, high: np.ndarray, limit: np.ndarray) -> tuple[np.ndarray, ...]:
    """(shift, 0 or 1 + bits below zero, bits above it, limit or 0 where nothing varies), alike for rows of one form."""
    top = bit_lengths(np.maximum(high, 0))
    below = np.where(low < 0, bit_lengths(-low - 1) + 1, 0)
    limits = np.where(high <= 0, 0, np.where(high > limit, limit, (np.int64(1) << top) - 1))
    return by, below, np.where(limits > 0, top, 0), limits


def _maximum(c: System, place: Place, operands: list[Signal]) -> Signal:
    x, y = (operand[place.spread(i)] for i, operand in enumerate(operands))
    return _larger(c, place, x, y, place.spread_bounds(0), place.spread_bounds(1))


def _larger(c: System, place: Place, x: Signal, y: Signal, x_bounds: Bounds, y_bounds: Bounds) -> Signal:
    """max(x, y), row by row; nothing where the bounds decide."""
    lo, hi = x_bounds[0] - y_bounds[1], x_bounds[1] - y_bounds[0]
    reach = np.where(lo >= 0, -1, np.where(hi <= 0, -2, bit_lengths(np.maximum(np.maximum(hi, -lo - 1), 0))))

    def make(rows: np.ndarray, reach: int) -> Signal:
        if reach < 0:
            return x[rows] if reach == -1 else y[rows]
        return maximum(c, x[rows], y[rows], reach)

    return _each(c, place, (reach,), make)


def _folded(c: System, place: Place, x: Signal, bounds: Bounds, taps: np.ndarray) -> tuple[Signal, Bounds]:
    """The maximum over each row of taps (elements of x; -1 where there is none) and its bounds."""
    # The taps that exist come first; rows with fewer of them repeat one, and its maximum with itself costs nothing.
    order = np.argsort(taps < 0, axis=1, kind="stable")
    taps = np.take_along_axis(taps, order, axis=1)
    label = c.label
    y, (lo, hi) = x[taps[:, 0]], tuple(b[taps[:, 0]] for b in bounds)
    for column in taps.T[1:]:
        if not (rows := np.flatnonzero(column >= 0)).size:
            break
        c.label = Label(label.value, label.gadget, rows)
        other = tuple(b[column[rows]] for b in bounds)
        taken = _larger(c, place, y[rows], x[column[rows]], (lo[rows], hi[rows]), other)
        rest = np.flatnonzero(column < 0)
        y = gathered([taken, y[rest]], [rows, rest])
        lo[rows], hi[rows] = np.maximum(lo[rows], other[0]), np.maximum(hi[rows], other[1])
    c.label = label
    return y, (lo, hi)


def _max_pool(c: System, place: Place, operands: list[Signal]) -> Signal:
    """Axis by axis: windows that overlap share the maxima of their rows."""
    at, x, shape = place.node.attrs, operands[0], place.operand_shape(0)
    bounds = place.operand_bounds(0)
    for axis in reversed(range(2, len(shape))):
        kernel, stride, pad = (at[key][axis - 2] for key in ("kernel", "stride", "padding"))
        index = np.arange(math.prod(shape)).reshape(shape)
        index = np.pad(index, [pad if a == axis else (0, 0) for a in range(len(shape))], constant_values=-1)
        n = place.shape[axis]
        taps = [np.take(index, np.arange(n) * stride + k, axis=axis).reshape(-1) for k in range(kernel)]
        c.label = Label(place.node.output, "maximum" if axis == 2 else "maximum of rows")
        x, bounds = _folded(c, place, x, bounds, np.stack(taps, axis=1))
        shape = (*shape[:axis], n, *shape[axis + 1 :])
    return x


def _reduce_max(c: System, place: Place, operands: list[Signal]) -> Signal:
    return _folded(c, place, operands[0], place.operand_bounds(0), affine.reduced(place))[0]


def _argmax(c: System, place: Place, operands: list[Signal]) -> Signal:
    taps = affine.reduced(place)
    lo, hi = (b[taps] for b in place.operand_bounds(0))
    reach = reach_of(int(lo.min()) - 1 - int(hi.max()), int(hi.max()) - 1 - int(lo.min()))
    return argmax(c, [operands[0][column] for column in taps.T], reach)


def _table(c: System, place: Place, operands: list[Signal]) -> Signal:
    offset, axis, entries = place.node.attrs["offset"], place.node.attrs["axis"], place.array(1)
    assert entries is not None
    lo, hi = place.operand_bounds(0)
    channel = np.zeros(place.size, np.int64)
    if axis is not None:
        channel = np.indices(place.shape)[axis].reshape(-1)

    def make(rows: np.ndarray, row: int) -> Signal:
        first, last = int(lo[rows].min()), int(hi[rows].max())
        table = entries if axis is None else entries[row]
        (y,) = lookup(c, operands[0][rows] - first, table[first - offset : last - offset + 1, None])
        return y

    return _each(c, place, (channel,), make)


def _gather(c: System, place: Place, operands: list[Signal]) -> Signal:
    data = place.array(0)
    assert data is not None, "rows are taken of a constant"
    width = math.prod(data.shape[1:])
    columns = lookup(c, operands[1], data.reshape(data.shape[0], width))
    rows = [np.arange(len(operands[1])) * width + i for i in range(width)]
    return gathered(columns, rows)


def _mul(c: System, place: Place, operands: list[Signal]) -> Signal:
    return c.product(operands[0][place.spread(0)], operands[1][place.spread(1)])


def _matmul(c: System, place: Place, operands: list[Signal]) -> Signal:
    """One product for each multiplication, added up for nothing."""
    left, right = affine.matmul_pairs(place.operand_shape(0), place.operand_shape(1), place.shape)
    n, k = left.shape
    products = c.product(operands[0][left.reshape(-1)], operands[1][right.reshape(-1)])
    return weighted([products[np.arange(n) * k + i] for i in range(k)], [1] * k)


def _floor_div(c: System, place: Place, operands: list[Signal]) -> Signal:
    a, b = (operand[place.spread(i)] for i, operand in enumerate(operands))
    (a_lo, a_hi), (b_lo, b_hi) = place.spread_bounds(0), place.spread_bounds(1)
    return _divided(c, place, a, b, _quotients(a_lo, a_hi, b_lo, b_hi), b_hi)


def _shift_right(c: System, place: Place, operands: list[Signal]) -> Signal:
    x = operands[0][place.spread(0)]
    (lo, hi), (s_lo, s_hi) = place.spread_bounds(0), place.spread_bounds(1)
    if place.array(1) is not None:
        base = lo >> s_lo

        def make(rows: np.ndarray, shift: int, top: int) -> Signal:
            if not top:
                return x[rows] * 0 + base[rows]
            form = rounding(shift, 0, (1 << top) - 1, (1 << top) - 1)
            return round_to(c, x[rows] - (base[rows] << shift), form) + base[rows]

        return _each(c, place, (s_lo, bit_lengths((hi >> s_lo) - base)), make)
    power = power_of_two(c, operands[1], int(s_hi.max()).bit_length())[place.spread(1)]
    one = np.int64(1)
    return _divided(c, place, x, power, _quotients(lo, hi, one << s_lo, one << s_hi), one << s_hi)


def _quotients(a_lo: np.ndarray, a_hi: np.ndarray, b_lo: np.ndarray, b_hi: np.ndarray) -> Bounds:
    corners = [a // b for a in (a_lo, a_hi) for b in (b_lo, b_hi)]
    return np.minimum.reduce(corners), np.maximum.reduce(corners)


def _divided(c: System, place: Place, a: Signal, b: Signal, y: Bounds, b_hi: np.ndarray) -> Signal:
    def make(rows: np.ndarray, n_quotient: int, n_remainder: int) -> Signal:
        return floor_div(c, a[rows], b[rows], y[0][rows], n_quotient, n_remainder)

    return _each(c, place, (bit_lengths(y[1] - y[0]), bit_lengths(b_hi - 1)), make)


def _isqrt(c: System, place: Place, operands: list[Signal]) -> Signal:
    top = np.array([math.isqrt(int(v)).bit_length() for v in place.operand_bounds(0)[1]])
    return _each(c, place, (top,), lambda rows, n: isqrt(c, operands[0][rows], n) if n else operands[0][rows] * 0)


def _where(c: System, place: Place, operands: list[Signal]) -> Signal:
    condition, a, b = (operand[place.spread(i)] for i, operand in enumerate(operands))
    interval = place.graph.values[place.node.inputs[0]].range
    assert interval is not None
    return where(c, condition, a, b, interval.lo, interval.hi)


GADGETS: dict[str, tuple[str, Rule]] = {
    "requantize": ("requantize", _requantize),
    "clip": ("requantize", _clip),
    "maximum": ("maximum", _maximum),
    "max_pool": ("maximum", _max_pool),
    "reduce_max": ("maximum", _reduce_max),
    "argmax": ("argmax", _argmax),
    "table": ("table", _table),
    "gather": ("table", _gather),
    "mul": ("product", _mul),
    "matmul": ("product", _matmul),
    "floor_div": ("division", _floor_div),
    "shift_right": ("division", _shift_right),
    "isqrt": ("isqrt", _isqrt),
    "where": ("selection", _where),
}
"""op -> (gadget, rule). With AFFINE it is the coverage table."""
