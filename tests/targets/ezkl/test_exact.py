"""The file for ezkl says what the interpreter computes: every value by ==, in float64 and without ezkl."""

from __future__ import annotations

import numpy as np
import pytest

import factories
import samples
from arithmos.errors import UnsupportedNetwork
from arithmos.ir.build import Builder
from arithmos.ir.codec import random_inputs
from arithmos.ir.graph import Graph
from arithmos.ir.interpret import evaluate
from arithmos.ir.interval import Interval, signed, unsigned
from arithmos.ir.ops import INT
from arithmos.targets.ezkl import TARGET
from arithmos.targets.ezkl.emission import parts
from arithmos.targets.ezkl.model import build
from arithmos.targets.target import preflight
from random_operations import operations
from targets.ezkl.clear import evaluated


def assert_same_integers(graph: Graph, *batches: dict[str, np.ndarray]) -> None:
    for inputs in batches:
        expected = evaluate(graph, inputs, every=True)
        found = evaluated(graph, inputs)
        assert found.keys() | set(graph.inputs) == expected.keys()
        for name, array in found.items():
            np.testing.assert_array_equal(array, expected[name], err_msg=name)


def supported(graph: Graph) -> bool:
    try:
        preflight(graph, TARGET)
    except UnsupportedNetwork:
        return False
    return True


def test_coverage_is_all_but_two() -> None:
    assert set(INT) - set(TARGET.ops) == {"floor_div", "isqrt"}


@pytest.mark.parametrize(("op", "number"), samples.INT_EXAMPLES)
def test_every_example_of_every_op(op: str, number: int) -> None:
    graph = samples.example_graph(op, INT[op].examples[number])
    if supported(graph):
        assert_same_integers(graph, random_inputs(graph, 2, seed=1), *samples.corner_inputs(graph, 1))
    else:
        assert op in {"floor_div", "isqrt"} or (op, number) in {("requantize", 4), ("shift_right", 0)}


@pytest.mark.parametrize(
    "name", ["pools", "convolutions", "transposed_conv", "gelu_table", "embedding", "residual_cnn"]
)
def test_networks(name: str) -> None:
    graph = factories.INTEGER[name]()
    assert_same_integers(graph, random_inputs(graph, 1), *list(samples.corner_inputs(graph, 1))[:2])


@pytest.mark.slow
@pytest.mark.parametrize("name", factories.INTEGER)
def test_every_network(name: str) -> None:
    graph = factories.INTEGER[name]()
    if supported(graph):
        assert_same_integers(graph, random_inputs(graph, 2), *samples.corner_inputs(graph, 1))
    else:
        assert name in {"integer_softmax", "plain_softmax", "integer_layer_norm", "attention"}


@pytest.mark.slow
def test_random_networks() -> None:
    fitting = [graph for seed in range(60) if supported(graph := operations(seed))]
    assert len(fitting) > 25
    for graph in fitting:
        assert_same_integers(graph, random_inputs(graph, 1), *samples.corner_inputs(graph, 1))


@pytest.mark.parametrize("shift", [1, 7, 13, 14, 15, 24, 28, 33])
@pytest.mark.parametrize("mul", [None, 1, -3, (1 << 24) - 1])
def test_roundings_at_every_tie_and_beside_it(shift: int, mul: int | None) -> None:
    b = Builder("int")
    x = b.input("x", (-1, 400), signed(14))
    factor = [] if mul is None else [b.constant("m", np.array(mul))]
    graph = b.graph(b.add("requantize", x, *factor, shift=shift, lo=-900, hi=900, name="y"))
    m = mul or 1
    near = [((2 * k + 1) << (shift - 1)) // m + d for k in range(-30, 30) for d in (-1, 0, 1)]
    numbers = np.clip([*near, *range(-80, 80), signed(14).lo, signed(14).hi], signed(14).lo, signed(14).hi)
    assert_same_integers(graph, {"x": np.resize(numbers, (1, 400))})


def wide_constants() -> Graph:
    """Weights, biases, multipliers, clips and tables of more than 24 significant bits, each where a part can stand."""
    b = Builder("int")
    x = b.input("x", (-1, 2, 4, 4), signed(6))
    heavy = np.array([(1 << 27) + 1, -(1 << 27) - 3, 5, 7]).reshape(2, 2, 1, 1)
    y = factories.conv(b, x, heavy, np.array([(1 << 30) + 7, 3]), name="conv")
    y = b.add("requantize", y, shift=20, lo=-30_000, hi=30_000, name="narrow")
    y = b.add("requantize", y, b.constant("m", np.array((1 << 29) + 1)), shift=30, lo=-9, hi=9, name="again")
    y = b.add("sub", b.constant("c", np.array((1 << 40) + 1)), y, name="from")
    y = b.add("sub", y, b.constant("c2", np.array((1 << 40) - 6)), name="back")
    rows = b.constant("rows", np.arange(40) + (1 << 33))
    y = b.add("table", b.add("clip", y, lo=0, hi=20), rows, offset=0, axis=None, name="table")
    return b.graph(b.add("maximum", y, b.constant("c3", np.array((1 << 33) + 9)), name="most"))


def test_constants_wider_than_float32() -> None:
    assert_same_integers(wide_constants(), *samples.all_inputs(wide_constants(), 1))


def test_parts_add_up_and_fit_float32() -> None:
    array = np.array([0, 1, -1, (1 << 24) + 1, -(1 << 24) - 1, (1 << 62) + 12345, -(1 << 63)])
    found = parts(array)
    assert all((part == part.astype(np.float32).astype(object)).all() for part in found)
    np.testing.assert_array_equal(sum(part.astype(object) for part in found), array)
    assert len(parts(np.array([1 << 40, -3]))) == 1


def test_a_negation_stands_behind_each_convolution() -> None:
    """ezkl's reader folds what follows a convolution into its weights, in float32."""
    for name in ("residual_cnn", "pools", "convolutions"):
        model, _ = build(factories.INTEGER[name](), every=False)
        made = {node.output for node in model.nodes if node.op == "Conv"}
        readers = [node.op for node in model.nodes for tensor in node.inputs if tensor in made]
        assert made and readers == ["Neg"] * len(made)


def test_every_output_is_a_tensor_of_its_own() -> None:
    b = Builder("int")
    x = b.input("x", (-1, 3), signed(8))
    same = b.add("clip", x, lo=-500, hi=None, name="same")
    graph = b.graph(x, same, b.constant("c", np.array([1, 2])))
    model, _ = build(graph, every=False)
    assert [port.value for port in model.outputs] == ["x", "same"]
    assert len({port.tensor for port in model.outputs} | {"x"}) == 3
    assert_same_integers(b.graph(same), {"x": np.array([[1, -2, 3]])})


@pytest.mark.parametrize(("bits", "digits"), [(8, 2), (27, 2), (29, 3), (42, 3), (43, 4)])
def test_as_many_digits_as_the_widest_number_needs(bits: int, digits: int) -> None:
    b = Builder("int")
    x = b.input("x", (-1, 3), unsigned(1))
    wide = b.add("mul", x, b.constant("c", np.array((1 << bits) - 1)), name="wide")
    assert build(b.graph(wide), every=False)[1]["decomp_legs"] == digits


def test_ranges_that_begin_below_zero_keep_their_padding_out_of_a_maximum() -> None:
    b = Builder("int")
    x = b.input("x", (-1, 1, 3, 3), Interval(-9, -2))
    window = {"kernel": (3, 3), "stride": (2, 2), "padding": ((1, 1), (1, 1))}
    graph = b.graph(b.add("max_pool", x, name="y", **window))
    assert_same_integers(graph, *samples.all_inputs(graph, 2))
