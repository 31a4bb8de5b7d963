"""Float and polynomial networks on torch against the interpreter: every op, every value, escapes, what is refused."""

from __future__ import annotations

import numpy as np
import pytest

import arithmos as ar
import samples
from arithmos.errors import RangeEscape, UsageError
from arithmos.ir.build import Builder
from arithmos.ir.graph import Graph
from arithmos.ir.interpret import evaluate
from arithmos.ir.ops import FLOAT, POLY
from arithmos.targets import clear

torch = pytest.importorskip("torch", reason='pip install "arithmos[torch]"')


@pytest.mark.parametrize(("op", "number"), samples.FLOAT_EXAMPLES)
def test_every_float_op(op: str, number: int) -> None:
    example = FLOAT[op].examples[number]
    graph = samples.example_graph(op, example, seed=number, op_set="float")
    rng, inputs = np.random.default_rng(3), {}
    for i, operand in enumerate(example.operands):
        if not operand.constant:
            drawn = rng.uniform(operand.range.lo, operand.range.hi, samples.with_batch(operand.shape, 2))
            inputs[f"x{i}"] = np.floor(drawn).astype(np.int64) if op == "gather" and i else drawn.astype(np.float32)
    expected, found = evaluate(graph, inputs)["y"], ar.run(graph, inputs, target="clear")
    assert found.shape == expected.shape
    assert np.allclose(found, expected, rtol=2e-5, atol=1e-5 * max(1.0, float(np.abs(expected).max())))


@pytest.mark.parametrize("number", range(len(POLY["polynomial"].examples)))
def test_the_polynomial_op(number: int) -> None:
    example = POLY["polynomial"].examples[number]
    graph = samples.example_graph("polynomial", example, seed=number, op_set="poly")
    limit = example.attrs["bound"] or 1.0
    x = np.random.default_rng(0).uniform(-limit, limit, samples.with_batch(example.operands[0].shape, 3))
    expected = ar.run(graph, x, dtype=np.float64)
    assert np.allclose(ar.run(graph, x.astype(np.float32)), expected, atol=2.0**-15 * max(1, np.abs(expected).max()))


def network() -> tuple[Graph, Graph, np.ndarray]:
    rng, b = np.random.default_rng(5), Builder("float")
    x = b.input("x", (-1, 3, 9, 9))
    w = [b.constant("w", rng.normal(size=s).astype(np.float32) / 3) for s in ((6, 3, 3, 3), (6, 6, 3, 3), (4, 6))]
    attrs = {"stride": (1, 1), "padding": ((1, 1), (1, 1)), "dilation": (1, 1), "groups": 1}
    y = b.add("relu", b.add("conv", x, w[0], name="a", **attrs), name="ra")
    y = b.add("max_pool", y, name="pool", kernel=(3, 3), stride=(2, 2), padding=((1, 1), (1, 1)))
    y = b.add("add", y, b.add("conv", y, w[1], name="b", **attrs), name="join")
    y = b.add("reduce_mean", b.add("relu", y, name="rb"), name="mean", axes=(2, 3), keepdims=False)
    graph = b.graph(b.add("linear", y, w[2], name="fc"), y)
    images = rng.normal(size=(6, 3, 9, 9)).astype(np.float32)
    return graph, ar.approximate(graph, ar.calibrate(graph, [images]), ar.Recipe(alpha=8)), images


def test_every_value_is_the_interpreters() -> None:
    """The order of float32 sums differs; everything else is the same, value by value, in the same order."""
    graph, net, x = network()
    for g in (graph, net):
        expected, found = evaluate(g, {"x": x}, every=True), ar.run(g, x, target="clear", every=True)
        assert list(found) == list(expected)
        for name, array in expected.items():
            assert found[name].dtype == np.float32
            assert np.abs(found[name] - array).max() <= 1e-4 * max(1.0, float(np.abs(array).max())), name
        assert [n for n, _ in clear.stream(g, x)] == list(expected)


def test_several_outputs_and_batches() -> None:
    _, net, x = network()
    whole = ar.run(net, x)
    assert list(whole) == ["fc", "mean"]
    parts = [ar.run(net, x[i : i + 2])["fc"] for i in (0, 2, 4)]
    assert np.allclose(np.concatenate(parts), whole["fc"], atol=1e-5)


def test_an_escape_counts_images_from_the_first_one() -> None:
    """The interpreter and this runner name the same value; images of later batches keep their numbers."""
    _, net, x = network()
    wide = np.where(np.arange(6).reshape(-1, 1, 1, 1) == 4, 3 * x, x)
    with pytest.raises(RangeEscape) as slow:
        ar.run(net, wide, target="interpreter")
    with pytest.raises(RangeEscape) as fast:
        ar.run(net, wide)
    assert (fast.value.value_name, fast.value.image) == (slow.value.value_name, slow.value.image) == ("a", 4)
    assert fast.value.value == pytest.approx(slow.value.value, rel=1e-5)
    with pytest.raises(RangeEscape) as later:
        list(clear.stream(net, wide, first_image=100))
    assert later.value.image == 104


def test_what_runs_where() -> None:
    graph, net, x = network()
    for g, kind in ((graph, "float"), (net, "polynomial")):
        with pytest.raises(UsageError) as caught:
            ar.run(g, x, target="engine")
        assert caught.value.what == f"target 'engine' runs integer graphs, this one is a {kind} graph"
    with pytest.raises(UsageError) as caught:
        ar.run(net, x, target="clear", dtype=np.float64)
    assert str(caught.value) == (
        "target 'clear' computes in float32\n"
        "  why  it is the fast way; the interpreter computes in float64 too\n"
        '  fix  leave dtype out, or give target="interpreter"'
    )
    assert ar.run(net, x, dtype=np.float64)["fc"].dtype == np.float64


def test_constants_as_outputs() -> None:
    b = Builder("float")
    x = b.input("x", (-1, 2))
    graph = b.graph(b.add("relu", x, name="y"), b.constant("c", np.arange(3, dtype=np.float32)))
    found = ar.run(graph, np.ones((1, 2), np.float32), target="clear")
    assert found["c"].tolist() == [0, 1, 2] and found["y"].tolist() == [[1, 1]]
