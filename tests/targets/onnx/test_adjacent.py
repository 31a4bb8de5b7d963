"""Every op behind every op that moves values, outputs alone: a value that is shown is not fused."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

import factories
import samples
from arithmos.ir.build import Builder
from arithmos.ir.graph import Graph
from arithmos.ir.interpret import evaluate
from arithmos.ir.interval import Interval, signed
from arithmos.ir.ops import INT
from arithmos.targets.onnx import layout
from arithmos.targets.onnx.runner import prepare

pytest.importorskip("onnxruntime", reason='pip install "arithmos[onnx]"')
pytest.importorskip("onnx", reason='pip install "arithmos[onnx]"')

Step = Callable[[Builder, str], str]

WINDOW = {"kernel": (3, 3), "stride": (2, 2), "padding": ((0, 0), (0, 0))}
AROUND = ((0, 0, 0), (0, 0, 0), (1, 1, 0), (1, 1, 0))


def drawn(b: Builder, *shape: int, lo: int = -99, hi: int = 99) -> str:
    """A constant of random integers."""
    return b.constant("c", np.random.default_rng(len(b.values)).integers(lo, hi, shape, endpoint=True))


def weighted(**attrs: object) -> Step:
    return lambda b, x: factories.conv(
        b, x, np.random.default_rng(1).integers(-99, 99, (2, b.values[x].shape[1], 3, 3)), name="next", **attrs
    )


def padded(fill: int, *margins: tuple[int, int, int]) -> Step:
    return lambda b, x: b.add("pad", x, margins=margins or AROUND, fill=fill, name="moved")


def nonnegative(b: Builder, x: str) -> str:
    """x by 128 upwards: 0 .. 255."""
    return b.add("add", x, b.constant("up", np.array(128)), name="up")


def looked_up(b: Builder, x: str, *, per_channel: bool) -> str:
    entries = drawn(b, *([4] if per_channel else []), 256)
    return b.add("table", x, entries, offset=-128, axis=1 if per_channel else None, name="moved")


MOVES: dict[str, Step] = {
    "reshape": lambda b, x: b.add("reshape", x, shape=(-1, 4, 4, 9), name="moved"),
    "transpose": lambda b, x: b.add("transpose", x, perm=(0, 2, 1, 3), name="moved"),
    "transpose, channels last": lambda b, x: b.add("transpose", x, perm=(0, 2, 3, 1), name="moved"),
    "concat": lambda b, x: b.add("concat", x, x, axis=1, name="moved"),
    "slice": lambda b, x: b.add("slice", x, slices=((1, 1, 1, 3), (2, 0, 1, 5)), name="moved"),
    "pad by 0": padded(0),
    "pad by the lowest": padded(-128),
    "pad by less than the lowest": padded(-300),
    "pad by more": padded(77),
    "pad of channels": padded(0, (0, 0, 0), (1, 2, 0), (0, 0, 0), (0, 0, 0)),
    "pad between": padded(-5, (0, 0, 0), (0, 0, 0), (1, 0, 1), (0, 2, 1)),
    "expand": lambda b, x: b.add("expand", drawn(b, 4, 1, 6), x, name="moved"),
    "table": lambda b, x: looked_up(b, x, per_channel=False),
    "table of each channel": lambda b, x: looked_up(b, x, per_channel=True),
    "gather": lambda b, x: b.add("gather", drawn(b, 256, 2), nonnegative(b, x), name="moved"),
}
"""The layout ops, in the ways in which an optimizer may see them."""

PERM = (0, 2, 3, 1)
AFTER: dict[str, Step] = {
    "conv": weighted(),
    "conv, padded": weighted(padding=((1, 0), (2, 1)), stride=(2, 1)),
    "linear": lambda b, x: b.add("linear", x, drawn(b, 3, b.values[x].shape[-1])),
    "matmul": lambda b, x: b.add("matmul", x, drawn(b, b.values[x].shape[-1], 2)),
    "add": lambda b, x: b.add("add", x, drawn(b, b.values[x].shape[1], 1, 1)),
    "sub": lambda b, x: b.add("sub", drawn(b, 1), x),
    "mul": lambda b, x: b.add("mul", x, drawn(b, b.values[x].shape[1], 1, 1)),
    "maximum": lambda b, x: b.add("maximum", x, drawn(b, 1)),
    "clip": lambda b, x: b.add("clip", x, lo=-7, hi=50),
    "where": lambda b, x: b.add("where", b.add("clip", x, lo=0, hi=1), x, drawn(b, 1)),
    "requantize": lambda b, x: b.add("requantize", x, drawn(b, b.values[x].shape[1], 1, 1), shift=4, lo=-128, hi=127),
    "shift_right": lambda b, x: b.add("shift_right", x, b.constant("s", np.array(3))),
    "floor_div": lambda b, x: b.add("floor_div", x, b.constant("d", np.array(7))),
    "isqrt": lambda b, x: b.add("isqrt", b.add("clip", x, lo=0, hi=None)),
    "max_pool": lambda b, x: b.add("max_pool", x, **WINDOW),
    "max_pool, padded": lambda b, x: b.add("max_pool", x, **(WINDOW | {"padding": ((1, 0), (0, 1))})),
    "sum_pool": lambda b, x: b.add("sum_pool", x, **WINDOW),
    "sum_pool, padded": lambda b, x: b.add("sum_pool", x, **(WINDOW | {"padding": ((1, 0), (0, 1))})),
    "reduce_sum": lambda b, x: b.add("reduce_sum", x, axes=(2, 3), keepdims=True),
    "reduce_max": lambda b, x: b.add("reduce_max", x, axes=(2, 3), keepdims=False),
    "argmax": lambda b, x: b.add("argmax", x, axis=1),
    "reshape": lambda b, x: b.add("reshape", x, shape=(-1, int(np.prod(b.values[x].shape[1:])))),
    "transpose": lambda b, x: b.add("transpose", x, perm=PERM),
    "concat": lambda b, x: b.add("concat", x, b.add("clip", x, lo=0, hi=9), axis=1),
    "slice": lambda b, x: b.add("slice", x, slices=((3, 1, 2, 2),)),
    "pad": lambda b, x: b.add("pad", x, margins=AROUND, fill=-9),
    "expand": lambda b, x: b.add("expand", drawn(b, 1, 1), x),
    "table": lambda b, x: b.add("table", b.add("clip", x, lo=-9, hi=9), drawn(b, 19), offset=-9, axis=None),
    "gather": lambda b, x: b.add("gather", drawn(b, 10), b.add("clip", x, lo=0, hi=9)),
}
"""Every op behind them; pools as they are, padded and not, for it is there that a fill value can get lost."""


def pair(move: Step, after: Step) -> Graph:
    """Rounded sums, moved, and the op behind. A gather adds an axis of 2, which is merged into the last."""
    b = Builder("int")
    x = b.input("x", (-1, 4, 6, 6), signed(8))
    acc = factories.conv(b, x, np.random.default_rng(0).integers(-99, 99, (4, 4, 1, 1)), np.full(4, -9000), name="acc")
    y = move(b, b.add("requantize", acc, shift=8, lo=-128, hi=127, name="rounded"))
    if len(b.values[y].shape) == 5:
        y = b.add("reshape", y, shape=(*b.values[y].shape[:3], 12), name="merged")
    return b.graph(after(b, y))


def test_all_of_them_are_here() -> None:
    assert {name.split(",")[0].split()[0] for name in MOVES} == set(layout.EMIT)
    assert {name.split(",")[0] for name in AFTER} == set(INT)


@pytest.mark.parametrize("move", MOVES)
def test_every_op_behind_every_move(move: str) -> None:
    for name, after in AFTER.items():
        graph = pair(MOVES[move], after)
        run = prepare(graph, False)
        for inputs in samples.all_inputs(graph, 2):
            for value, expected in evaluate(graph, inputs).items():
                np.testing.assert_array_equal(run(inputs)[value], expected, err_msg=f"{name} behind {move}")


@pytest.mark.parametrize("axis", [None, 1])
def test_a_table_of_the_lowest_integers(axis: int | None) -> None:
    b = Builder("int")
    lowest = -(1 << 63)
    x = b.input("x", (-1, 3, 2), Interval(lowest, lowest + 5))
    entries = drawn(b, *([3] if axis else []), 6)
    graph = b.graph(b.add("table", x, entries, offset=lowest, axis=axis, name="y"))
    for inputs in samples.all_inputs(graph, 2):
        np.testing.assert_array_equal(prepare(graph, False)(inputs)["y"], evaluate(graph, inputs)["y"])
