"""Integer graphs for the C target: many small ones in one program, the extremes, and one the shape of ResNet-20."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pytest

from arithmos.ir.build import Builder
from arithmos.ir.graph import Graph
from arithmos.ir.interval import Interval, signed, unsigned
from arithmos.ir.ops import OP_SETS
from factories import INTEGER, conv, int8_weight, number
from samples import INT_EXAMPLES, example_graph


def together(graphs: Mapping[str, Graph]) -> Graph:
    """One graph that computes all of them side by side, so that one compilation serves them all."""
    b = Builder("int")
    outputs = []
    for key, graph in graphs.items():
        names: dict[str, str] = {}
        for name in graph.inputs:
            value = graph.values[name]
            names[name] = b.input(f"{key}.{name}", value.shape, value.range, value.scale, value.source)
        for name, array in graph.constants.items():
            names[name] = b.constant(f"{key}.{name}", array)
        for node in graph.nodes:
            inputs = (names[name] for name in node.inputs)
            source = graph.values[node.output].source
            names[node.output] = b.add(node.op, *inputs, name=f"{key}.{node.output}", source=source, **node.attrs)
        outputs += [names[name] for name in graph.outputs]
    return b.graph(*outputs)


def extremes() -> Graph:
    """Ranges, shifts, literals and shapes at their limits, each as an output of its own."""
    rng = np.random.default_rng(20)
    b = Builder("int")
    outputs = []
    wide = b.input("wide", (-1, 5), Interval(-(1 << 62), (1 << 62) - 1))
    lowest, highest = -(1 << 63), (1 << 63) - 1
    outputs.append(b.add("add", wide, b.constant("down", np.full((1, 5), -(1 << 62))), name="to.lowest"))
    outputs.append(b.add("maximum", outputs[-1], number(b, lowest), name="lowest"))
    outputs.append(b.add("clip", outputs[-1], lo=lowest + 1, hi=highest, name="no.lowest"))
    for shift in (0, 1, 31, 32, 40, 62):
        outputs.append(b.add("requantize", wide, shift=shift, lo=lowest, hi=highest, name=f"shifted.{shift}"))
        outputs.append(b.add("requantize", wide, shift=shift, lo=-100, hi=1000, name=f"clipped.{shift}"))
    outputs.append(b.add("shift_right", wide, b.constant("by", np.array([0, 1, 31, 33, 62])), name="by.each"))
    middle = b.input("middle", (-1, 5), signed(32))
    factors = b.constant("factors", np.array([1, -1, (1 << 31) - 1, -(1 << 31), 0]))
    outputs.append(b.add("mul", middle, factors, name="product"))
    outputs.append(b.add("requantize", middle, factors, shift=40, lo=-(1 << 31), hi=(1 << 31) - 1, name="shift.40"))
    outputs.append(b.add("sub", number(b, -(1 << 31)), middle, name="mirrored"))
    outputs.append(b.add("floor_div", middle, number(b, 7), name="divided"))
    outputs.append(b.add("floor_div", wide, number(b, 1000), name="divided.wide"))
    outputs.append(b.add("reduce_max", wide, axes=(1,), keepdims=False, name="top"))
    outputs.append(b.add("argmax", wide, axis=1, name="where.top"))
    natural = b.input("natural", (-1, 5), Interval(0, (1 << 32) - 1))
    outputs.append(b.add("sub", natural, number(b, 1 << 31), name="centred"))
    outputs.append(b.add("isqrt", b.add("mul", natural, number(b, (1 << 31) - 1), name="large"), name="root"))
    outputs.append(b.add("linear", middle, b.constant("w", rng.integers(-127, 128, (3, 5))), name="sums.64"))
    narrow = b.input("narrow", (-1, 7), signed(8))
    heavy = b.constant("heavy", np.array([(1 << 31) - 1 - 127 * 7 * 128, -(1 << 31) + 128 * 127 * 7]))
    outputs.append(b.add("linear", narrow, b.constant("v", int8_weight(rng, 2, 7)), heavy, name="full.32"))
    outputs.append(b.add("linear", middle, b.constant("z", np.zeros((2, 5), dtype=np.int64)), name="nothing"))
    outputs.append(b.add("requantize", narrow, shift=0, lo=300, hi=400, name="always.300"))
    outputs.append(b.add("matmul", wide_rows(b), b.constant("one", np.ones((2, 2), dtype=np.int64)), name="rows"))
    return b.graph(*outputs, "wide", "heavy")


def wide_rows(b: Builder) -> str:
    """An input of 40 bits with two rows a sample."""
    return b.input("rows.in", (-1, 2, 2), signed(40))


def shapes() -> Graph:
    """Convolutions, pools and products of every rank and odd extents, with and without a batch axis."""
    rng = np.random.default_rng(21)
    b = Builder("int")
    outputs = []
    cases = {
        "volume": ((-1, 2, 4, 3, 5), (3, 2, 2, 3, 3), {"padding": ((1, 0), (1, 1), (0, 2)), "stride": (1, 2, 1)}),
        "four": ((-1, 2, 2, 3, 2, 3), (2, 2, 1, 2, 2, 2), {"padding": ((0, 0), (1, 0), (0, 0), (0, 1))}),
        "line": ((-1, 3, 9), (4, 3, 5), {"padding": ((2, 2),)}),
        "no.batch": ((2, 3, 5, 5), (4, 3, 3, 3), {"padding": ((1, 1), (1, 1))}),
        "point": ((-1, 4, 1, 1), (3, 4, 3, 3), {"padding": ((1, 1), (1, 1))}),
        "thin": ((-1, 1, 6, 1), (2, 1, 3, 1), {"padding": ((1, 1), (0, 0))}),
        "unit": ((-1, 32, 3, 3), (5, 32, 1, 1), {}),
        "unit.strided": ((-1, 8, 5, 5), (5, 8, 1, 1), {"stride": (2, 2)}),
        "twice": ((-1, 3, 4, 4), (6, 1, 3, 3), {"groups": 3}),
        "own.unit": ((-1, 3, 4, 4), (3, 1, 1, 1), {"padding": ((1, 1), (2, 0)), "groups": 3}),
        "own.row": ((-1, 3, 4, 1), (3, 1, 1, 3), {"padding": ((1, 1), (1, 1)), "groups": 3}),
        "own.far": (
            (-1, 3, 5, 2),
            (3, 1, 3, 2),
            {"padding": ((7, 8), (3, 9)), "stride": (2, 1), "dilation": (3, 4), "groups": 3},
        ),
        "own.once": ((-1, 1, 2, 3), (1, 1, 4, 4), {"padding": ((0, 2), (1, 0)), "dilation": (1, 1)}),
        "tiles": ((-4, 2, 4, 4), (3, 2, 3, 3), {}),
    }
    for name, (x_shape, w_shape, attrs) in cases.items():
        for kind, interval in (("signed", signed(8)), ("unsigned", unsigned(8)), ("wide", signed(16))):
            x = b.input(f"{name}.{kind}", x_shape, interval)
            bias = rng.integers(-999, 999, w_shape[0])
            acc = conv(b, x, int8_weight(rng, *w_shape), bias, name=f"{name}.{kind}.acc", **attrs)
            outputs.append(b.add("requantize", acc, shift=5, lo=-99, hi=999, name=f"{name}.{kind}.y"))
            window = {"kernel": (1,) * (len(x_shape) - 2), "stride": (2,) * (len(x_shape) - 2)}
            outputs.append(b.add("max_pool", outputs[-1], **window, padding=((0, 0),) * (len(x_shape) - 2)))
    # Arrays too large for a stack: sums of many filters, and long columns with zeros behind.
    many = b.add("linear", b.input("many", (-1, 5, 8), signed(8)), b.constant("m", int8_weight(rng, 1100, 8)))
    outputs.append(b.add("requantize", many, shift=4, lo=-99, hi=999, name="many.y"))
    long = b.input("long", (-1, 6, 4201), unsigned(8))
    outputs.append(b.add("linear", long, b.constant("l", int8_weight(rng, 2, 4201)), name="long.y"))
    turned = b.add("transpose", b.input("turned", (-1, 3, 4), signed(8)), perm=(1, 0, 2), name="batch.inside")
    merged = b.add("reshape", turned, shape=(-3, 4), name="merged")
    projected = b.add("linear", merged, b.constant("p", int8_weight(rng, 5, 4)), name="projected")
    outputs.append(projected)
    apart = b.add("reshape", projected, shape=(3, -1, 5), name="apart")
    outputs.append(b.add("transpose", apart, perm=(1, 2, 0), name="back"))
    return b.graph(*outputs)


@pytest.fixture(scope="session")
def resnet20() -> Graph:
    """The shape of the CIFAR ResNet-20 with option-A shortcuts, as the lowering writes it, with random weights."""
    rng = np.random.default_rng(22)
    b = Builder("int")

    def layer(y: str, name: str, out: int, channels: int, stride: int = 1) -> str:
        weight, bias = int8_weight(rng, out, channels, 3, 3), rng.integers(-9999, 9999, out)
        attrs = {"stride": (stride, stride), "padding": ((1, 1), (1, 1))}
        return conv(b, y, weight, bias, name=f"{name}.acc", **attrs)

    def gains(name: str, out: int, channels: int) -> str:
        real = 60 / (70 * 128 * np.sqrt(9 * channels) / 1.7)
        return b.constant(name, np.floor(real * rng.uniform(0.5, 1.5, (out, 1, 1)) * 2**24).astype(np.int64))

    x = b.input("image", (-1, 3, 32, 32), signed(8))
    y = b.add("requantize", layer(x, "conv1", 16, 3), gains("relu.mul", 16, 3), shift=24, lo=0, hi=255, name="relu")
    channels, size = 16, 32
    for stage in range(3):
        for block in range(3):
            out, name = 16 << stage, f"layer{stage + 1}.{block}"
            stride = 2 if stage and not block else 1
            inner = layer(y, f"{name}.conv1", out, channels, stride)
            inner = b.add(
                "requantize", inner, gains(f"{name}.mul", out, channels), shift=24, lo=0, hi=255, name=f"{name}.relu1"
            )
            if stride == 2:
                size //= 2
                y = b.add("slice", y, slices=((2, 0, 2, size), (3, 0, 2, size)), name=f"{name}.slice")
                around = (out // 4, out // 4, 0)
                y = b.add("pad", y, margins=((0, 0, 0), around, (0, 0, 0), (0, 0, 0)), fill=0, name=f"{name}.pad")
            left = b.add("mul", layer(inner, f"{name}.conv2", out, out), gains(f"{name}.main", out, out))
            right = b.add("mul", y, number(b, 9_000_001))
            y = b.add("requantize", b.add("add", left, right), shift=24, lo=0, hi=255, name=f"{name}.relu2")
            channels = out
    y = b.add("sum_pool", y, kernel=(8, 8), stride=(8, 8), padding=((0, 0), (0, 0)), name="pool.sum")
    y = b.add(
        "reshape", b.add("requantize", y, number(b, 1 << 18), shift=24, lo=0, hi=255, name="pool"), shape=(-1, 64)
    )
    return b.graph(b.add("linear", y, b.constant("fc.weight", int8_weight(rng, 10, 64)), name="logits"))


@pytest.fixture(scope="session")
def everything() -> Graph:
    """Every example of every op, every network of the factories, the extremes and the shapes, in one graph."""
    graphs = {f"{op}.{i}": example_graph(op, OP_SETS["int"][op].examples[i]) for op, i in INT_EXAMPLES}
    return together(
        {**graphs, **{name: make() for name, make in INTEGER.items()}, "extreme": extremes(), "shape": shapes()}
    )
