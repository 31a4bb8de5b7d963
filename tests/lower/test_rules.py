"""Every rule on its own: a small network with the op in it, twelve bits, and the integers close to the float values."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from arithmos.errors import UnsupportedNetwork
from arithmos.ir.border import admit
from arithmos.ir.build import Builder
from arithmos.ir.check import check
from arithmos.ir.graph import Graph, Source
from arithmos.ir.interpret import evaluate
from arithmos.ir.ops import FLOAT
from arithmos.ir.ops.function import ATTRS, FUNCTIONS
from arithmos.ir.scale import as_float
from arithmos.lower.calibrate import calibrate
from arithmos.lower.quantize import quantize
from arithmos.lower.recipe import Recipe
from arithmos.lower.rules import RULES

FINE = Recipe(weight_bits=12, activation_bits=12, edge_bits=12)
Maker = Callable[[Builder, str], str]
RNG = np.random.default_rng(0)
PLAIN = {"stride": (1, 1), "padding": ((1, 1), (1, 1)), "dilation": (1, 1), "groups": 1}
WINDOW = {"kernel": (3, 3), "stride": (2, 2), "padding": ((1, 1), (1, 1))}
AVERAGE = {"count_padding": False, "divisor": None}


def weight(b: Builder, *shape: int, low: float = -1.0, high: float = 1.0) -> str:
    rng = np.random.default_rng(sum(shape))
    return b.constant("w", rng.uniform(low, high, shape).astype(np.float32))


def conv(b: Builder, x: str, *shape: int, bias: bool = False, **attrs: Any) -> str:
    names = [x, weight(b, *shape), *([weight(b, shape[0])] if bias else [])]
    return b.add("conv", *names, **{**PLAIN, **attrs})


def normed(b: Builder, x: str) -> str:
    return b.add("batch_norm", x, weight(b, 4), weight(b, 4), weight(b, 4), weight(b, 4, low=0.5, high=2), eps=1e-5)


def flat(b: Builder, x: str) -> str:
    return b.add("reshape", x, shape=(-1, 4 * 36))


def rows(b: Builder, x: str) -> str:
    return b.add("reshape", x, shape=(-1, 4, 36))


def means(b: Builder, x: str) -> str:
    return b.add("reduce_mean", x, axes=(2, 3), keepdims=False)


def summed(b: Builder, x: str) -> str:
    return b.add("reduce_sum", x, axes=(2, 3), keepdims=False)


# Each takes x of shape (N, 4, 6, 6) with values of both signs.
NETWORKS: dict[str, Maker] = {
    "conv": lambda b, x: conv(b, x, 5, 4, 3, 3, bias=True),
    "conv.grouped": lambda b, x: conv(b, x, 6, 2, 3, 3, groups=2),
    "conv.depthwise": lambda b, x: conv(b, x, 4, 1, 3, 3, bias=True, groups=4, dilation=(2, 1)),
    "conv.line": lambda b, x: b.add(
        "conv", rows(b, x), weight(b, 3, 4, 5), stride=(2,), padding=((2, 1),), dilation=(1,), groups=1
    ),
    "linear": lambda b, x: b.add("linear", flat(b, x), weight(b, 7, 144), weight(b, 7)),
    "linear.last": lambda b, x: b.add("linear", x, weight(b, 5, 6)),
    "matmul": lambda b, x: b.add("matmul", x, b.add("tanh", b.add("transpose", x, perm=(0, 1, 3, 2)))),
    "matmul.constant": lambda b, x: b.add("matmul", x, weight(b, 6, 3)),
    "matmul.constant.left": lambda b, x: b.add("matmul", weight(b, 3, 6), x),
    "batch_norm": lambda b, x: normed(b, b.add("tanh", x)),
    "batch_norm.shared": lambda b, x: b.add("add", normed(b, y := conv(b, x, 4, 4, 3, 3)), y),
    "add": lambda b, x: b.add("add", conv(b, x, 4, 4, 3, 3), x),
    "add.twice": lambda b, x: b.add("add", x, x),
    "add.constant": lambda b, x: b.add("add", conv(b, x, 4, 4, 3, 3), weight(b, 4, 1, 1)),
    "add.spread": lambda b, x: b.add("add", x, b.add("reduce_mean", x, axes=(2, 3), keepdims=True)),
    "sub": lambda b, x: b.add("sub", x, conv(b, x, 4, 4, 1, 1, padding=((0, 0), (0, 0)))),
    "sub.constant": lambda b, x: b.add("sub", b.constant("c", np.float32(0.7)), x),
    "sub.itself": lambda b, x: b.add("add", b.add("sub", y := b.add("tanh", x), y), y),
    "mul": lambda b, x: b.add("mul", x, b.add("sigmoid", x)),
    "mul.square": lambda b, x: b.add("mul", x, x),
    "mul.constant": lambda b, x: b.add("mul", x, weight(b, 4, 1, 1)),
    "mul.negative": lambda b, x: b.add("relu", b.add("mul", x, b.constant("c", np.float32(-3.0)))),
    "mul.scale.output": lambda b, x: b.add("mul", x, b.constant("c", np.float32(0.3))),
    "div": lambda b, x: b.add("div", conv(b, x, 4, 4, 3, 3), b.constant("c", np.float32(1.7))),
    "relu": lambda b, x: b.add("relu", conv(b, x, 4, 4, 3, 3)),
    "relu.narrow": lambda b, x: b.add("relu", x),
    "clip": lambda b, x: b.add("clip", conv(b, x, 4, 4, 3, 3), lo=0.0, hi=1.5),
    "clip.narrow": lambda b, x: b.add("clip", x, lo=-0.7, hi=None),
    "clip.above": lambda b, x: b.add("clip", b.add("relu", x), lo=9.0, hi=11.0),
    "clip.huge": lambda b, x: b.add("clip", x, lo=-1e38, hi=3.4e38),
    "max_pool": lambda b, x: b.add("max_pool", conv(b, x, 4, 4, 3, 3, bias=True), **WINDOW),
    "max_pool.narrow": lambda b, x: b.add("max_pool", b.add("relu", x), **WINDOW),
    "max_pool.scaled.columns": lambda b, x: b.add(
        "max_pool", b.add("mul", x, weight(b, 6, low=0.1, high=9.0)), **WINDOW
    ),
    "max_pool.linear": lambda b, x: b.add(
        "max_pool",
        b.add("linear", rows(b, x), weight(b, 8, 36)),
        kernel=(2,),
        stride=(2,),
        padding=((0, 0),),
    ),
    "max_pool.offset": lambda b, x: b.add("max_pool", b.add("add", x, weight(b, 6, low=-3, high=3)), **WINDOW),
    "max_pool.negative": lambda b, x: b.add("max_pool", b.add("mul", x, b.constant("c", np.float32(-2.0))), **WINDOW),
    "avg_pool": lambda b, x: b.add("relu", b.add("avg_pool", x, **WINDOW, **AVERAGE)),
    "avg_pool.padded": lambda b, x: b.add("avg_pool", x, **WINDOW, count_padding=True, divisor=None),
    "avg_pool.divisor": lambda b, x: b.add("avg_pool", x, **WINDOW, count_padding=True, divisor=5),
    "reduce_sum": summed,
    "reduce_mean": means,
    "reduce_mean.inside": lambda b, x: b.add("linear", means(b, x), weight(b, 3, 4)),
    "reduce_max": lambda b, x: b.add("reduce_max", conv(b, x, 4, 4, 3, 3), axes=(1,), keepdims=True),
    "reshape": lambda b, x: flat(b, conv(b, x, 4, 4, 3, 3)),
    "transpose": lambda b, x: b.add("transpose", x, perm=(0, 2, 3, 1)),
    "slice": lambda b, x: b.add("slice", conv(b, x, 4, 4, 3, 3), slices=((1, 3, -2, 2), (2, 0, 2, 3))),
    "pad": lambda b, x: b.add("pad", x, margins=((0, 0, 0), (1, 1, 0), (0, 2, 1), (0, 0, 0)), fill=0.25),
    "concat": lambda b, x: b.add("concat", x, b.add("relu", conv(b, x, 3, 4, 3, 3)), axis=1),
    "concat.constant": lambda b, x: b.add(
        "concat", y := summed(b, x), b.add("expand", weight(b, 2), b.add("slice", y, slices=((1, 0, 1, 2),))), axis=1
    ),
    "maximum": lambda b, x: b.add("maximum", x, conv(b, x, 4, 4, 3, 3)),
    "maximum.constant": lambda b, x: b.add("maximum", x, weight(b, 4, 1, 1)),
    "where": lambda b, x: b.add("where", b.constant("m", np.tri(6, dtype=bool)), x, b.add("tanh", x)),
    "where.floats": lambda b, x: b.add(
        "where", b.constant("m", np.tri(6, dtype=np.float32) / 2), x, b.constant("c", np.float32(-1.0))
    ),
    "expand": lambda b, x: b.add("mul", x, b.add("expand", b.add("reduce_mean", x, axes=(2, 3), keepdims=True), x)),
    "layers": lambda b, x: conv(b, b.add("relu", normed(b, conv(b, x, 4, 4, 3, 3))), 4, 4, 3, 3, bias=True),
}  # fmt: skip
POSITIVE_ONLY = {"log", "sqrt", "rsqrt", "reciprocal"}


def positive(b: Builder, x: str) -> str:
    return b.add("clip", x, lo=0.5, hi=None)


def function(op: str) -> Maker:
    attrs = ATTRS.get(op, {})
    return lambda b, x: b.add(op, positive(b, x) if op in POSITIVE_ONLY else x, **attrs)


NETWORKS |= {op: function(op) for op in FUNCTIONS if op != "relu"}


def network(make: Maker) -> Graph:
    b = Builder("float")
    return b.graph(make(b, b.input("x", (-1, 4, 6, 6), source=Source("", "model.py:1"))))


def data(n: int = 24, seed: int = 1) -> np.ndarray:
    return np.random.default_rng(seed).uniform(-2, 2, (n, 4, 6, 6)).astype(np.float32)


def error(graph: Graph, net: Graph, x: np.ndarray) -> float:
    """The largest difference between integers times scale and floats, over the largest float."""
    real = evaluate(graph, {"x": x}, dtype=np.float64)[graph.outputs[0]]
    value = net.values[net.outputs[0]]
    assert value.scale is not None, "an output says which real numbers it stands for"
    y = evaluate(net, admit(net, {"x": x}))[net.outputs[0]] * as_float(value.scale)
    assert y.shape == real.shape
    return float(np.abs(y - real).max() / np.abs(real).max())


JOINS = [name for name in NETWORKS if name.split(".")[0] in ("add", "sub", "batch_norm")]


@pytest.mark.parametrize(
    ("name", "choice"),
    [(name, {}) for name in NETWORKS]
    + [(name, {"scales": "power_of_two"}) for name in NETWORKS if name not in FUNCTIONS]
    + [(name, {"joins": "equal"}) for name in JOINS],
)
def test_integers_are_close_to_floats(name: str, choice: dict[str, Any]) -> None:
    graph = network(NETWORKS[name])
    recipe = dataclasses.replace(FINE, **choice)
    x = data()
    net = quantize(graph, calibrate(graph, [x]), recipe)
    check(net)
    # `step` jumps: next to zero the rounded input may fall on the other side.
    far = np.where(np.abs(x) < 0.01, 0.5, x).astype(np.float32) if name == "step" else x
    assert error(graph, net, far) < 0.004


def test_every_rule_is_tried() -> None:
    tried = {node.op for make in NETWORKS.values() for node in network(make).nodes}
    assert set(RULES) - tried == {"argmax", "gather"}, "and these two have tests of their own"
    assert set(RULES) <= set(FLOAT)


def test_accumulators_are_pooled_before_they_are_rounded() -> None:
    b = Builder("float")
    y = conv(b, b.input("x", (-1, 4, 6, 6)), 4, 4, 3, 3)
    graph = b.graph(b.add("relu", b.add("max_pool", y, **WINDOW)))
    net = quantize(graph, calibrate(graph, [data()]))
    assert [node.op for node in net.nodes] == ["conv", "max_pool", "requantize"]


def test_argmax_chooses_like_the_integers_do() -> None:
    b = Builder("float")
    y = conv(b, b.input("x", (-1, 4, 6, 6)), 5, 4, 3, 3)
    graph = b.graph(b.add("argmax", y, axis=1, name="best"))
    net = quantize(graph, calibrate(graph, [data()]), FINE)
    best = evaluate(net, admit(net, {"x": data(8, 2)}))[net.outputs[0]]
    real = evaluate(graph, {"x": data(8, 2)})["best"]
    assert np.mean(best == real) > 0.99


def test_gather_takes_indices_as_they_are() -> None:
    b = Builder("float")
    tokens = b.input("tokens", (-1, 6))
    matrix = np.random.default_rng(0).normal(size=(11, 8)).astype(np.float32)
    rows = b.add("gather", b.constant("wte", matrix), tokens, name="rows")
    last = b.add("gather", b.constant("wpe", matrix), b.constant("places", np.arange(6)), name="places.rows")
    graph = b.graph(b.add("add", rows, last, name="stream"))
    ids = np.random.default_rng(1).integers(0, 11, (20, 6))
    net = quantize(graph, calibrate(graph, [ids]), FINE)
    assert (net.values["tokens"].range.lo, net.values["tokens"].range.hi) == (0, 10)  # type: ignore[union-attr]
    value = net.values[net.outputs[0]]
    assert value.scale is not None
    y = evaluate(net, admit(net, {"tokens": ids}))[net.outputs[0]] * as_float(value.scale)
    assert np.abs(y - evaluate(graph, {"tokens": ids})["stream"]).max() < 0.004


def test_what_has_no_rule_is_listed_all_at_once_with_its_source() -> None:
    b = Builder("float")
    x = b.input("x", (-1, 4, 6, 6))
    here = {
        name: Source(f"block.{name}", f"model.py:{i}")
        for i, name in enumerate(("soft", "norm", "ratio", "kernel", "grey"), 5)
    }
    y = b.add("softmax", x, axis=1, name="soft", source=here["soft"])
    y = b.add("group_norm", y, weight(b, 4), weight(b, 4), groups=2, eps=1e-5, name="norm", source=here["norm"])
    y = b.add("div", y, x, name="ratio", source=here["ratio"])
    kernel = b.add("reshape", b.add("slice", b.input("k", (1, 36)), slices=((1, 0, 1, 36),)), shape=(1, 4, 3, 3))
    y = b.add("conv", y, kernel, name="kernel", source=here["kernel"], **PLAIN)
    y = b.add("mul", y, weight(b, 3, 1, 1), name="grey", source=here["grey"])
    graph = b.graph(b.add("layer_norm", y, axes=1, eps=1e-5, name="last"))
    stats = calibrate(graph, [{"x": data(), "k": np.ones((1, 36), np.float32)}])
    with pytest.raises(UnsupportedNetwork) as caught:
        quantize(graph, stats)
    assert str(caught.value) == (
        "6 nodes cannot become integers\n"
        "  why  soft: 'softmax' has no integer rule (no rule expands it into integers yet)"
        ", at block.soft (model.py:5)\n"
        "       norm: 'group_norm' has no integer rule "
        "(replace it by batch norm, which folds into the convolution)"
        ", at block.norm (model.py:6)\n"
        "       ratio: 'div' of computed values has no integer rule "
        "(divide by a constant, or multiply by a reciprocal)"
        ", at block.ratio (model.py:7)\n"
        "       kernel: 'conv' of computed values has no integer rule (its parameters must be constants),"
        " at block.kernel (model.py:8)\n"
        "       grey: 'mul' by a constant of more elements than the value has no integer rule "
        "(expand the value first)"
        ", at block.grey (model.py:9)\n"
        "       last: 'layer_norm' has no integer rule (no rule expands it into integers yet)\n"
        "  fix  replace these layers, or quantize the part of the network without them"
    )


def test_a_constant_output_is_refused() -> None:
    b = Builder("float")
    x = b.input("x", (-1, 4, 6, 6))
    graph = b.graph(b.add("relu", x), b.add("exp", b.constant("c", np.ones(3, np.float32)), name="fixed"))
    with pytest.raises(UnsupportedNetwork, match="fixed: this output does not depend on any input"):
        quantize(graph, calibrate(graph, [data()]))
