"""Random networks over the whole integer op set: what follows what, in which shape and width, is drawn."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from arithmos.errors import ArithmosError
from arithmos.ir.build import Builder
from arithmos.ir.graph import Graph, Shape
from arithmos.ir.interval import Interval, signed, unsigned

RANGES = (
    *(signed(8), unsigned(8), signed(4), signed(16), unsigned(16), signed(24), signed(31)),
    *(Interval(-3, 200), Interval(100, 120), Interval(-90, -7), Interval(0, 1)),
)
CHANNELS = (1, 2, 3, 4, 5, 8, 16, 17, 20)

Draw = Callable[["Drawing", str], str]


class Drawing:
    """A network under construction, the values to draw from, those nothing reads, and the source of chance.

    A class because it has a lifetime: it grows until the network is made.
    """

    def __init__(self, builder: Builder, rng: np.random.Generator, prefix: str) -> None:
        self.b, self.rng, self.prefix = builder, rng, prefix
        self.values: list[str] = []
        self.ends: list[str] = []

    def one(self, *choices: object) -> object:
        """One of the choices."""
        return choices[int(self.rng.integers(len(choices)))]

    def upto(self, lowest: int, highest: int) -> int:
        """An integer of lowest .. highest."""
        return int(self.rng.integers(lowest, highest, endpoint=True))

    def numbers(self, *shape: int, lo: int, hi: int) -> str:
        """A constant of integers of lo .. hi."""
        return self.b.constant(f"{self.prefix}c", self.rng.integers(lo, hi, shape, endpoint=True))

    def spread(self, *shape: int, most: int = 20) -> str:
        """A constant of integers of at most a drawn number of bits."""
        bits = self.upto(1, most)
        return self.numbers(*shape, lo=-(1 << bits), hi=1 << bits)

    def put(self, op: str, *inputs: str, **attrs: object) -> str:
        """The next node."""
        return self.b.add(op, *inputs, name=f"{self.prefix}{op}", **attrs)

    def shape(self, value: str) -> Shape:
        """The shape of a value."""
        return self.b.values[value].shape

    def range(self, value: str) -> Interval:
        """The proven range of a value."""
        found = self.b.values[value].range
        assert found is not None
        return found

    def beside(self, x: str) -> str:
        """A constant that broadcasts to x: one number, one for each channel, or one for each place of the last axis."""
        shape = self.shape(x)
        return self.spread(*(((), (shape[1], *[1] * (len(shape) - 2)), (shape[-1],))[self.upto(0, 2)]))

    def other(self, x: str) -> str:
        """Another value, or a constant beside x."""
        return self.values[self.upto(0, len(self.values) - 1)] if self.rng.random() < 0.6 else self.beside(x)

    def between(self, x: str, lo: int, hi: int) -> str:
        """x clipped to lo .. hi, where it leaves them."""
        inside = self.range(x) in Interval(lo, hi)
        return x if inside else self.put("clip", x, lo=lo, hi=hi)

    def pairs(self, n: int, most: int = 2) -> tuple[tuple[int, int], ...]:
        """Margins of the spatial axes."""
        return tuple((self.upto(0, most), self.upto(0, most)) for _ in range(n))

    def each(self, n: int, lowest: int, highest: int) -> tuple[int, ...]:
        """n integers of lowest .. highest."""
        return tuple(self.upto(lowest, highest) for _ in range(n))


def _conv(d: Drawing, x: str) -> str:
    channels, n = d.shape(x)[1], len(d.shape(x)) - 2
    groups = int(str(d.one(1, 1, *(g for g in range(1, channels + 1) if channels % g == 0))))
    out, bits = groups * d.upto(1, 4), int(str(d.one(1, 7, 7, 7, 11)))
    weight = d.numbers(out, channels // groups, *d.each(n, 1, 3), lo=-(1 << bits), hi=(1 << bits) - 1)
    bias = [d.spread(out)] if d.rng.random() < 0.6 else []
    attrs = {"stride": d.each(n, 1, 2), "padding": d.pairs(n), "dilation": d.each(n, 1, 2), "groups": groups}
    return d.put("conv", x, weight, *bias, **attrs)


def _linear(d: Drawing, x: str) -> str:
    out = d.upto(1, 20)
    bias = [d.spread(out)] if d.rng.random() < 0.5 else []
    return d.put("linear", x, d.numbers(out, d.shape(x)[-1], lo=-128, hi=127), *bias)


def _matmul(d: Drawing, x: str) -> str:
    shape = d.shape(x)
    if d.rng.random() < 0.5:
        return d.put("matmul", x, d.numbers(shape[-1], d.upto(1, 9), lo=-128, hi=127))
    turned = (*range(len(shape) - 2), len(shape) - 1, len(shape) - 2)
    return d.put("matmul", x, d.put("transpose", x, perm=turned))


def _requantize(d: Drawing, x: str) -> str:
    mul = [] if d.rng.random() < 0.3 else [d.beside(x)]
    lo = int(str(d.one(-128, -128, 0, -7, 5, -30_000)))
    return d.put("requantize", x, *mul, shift=d.one(0, 1, 4, 8, 16, 24, 33, 41), lo=lo, hi=lo + d.upto(0, 300))


def _pool(op: str) -> Draw:
    def draw(d: Drawing, x: str) -> str:
        n = len(d.shape(x)) - 2
        kernel = d.each(n, 1, 3)
        padding = tuple((d.upto(0, k - 1), d.upto(0, k - 1)) for k in kernel)
        return d.put(op, x, kernel=kernel, stride=d.each(n, 1, 2), padding=padding)

    return draw


def _reduce(op: str) -> Draw:
    def draw(d: Drawing, x: str) -> str:
        rank = len(d.shape(x))
        axes = tuple(range(2, rank)) if rank > 2 and d.rng.random() < 0.7 else (d.upto(1, rank - 1),)
        return d.put(op, x, axes=axes, keepdims=bool(d.rng.random() < 0.7))

    return draw


def _reshape(d: Drawing, x: str) -> str:
    shape = d.shape(x)
    return d.put("reshape", x, shape=d.one((-1, int(np.prod(shape[1:]))), (*shape[:-1], 1, shape[-1]), (*shape, 1)))


def _concat(d: Drawing, x: str) -> str:
    fitting = [v for v in d.values[-5:] if len(d.shape(v)) == len(d.shape(x)) and d.shape(v)[2:] == d.shape(x)[2:]]
    return d.put("concat", x, *fitting, axis=1)


def _slice(d: Drawing, x: str) -> str:
    axis = d.upto(1, len(d.shape(x)) - 1)
    extent, step = d.shape(x)[axis], d.upto(1, 2)
    start = d.upto(0, extent - 1)
    count = d.upto(1, (extent - 1 - start) // step + 1)
    backwards = d.rng.random() < 0.2
    slices = (axis, start + (count - 1) * step, -step, count) if backwards else (axis, start, step, count)
    return d.put("slice", x, slices=(slices,))


def _pad(d: Drawing, x: str) -> str:
    channels = d.one((0, 0, 0), (0, 0, 0), (2, 1, 0))
    space = [(d.upto(0, 2), d.upto(0, 2), d.upto(0, 1)) for _ in d.shape(x)[2:]]
    return d.put("pad", x, margins=((0, 0, 0), channels, *space), fill=d.one(0, 0, -5, d.range(x).lo, 300))


def _table(d: Drawing, x: str) -> str:
    x = d.between(x, -100, 155)
    shape, interval = d.shape(x), d.range(x)
    per_channel = [shape[1]] if d.rng.random() < 0.4 else []
    entries = d.numbers(*per_channel, interval.hi - interval.lo + d.upto(1, 4), lo=-128, hi=127)
    return d.put("table", x, entries, offset=interval.lo, axis=1 if per_channel else None)


OPS: dict[str, Draw] = {
    "conv": _conv,
    "linear": _linear,
    "matmul": _matmul,
    "add": lambda d, x: d.put("add", x, d.other(x)),
    "sub": lambda d, x: d.put("sub", *((x, d.other(x)) if d.rng.random() < 0.5 else (d.other(x), x))),
    "mul": lambda d, x: d.put("mul", x, d.other(x)),
    "maximum": lambda d, x: d.put("maximum", x, d.other(x)),
    "clip": lambda d, x: d.put("clip", x, lo=d.upto(-100, 0), hi=d.one(None, 100)),
    "where": lambda d, x: d.put("where", d.between(d.values[d.upto(0, len(d.values) - 1)], 0, 1), x, d.other(x)),
    "requantize": _requantize,
    "shift_right": lambda d, x: d.put("shift_right", x, d.between(d.other(x), 0, d.upto(1, 20))),
    "floor_div": lambda d, x: d.put("floor_div", x, d.between(d.other(x), 1, d.upto(2, 999))),
    "isqrt": lambda d, x: d.put("isqrt", d.put("clip", x, lo=0, hi=None)),
    "max_pool": _pool("max_pool"),
    "sum_pool": _pool("sum_pool"),
    "reduce_sum": _reduce("reduce_sum"),
    "reduce_max": _reduce("reduce_max"),
    "argmax": lambda d, x: d.put("argmax", x, axis=d.upto(1, len(d.shape(x)) - 1)),
    "reshape": _reshape,
    "transpose": lambda d, x: d.put("transpose", x, perm=(0, *(d.rng.permutation(len(d.shape(x)) - 1) + 1).tolist())),
    "concat": _concat,
    "slice": _slice,
    "pad": _pad,
    "expand": lambda d, x: d.put("expand", d.spread(d.shape(x)[-1]), x),
    "table": _table,
    "gather": lambda d, x: d.put("gather", d.spread(10, *d.each(d.upto(0, 1), 1, 3)), d.between(x, 0, 9)),
}
"""One way to draw each op behind a value; a draw that fits no shape or range is left out."""

OFTEN = ("conv", "conv", "requantize", "requantize", "requantize", "pad", "max_pool", "slice", "add", "linear")
"""What a network has more of than of other ops."""


def drawn_into(b: Builder, seed: int, prefix: str = "") -> list[str]:
    """A random network with names of this prefix; its outputs are the last value and some others."""
    d = Drawing(b, np.random.default_rng(seed), prefix)
    shape = (-1, int(str(d.one(*CHANNELS))), *d.each(int(str(d.one(1, 2, 2, 2, 2))), 1, 7))
    for _ in range(d.upto(1, 2)):
        d.values.append(b.input(f"{prefix}x{len(d.values)}", shape, RANGES[d.upto(0, len(RANGES) - 1)]))
    wanted = d.upto(4, 12)
    for _ in range(4 * wanted):
        if len(d.values) >= wanted:
            break
        op = str(d.one(*OPS, *OFTEN))
        try:
            y = OPS[op](d, d.values[-d.upto(1, min(3, len(d.values)))])
        except (ArithmosError, IndexError):
            continue
        small = np.prod([abs(extent) for extent in d.shape(y)]) <= 4_000 and 2 <= len(d.shape(y)) <= 6
        (d.values if small else d.ends).append(y)
    return list(dict.fromkeys([*(v for v in d.values if d.rng.random() < 0.2), *d.ends, d.values[-1]]))


def operations(*seeds: int) -> Graph:
    """The random networks of these seeds side by side in one graph."""
    b = Builder("int")
    outputs = [name for seed in seeds for name in drawn_into(b, seed, f"n{seed}.")]
    return b.graph(*outputs)
