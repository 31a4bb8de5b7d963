"""ONNX Runtime against the interpreter: every op, every network, every width, every optimization level, by ==."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

import factories
import samples
from arithmos.ir.build import Builder
from arithmos.ir.codec import random_inputs
from arithmos.ir.graph import Graph
from arithmos.ir.interpret import evaluate
from arithmos.ir.interval import Interval, narrowest_dtype, signed, unsigned
from arithmos.ir.ops import INT
from arithmos.targets.onnx import TARGET
from arithmos.targets.onnx.runner import prepare

pytest.importorskip("onnxruntime", reason='pip install "arithmos[onnx]"')
pytest.importorskip("onnx", reason='pip install "arithmos[onnx]"')

LEVELS = ("none", "all")
POINTS = {"stride": (1, 1), "padding": ((0, 0), (0, 0)), "dilation": (1, 1), "groups": 1}
HUGE = Interval(-(1 << 62), 1 << 62)
CLOSE = Interval(1 << 61, (1 << 61) + (1 << 32) - 1)
"""Numbers with the same upper 32 bits: where a comparison in two halves can go wrong, and in ONNX Runtime did."""


def assert_same_integers(graph: Graph, *batches: dict[str, np.ndarray]) -> None:
    """Every value at every level, and the outputs alone, in the integer type of the range."""
    runs = [(inputs, evaluate(graph, inputs, every=True)) for inputs in batches]
    for level in LEVELS:
        every, alone = prepare(graph, True, level=level), prepare(graph, False, level=level)
        for inputs, expected in runs:
            shown, outputs = every(inputs), alone(inputs)
            assert shown.keys() == expected.keys()
            assert tuple(outputs) == graph.outputs
            for name, array in expected.items():
                interval = graph.values[name].range
                assert interval is not None
                assert shown[name].dtype == narrowest_dtype(interval)
                np.testing.assert_array_equal(shown[name], array, err_msg=f"{name} at level {level}")
            for name, array in outputs.items():
                np.testing.assert_array_equal(array, expected[name], err_msg=f"{name} alone at level {level}")


def test_coverage_is_the_whole_int_op_set() -> None:
    assert set(TARGET.ops) == set(INT)


@pytest.mark.parametrize(("op", "number"), samples.INT_EXAMPLES)
def test_every_example_of_every_op(op: str, number: int) -> None:
    graph = samples.example_graph(op, INT[op].examples[number])
    assert_same_integers(graph, *samples.all_inputs(graph))


@pytest.mark.parametrize("make", factories.INTEGER.values(), ids=factories.INTEGER)
def test_every_network(make: Callable[[], Graph]) -> None:
    graph = make()
    assert_same_integers(graph, random_inputs(graph, 3), *samples.corner_inputs(graph, 1))


def conv_of(x: Interval, weight: np.ndarray, bias: np.ndarray | None = None, **attrs: object) -> Graph:
    b = Builder("int")
    rank = weight.ndim - 2
    channels = weight.shape[1] * int(str(attrs.get("groups", 1)))
    name = b.input("x", (-1, channels, *(5,) * rank), x)
    return b.graph(factories.conv(b, name, weight, bias, name="y", **attrs))


def heavy(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(100, 128, shape)


def unary(op: str, x: Interval, **attrs: object) -> Graph:
    b = Builder("int")
    return b.graph(b.add(op, b.input("x", (-1, 3, 4), x), name="y", **attrs))


def binary(op: str, x: Interval, y: Interval) -> Graph:
    b = Builder("int")
    return b.graph(b.add(op, b.input("x", (-1, 40), x), b.input("y", (-1, 40), y), name="z"))


def requantize_of(x: Interval, mul: int | None, shift: int) -> Graph:
    b = Builder("int")
    operands = [b.input("x", (-1, 50), x)] + ([] if mul is None else [factories.number(b, mul)])
    return b.graph(b.add("requantize", *operands, shift=shift, lo=-(1 << 50), hi=1 << 50, name="y"))


WIDE: dict[str, Callable[[], Graph]] = {
    "conv just inside float32": lambda: conv_of(unsigned(8), np.full((2, 4, 2, 2), 127)),
    "conv in parts of channels": lambda: conv_of(signed(12), heavy(3, 300, 3, 3)[:, :120], np.array([1, -2, 3])),
    "conv in parts of taps, grouped": lambda: conv_of(signed(16), heavy(4, 2, 3, 3), groups=2),
    "conv whose bias alone leaves float32": lambda: conv_of(
        unsigned(8), heavy(2, 3, 3, 3), np.array([1 << 24, 1 - (1 << 24)])
    ),
    "conv in float64": lambda: conv_of(signed(30), heavy(2, 3, 3, 3), np.array([5, -5]), padding=((1, 0), (2, 1))),
    "conv in int64": lambda: conv_of(signed(48), heavy(2, 4, 3, 2), np.array([5, -5]), stride=(2, 1), groups=1),
    "conv in int64, grouped": lambda: conv_of(signed(48), heavy(4, 2, 3, 2), groups=2, dilation=(1, 2)),
    "conv over four axes": lambda: conv_of(signed(8), heavy(2, 3, 2, 2, 1, 2)),
    "linear in float64": lambda: linear_of(signed(20)),
    "linear in int64": lambda: linear_of(signed(50)),
    "matmul in float64": lambda: matmul_of(signed(20)),
    "matmul in int64": lambda: matmul_of(signed(29)),
    "add": lambda: binary("add", HUGE, Interval(-(1 << 61), 1 << 61)),
    "mul": lambda: binary("mul", signed(32), signed(31)),
    "maximum": lambda: binary("maximum", HUGE, HUGE),
    "floor_div in int64": lambda: binary("floor_div", HUGE, Interval(1, 1 << 40)),
    "floor_div at the edge of float64": lambda: binary(
        "floor_div", Interval(-(1 << 52), 1 << 52), Interval(1, 1 << 52)
    ),
    "floor_div by small numbers": lambda: binary("floor_div", Interval(-60, 60), Interval(1, 7)),
    "shift_right in int64": lambda: binary("shift_right", HUGE, Interval(0, 62)),
    "shift_right in float64": lambda: binary("shift_right", signed(50), Interval(0, 62)),
    "isqrt in int64": lambda: unary("isqrt", Interval(0, (1 << 63) - 1)),
    "isqrt in float64": lambda: unary("isqrt", Interval(0, (1 << 52) - 1)),
    "reduce_max": lambda: unary("reduce_max", HUGE, axes=(1,), keepdims=True),
    "reduce_max over close numbers": lambda: unary("reduce_max", CLOSE, axes=(1, 2), keepdims=False),
    "reduce_sum in float64": lambda: unary("reduce_sum", signed(48), axes=(2,), keepdims=False),
    "reduce_sum in int64": lambda: unary("reduce_sum", signed(59), axes=(1, 2), keepdims=True),
    "argmax": lambda: unary("argmax", HUGE, axis=2),
    "argmax of close numbers": lambda: unary("argmax", CLOSE, axis=2),
    "maximum of close numbers": lambda: binary("maximum", CLOSE, CLOSE),
    "clip of close numbers": lambda: unary("clip", CLOSE, lo=CLOSE.lo + (1 << 30), hi=CLOSE.hi - (1 << 30)),
    "max_pool": lambda: unary("max_pool", HUGE, kernel=(2,), stride=(2,), padding=((1, 1),)),
    "sum_pool in float64": lambda: unary("sum_pool", signed(40), kernel=(3,), stride=(1,), padding=((1, 1),)),
    "sum_pool in int64": lambda: unary("sum_pool", signed(60), kernel=(3,), stride=(1,), padding=((1, 1),)),
    "clip": lambda: unary("clip", HUGE, lo=-5, hi=(1 << 61) + 1),
    "clip to above everything": lambda: unary("clip", signed(8), lo=(1 << 30) + 1, hi=(1 << 31) + 1),
    "pad": lambda: unary("pad", signed(8), margins=((0, 0, 0), (1, 0, 2), (0, 2, 1)), fill=(1 << 60) + 1),
    "requantize in float64": lambda: requantize_of(signed(29), (1 << 24) - 1, 24),
    "requantize in int64": lambda: requantize_of(signed(38), -((1 << 24) - 1), 24),
    "requantize in int64 by a shift": lambda: requantize_of(signed(62), None, 40),
    "requantize without a shift": lambda: requantize_of(signed(40), 3, 0),
}


def linear_of(x: Interval) -> Graph:
    b = Builder("int")
    bias = b.constant("b", np.array([7, -7, 1 << 20]))
    return b.graph(b.add("linear", b.input("x", (-1, 9), x), b.constant("w", heavy(3, 9)), bias, name="y"))


def matmul_of(x: Interval) -> Graph:
    b = Builder("int")
    return b.graph(b.add("matmul", b.input("x", (-1, 3, 5), x), b.input("y", (-1, 5, 4), x), name="z"))


@pytest.mark.parametrize("make", WIDE.values(), ids=WIDE)
def test_every_width(make: Callable[[], Graph]) -> None:
    graph = make()
    assert_same_integers(graph, *samples.all_inputs(graph, 2))


def test_roots_and_quotients_beside_exact_squares_and_multiples() -> None:
    """The places where a rounded root or quotient would be one too high."""
    roots = np.array([1, 2, 3, 94_906_265, 3_037_000_499, (1 << 26) - 1, 1 << 26, 67_108_865])
    squares = np.concatenate([roots**2 - 1, roots**2, roots**2 + 1])
    for top in ((1 << 52) - 1, (1 << 63) - 1):
        fitting = squares[squares <= top]
        graph = unary("isqrt", Interval(0, top))
        assert_same_integers(graph, {"x": np.resize(fitting, (len(fitting), 3, 4)).astype(np.int64)})
    divisors = np.array([3, 7, (1 << 26) + 1, (1 << 51) - 1])
    for a_bits in (53, 62):
        numbers = np.concatenate(
            [s * (((1 << a_bits - 2) // divisors) * divisors + d) for d in (-1, 0, 1) for s in (-1, 1)]
        )
        x, y = np.resize(numbers, 40), np.resize(np.tile(divisors, 6), 40)
        graph = binary("floor_div", signed(a_bits), Interval(1, 1 << 51))
        assert_same_integers(graph, {"x": x[None].astype(np.int64), "y": y[None].astype(np.int64)})


def fusable() -> Graph:
    """What ONNX Runtime's optimizer likes to fuse: pad into max pool and conv; add, mul and clip into conv."""
    rng = np.random.default_rng(3)
    b = Builder("int")
    x = b.input("x", (-1, 4, 8, 8), signed(8))
    around = ((0, 0, 0), (0, 0, 0), (1, 1, 0), (1, 1, 0))
    padded = b.add("pad", x, margins=around, fill=0, name="zeros")
    pooled = b.add("max_pool", padded, kernel=(3, 3), stride=(1, 1), padding=((0, 0), (0, 0)), name="pooled")
    low = b.add("pad", x, margins=around, fill=-128, name="lows")
    low = b.add("max_pool", low, kernel=(3, 3), stride=(1, 1), padding=((1, 0), (0, 1)), name="low.pooled")
    y = factories.conv(b, padded, factories.int8_weight(rng, 4, 4, 3, 3), rng.integers(-9, 9, 4), name="conv.padded")
    summed = b.add(
        "add", y, factories.conv(b, x, factories.int8_weight(rng, 4, 4, 1, 1), name="conv.short"), name="sum"
    )
    clipped = b.add("clip", y, lo=0, hi=None, name="relu")
    scaled = b.add("mul", clipped, b.constant("gain", rng.integers(1 << 20, 1 << 24, (4, 1, 1))), name="scaled")
    moved = b.add("transpose", b.add("transpose", scaled, perm=(0, 2, 3, 1)), perm=(0, 3, 1, 2), name="moved")
    return b.graph(pooled, low, summed, moved)


def test_optimizations_that_would_change_the_meaning_do_not_apply() -> None:
    graph = fusable()
    assert_same_integers(graph, *samples.all_inputs(graph, 2))


@pytest.mark.parametrize("threads", [1, 2, 3])
def test_no_integer_depends_on_the_number_of_threads(threads: int) -> None:
    graph = conv_of(unsigned(8), heavy(16, 32, 3, 3, seed=4), padding=((1, 1), (1, 1)))
    inputs = random_inputs(graph, 5)
    expected = evaluate(graph, inputs)
    np.testing.assert_array_equal(prepare(graph, False, threads=threads)(inputs)["y"], expected["y"])


def test_inputs_and_constants_may_be_outputs_and_no_node_is_needed() -> None:
    b = Builder("int")
    x = b.input("x", (-1, 3), signed(8))
    c = b.constant("c", np.array([1, 2, 300]))
    graph = b.graph(x, c, b.add("clip", x, lo=-500, hi=None, name="unchanged"))
    results = prepare(graph, False)(random_inputs(graph, 2))
    expected = evaluate(graph, random_inputs(graph, 2))
    assert list(results) == ["x", "c", "unchanged"]
    for name, array in expected.items():
        np.testing.assert_array_equal(results[name], array)
    bare = Builder("int")
    only = bare.graph(bare.input("x", (-1, 3), signed(8)))
    np.testing.assert_array_equal(prepare(only, True)({"x": np.int8([[1, 2, 3]])})["x"], [[1, 2, 3]])


def test_a_model_too_large_for_memory_passes_through_a_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("arithmos.targets.onnx.runner.IN_MEMORY_BYTES", 10)
    graph = factories.residual_cnn()
    assert_same_integers(graph, random_inputs(graph, 2))
