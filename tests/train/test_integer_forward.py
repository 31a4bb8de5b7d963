from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason='pip install "arithmos[torch]"')

import factories  # noqa: E402
import samples  # noqa: E402
from arithmos.ir.build import Builder  # noqa: E402
from arithmos.ir.graph import Graph  # noqa: E402
from arithmos.ir.interpret import evaluate  # noqa: E402
from arithmos.ir.interval import Interval, signed, unsigned  # noqa: E402
from arithmos.ir.ops import INT  # noqa: E402
from arithmos.train.integer_forward import IntegerForward  # noqa: E402
from arithmos.train.real_ops import REAL  # noqa: E402
from random_networks import integer_network  # noqa: E402
from random_operations import operations  # noqa: E402

INPUT = unsigned(8)


def on_torch(graph: Graph, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Every value as int64; a float that holds no integer is a difference."""
    tensors = {name: torch.from_numpy(array.astype(np.int64)) for name, array in inputs.items()}
    values = {n: t.detach().numpy() for n, t in IntegerForward(graph)(tensors, every=True).items()}
    assert all(np.array_equal(a, np.floor(a)) for a in values.values())
    return {n: a.astype(np.int64) for n, a in values.items()}


def assert_equal_on_all_inputs(graph: Graph, n: int = 3) -> None:
    for inputs in samples.all_inputs(graph, n):
        expected, got = evaluate(graph, inputs, every=True), on_torch(graph, inputs)
        assert expected.keys() == got.keys()
        assert not [name for name in expected if not np.array_equal(expected[name], got[name])]


def test_every_op_has_a_row() -> None:
    assert set(REAL) == set(INT)


@pytest.mark.parametrize(("op", "number"), samples.INT_EXAMPLES)
def test_every_op_equals_the_interpreter(op: str, number: int) -> None:
    assert_equal_on_all_inputs(samples.example_graph(op, INT[op].examples[number], seed=number))


@pytest.mark.parametrize("name", factories.INTEGER)
def test_every_value_of_the_expressible_networks_equals_the_interpreters(name: str) -> None:
    assert_equal_on_all_inputs(factories.INTEGER[name]())


@pytest.mark.parametrize("seeds", [range(start, start + 20) for start in range(0, 60, 20)], ids=str)
def test_every_value_of_random_networks_equals_the_interpreters(seeds: range) -> None:
    for seed in seeds:
        assert_equal_on_all_inputs(operations(seed), 2)
        assert_equal_on_all_inputs(integer_network(seed), 2)


def wide_conv(channels: int, weight: int, groups: int = 1) -> Graph:
    b = Builder("int")
    x = b.input("x", (-1, channels, 5, 5), INPUT)
    rng = np.random.default_rng(1)
    w = b.constant("w", rng.integers(-weight, weight + 1, (2 * groups, channels // groups, 3, 3)))
    bias = b.constant("b", rng.integers(-(1 << 29), 1 << 29, 2 * groups))
    attrs = {"stride": (1, 1), "padding": ((1, 1), (1, 0)), "dilation": (1, 1), "groups": groups}
    return b.graph(b.add("conv", x, w, bias, name="acc", **attrs))


@pytest.mark.parametrize(("channels", "weight", "groups"), [(256, 127, 1), (8, 1 << 15, 1), (8, 1 << 15, 4)])
def test_sums_beyond_24_bits_are_exact(channels: int, weight: int, groups: int) -> None:
    assert_equal_on_all_inputs(wide_conv(channels, weight, groups), 2)


def test_a_reduced_precision_of_torch_is_kept_out_and_given_back() -> None:
    graph, before = wide_conv(256, 127), torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("medium")
    try:
        assert_equal_on_all_inputs(graph, 1)
        assert torch.get_float32_matmul_precision() == "medium"
        with torch.autocast("cpu", dtype=torch.bfloat16):
            assert_equal_on_all_inputs(graph, 1)
    finally:
        torch.set_float32_matmul_precision(before)


def gradient(graph: Graph, inputs: Mapping[str, np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """d sum(c * y) / d x and the drawn c, for the only input and output."""
    x = torch.from_numpy(inputs[graph.inputs[0]].astype(np.float64)).requires_grad_()
    y = IntegerForward(graph)({graph.inputs[0]: x})[graph.outputs[0]]
    c = np.random.default_rng(3).normal(size=y.shape)
    (y.double() * torch.from_numpy(c)).sum().backward()
    return x.grad.numpy(), c


def difference(graph: Graph, x: np.ndarray, c: np.ndarray, h: float = 1e-3) -> np.ndarray:
    """Central differences of sum(c * y(x)) by the float64 rows of the ops, x a point where all of them are smooth."""
    slope = np.zeros_like(x)
    for at in np.ndindex(x.shape):
        sides = []
        for sign in (1, -1):
            moved = x.copy()
            moved[at] += sign * h
            values = {graph.inputs[0]: moved}
            for node in graph.nodes:
                operands = [values[n] if n in values else graph.constants[n].astype(np.float64) for n in node.inputs]
                values[node.output] = unrounded(node.op, operands, dict(node.attrs))
            sides.append(float((c * values[graph.outputs[0]]).sum()))
        slope[at] = (sides[0] - sides[1]) / (2 * h)
    return slope


def unrounded(op: str, operands: list[np.ndarray], attrs: dict[str, object]) -> np.ndarray:
    match op:
        case "requantize":
            mul = operands[1] if len(operands) > 1 else 1.0
            return np.clip(operands[0] * mul / 2.0 ** attrs["shift"], attrs["lo"], attrs["hi"])
        case "shift_right":
            return operands[0] / 2.0 ** operands[1]
        case "floor_div":
            return operands[0] / operands[1]
        case "isqrt":
            return np.sqrt(operands[0])
        case _:
            return INT[op].run(*operands, **attrs)


def small_networks() -> dict[str, Graph]:
    """One path a graph; inputs of the tests keep clear of kinks."""
    b = Builder("int")
    x = b.input("x", (-1, 2, 4, 4), signed(8))
    w = b.constant("w", np.random.default_rng(0).integers(-20, 21, (3, 2, 3, 3)))
    attrs = {"stride": (2, 1), "padding": ((1, 1), (0, 1)), "dilation": (1, 1), "groups": 1}
    acc = b.add("conv", x, w, name="acc", **attrs)
    mul = b.constant("mul", np.array([3000, -500, 9000]).reshape(3, 1, 1))
    y = b.add("requantize", acc, mul, shift=16, lo=-90, hi=90, name="y")
    conv = b.graph(b.add("sum_pool", y, kernel=(1, 2), stride=(1, 1), padding=((0, 0), (1, 0)), name="pool"))
    b = Builder("int")
    x = b.input("x", (-1, 6), Interval(100, 4000))
    root = b.add("isqrt", b.add("mul", x, x))
    halved = b.add("shift_right", b.add("mul", x, root), b.constant("s", np.array(3)))
    rounding = b.graph(b.add("floor_div", halved, b.add("clip", root, lo=50, hi=None), name="y"))
    b = Builder("int")
    x = b.input("x", (-1, 2, 3), signed(20))
    wide = b.add("mul", b.add("mul", x, x), b.constant("c", np.array((1 << 20) + 1)), name="wide")
    y = b.add("requantize", wide, shift=40, lo=0, hi=1 << 20, name="y")
    moved = b.add("transpose", b.add("concat", y, y, axis=1), perm=(0, 2, 1))
    beyond = b.graph(b.add("slice", moved, slices=((2, 3, -2, 2),), name="z"))
    return {"conv": conv, "rounding": rounding, "beyond 2**53": beyond}


@pytest.mark.parametrize("name", ["conv", "rounding", "beyond 2**53"])
def test_the_gradient_is_that_of_the_unrounded_function(name: str) -> None:
    graph = small_networks()[name]
    interval = graph.values["x"].range
    assert interval is not None
    shape = samples.with_batch(graph.values["x"].shape, 2)
    x = np.random.default_rng(5).integers(interval.lo, interval.hi + 1, shape)
    got, c = gradient(graph, {"x": x})
    expected = difference(graph, x.astype(np.float64), c)
    # The integers on the way are rounded, the reference's are not: the slopes at both differ by that much.
    assert np.abs(got - expected).max() <= 1e-2 * np.abs(expected).max()
    assert np.abs(expected).max() > 0


def test_nothing_passes_a_clip_from_outside() -> None:
    b = Builder("int")
    x = b.input("x", (-1, 1), signed(12))
    graph = b.graph(b.add("requantize", x, b.constant("m", np.array(3)), shift=4, lo=-7, hi=7, name="y"))
    points = np.array([[-500], [-38], [-37], [0], [5], [37], [38], [500]])
    got, c = gradient(graph, {"x": points})
    assert np.array_equal(got, np.where(np.abs(points * 3 / 16) <= 7, 3 / 16, 0).astype(np.float32) * np.float32(c))


def test_the_gradient_of_a_multiplier() -> None:
    """d y / d mul = x / 2**shift inside, summed over what it multiplies."""
    b = Builder("int")
    x = b.input("x", (-1, 2, 3), signed(12))
    graph = b.graph(b.add("requantize", x, b.constant("m", np.array([[3], [5]])), shift=4, lo=-7, hi=7, name="y"))
    points = np.random.default_rng(0).integers(-60, 61, (4, 2, 3)).astype(np.float32)
    mul = torch.tensor([[3.0], [5.0]], requires_grad=True)
    IntegerForward(graph)({"x": torch.from_numpy(points)}, {"m": mul})["y"].sum().backward()
    inside = np.abs(points * np.array([[3], [5]]) / 16) <= 7
    assert np.allclose(mul.grad.numpy(), (points * inside / 16).sum(axis=(0, 2)).reshape(2, 1))


def test_the_gradient_of_a_table_is_the_slope_between_neighbours() -> None:
    b = Builder("int")
    x = b.input("x", (-1, 2, 1), Interval(-2, 2))
    entries = np.array([[0, 1, 4, 9, 16], [5, 5, 5, 5, 5]])
    graph = b.graph(b.add("table", x, b.constant("t", entries), offset=-2, axis=1, name="y"))
    points = torch.tensor([[-2.0, 0], [-1, 0], [0, 1], [1, 1], [2, 2]]).reshape(5, 2, 1).requires_grad_()
    IntegerForward(graph)({"x": points})["y"].sum().backward()
    assert points.grad[:, 0, 0].tolist() == [1, 2, 4, 6, 7] and not points.grad[:, 1].any()
