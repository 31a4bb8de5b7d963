"""What each pass does, on the smallest network that shows it, and where it must keep its hands off."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import factories
from arithmos.ir.build import Builder
from arithmos.ir.graph import Graph, Source
from arithmos.ir.interpret import evaluate
from arithmos.ir.interval import Interval, signed
from arithmos.passes.dead_code import dead_code
from arithmos.passes.equalize import equalize
from arithmos.passes.fold_batch_norm import fold_batch_norm
from arithmos.passes.fold_constants import fold_constants
from arithmos.passes.fold_padding import fold_padding
from arithmos.passes.fuse_requantize import fuse_requantize
from arithmos.passes.merge_tables import SMALL, merge_tables


def ops(graph: Graph) -> list[str]:
    return [node.op for node in graph.nodes]


def start(range: Interval = signed(8)) -> tuple[Builder, str]:
    b = Builder("int")
    return b, b.input("x", (-1, 3), range)


# --- dead code and constants ----------------------------------------------------------------------------------------


def test_dead_code_keeps_the_signature() -> None:
    b, x = start()
    b.input("unused", (-1, 2), signed(8))
    b.add("mul", x, b.constant("c", np.array(3)), name="unused.too")
    graph = dead_code(b.graph(b.add("clip", x, lo=0, hi=9, name="y")))
    assert graph.inputs == ("x", "unused") and ops(graph) == ["clip"]
    assert set(graph.values) == {"x", "unused", "y"} and not graph.constants


def test_constants_are_folded_in_int64_and_stored_narrow() -> None:
    b, x = start()
    big = b.add("mul", b.constant("a", np.array([100, 100, 100])), b.constant("b", np.array([100, 3, 1])), name="big")
    small = b.add("shift_right", big, b.constant("s", np.array(5)), name="small")
    graph = fold_constants(b.graph(b.add("add", x, small, name="y")))
    assert ops(graph) == ["add"] and graph.constants["small"].tolist() == [312, 9, 3]
    assert graph.constants["small"].dtype == np.uint16 and "big" not in graph.constants


def test_an_output_may_become_a_constant() -> None:
    b, x = start()
    c = b.add("add", b.constant("a", np.array([1])), b.constant("b", np.array([2])), name="c")
    graph = fold_constants(b.graph(c, x))
    assert graph.outputs == ("c", "x") and evaluate(graph, {"x": np.zeros((1, 3))})["c"].tolist() == [3]


def test_what_depends_on_the_batch_is_not_folded() -> None:
    b, x = start()
    spread = b.add("expand", b.constant("c", np.array([1, 2, 3])), x, name="spread")
    assert ops(fold_constants(b.graph(spread))) == ["expand"]


# --- clips ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("inner", "outer", "fused"),
    [
        ((0, 9), (3, 5), (3, 5)),
        ((0, 9), (-5, 5), (0, 5)),
        ((0, 9), (20, 30), (20, 20)),
        ((0, 9), (-30, -20), (-20, -20)),
        ((0, 9), (None, 5), (0, 5)),
        ((0, 9), (4, None), (4, 9)),
        ((-3, 3), (None, None), (-3, 3)),
    ],
)
def test_a_clip_moves_into_the_requantize(inner: Any, outer: Any, fused: Any) -> None:
    b, x = start()
    y = b.add("requantize", x, shift=1, lo=inner[0], hi=inner[1])
    graph = fuse_requantize(b.graph(b.add("clip", y, lo=outer[0], hi=outer[1], name="y")))
    assert ops(graph) == ["requantize"] and (graph.nodes[0].attrs["lo"], graph.nodes[0].attrs["hi"]) == fused
    assert graph.outputs == ("y",)


def test_a_chain_of_clips_becomes_one() -> None:
    b, x = start()
    for lo, hi in ((-90, 90), (None, 50), (-60, None), (-70, 70), (0, 100)):
        x = b.add("clip", x, lo=lo, hi=hi)
    graph = fuse_requantize(b.graph(x))
    assert ops(graph) == ["clip"] and graph.values[graph.outputs[0]].range == Interval(0, 50)


def test_a_value_that_somebody_else_reads_is_not_fused() -> None:
    b, x = start()
    y = b.add("requantize", x, shift=1, lo=-9, hi=9, name="y")
    z = b.add("clip", y, lo=0, hi=9)
    assert ops(fuse_requantize(b.graph(z, b.add("add", y, y)))) == ["requantize", "clip", "add"]
    assert ops(fuse_requantize(b.graph(z, y))) == ["requantize", "clip"]


# --- tables ---------------------------------------------------------------------------------------------------------


def table(b: Builder, x: str, offset: int, entries: np.ndarray, axis: int | None = None) -> str:
    return b.add("table", x, b.constant("entries", entries), offset=offset, axis=axis)


def test_three_tables_a_clip_and_a_requantize_become_one() -> None:
    b, x = start()
    y = table(b, x, -128, np.arange(256) - 100)
    y = b.add("clip", y, lo=-20, hi=20)
    y = table(b, y, -20, (np.arange(41) - 20) ** 2)
    y = b.add("requantize", y, b.constant("m", np.array([3])), shift=3, lo=0, hi=100)
    before = b.graph(table(b, y, 0, np.arange(101)[::-1]))
    after = merge_tables(before)
    assert ops(after) == ["table"]
    x_array = np.arange(-128, 128).reshape(-1, 1).repeat(3, axis=1)
    assert np.array_equal(*(evaluate(g, {"x": x_array})[g.outputs[0]] for g in (before, after)))


def test_tables_of_channels_and_multipliers_of_channels_stay() -> None:
    b, x = start()
    y = table(b, x, -128, np.zeros((3, 256), int), axis=1)
    assert ops(merge_tables(b.graph(table(b, y, 0, np.array([5]))))) == ["table", "table"]
    b, x = start()
    y = b.add("requantize", x, b.constant("m", np.array([1, 2, 3])), shift=3, lo=0, hi=9)
    assert ops(merge_tables(b.graph(table(b, y, 0, np.arange(10))))) == ["requantize", "table"]


def test_a_wide_argument_stays() -> None:
    for span, merged in ((SMALL, ["table"]), (SMALL + 1, ["clip", "table"])):
        b, x = start(Interval(5, 5 + span - 1))
        y = b.add("clip", x, lo=0, hi=9)
        assert ops(merge_tables(b.graph(table(b, y, 0, np.arange(10))))) == merged


# --- padding ---------------------------------------------------------------------------------------------------------


def padded_conv(fill: float, channel: tuple[int, int, int], space: tuple[int, int, int]) -> Graph:
    b = Builder("float")
    x = b.input("x", (-1, 2, 5, 5))
    p = b.add("pad", x, margins=((0, 0, 0), channel, space, (0, 1, 0)), fill=fill)
    weight = b.constant("w", np.random.default_rng(0).normal(size=(3, b.values[p].shape[1], 3, 3)))
    window = {"stride": (2, 1), "padding": ((1, 0), (0, 0)), "dilation": (1, 1), "groups": 1}
    return b.graph(b.add("conv", p, weight, **window))


def test_zeros_around_the_image_become_padding() -> None:
    before = padded_conv(0.0, (0, 0, 0), (2, 1, 0))
    after = fold_padding(before)
    assert ops(after) == ["conv"] and after.nodes[0].attrs["padding"] == ((3, 1), (0, 1))
    x = np.random.default_rng(1).normal(size=(2, 2, 5, 5))
    assert np.array_equal(*(evaluate(g, {"x": x}, dtype=np.float64)[g.outputs[0]] for g in (before, after)))


@pytest.mark.parametrize(
    ("fill", "channel", "space"),
    [(1.0, (0, 0, 0), (1, 1, 0)), (0.0, (1, 0, 0), (1, 1, 0)), (0.0, (0, 0, 0), (1, 1, 1))],
)
def test_other_pads_stay(fill: float, channel: tuple[int, int, int], space: tuple[int, int, int]) -> None:
    assert ops(fold_padding(padded_conv(fill, channel, space))) == ["pad", "conv"]


# --- batch norm -----------------------------------------------------------------------------------------------------


def test_batch_norms_fold_into_the_layers_before_them() -> None:
    graph = factories.float_cnn()
    folded = fold_batch_norm(graph)
    assert ops(folded) == [op for op in ops(graph) if op != "batch_norm"]
    assert {"bn1", "layer1.bn1", "layer1.bn2"} <= set(folded.values), "the folded layer computes the norm's value"
    assert {name for name in folded.constants if "conv" in name} == {
        f"{module}.{part}" for module in ("conv1", "layer1.conv1", "layer1.conv2") for part in ("weight", "bias")
    }
    assert folded.values["conv1.weight"].source == Source("conv1", "model.py:1")
    assert folded.constants["conv1.weight"].dtype == np.float32


def norm(b: Builder, x: str, channels: int) -> str:
    return b.add("batch_norm", x, *(b.constant("p", np.ones(channels)) for _ in range(4)), eps=1e-5)


def layer(b: Builder, x: str, shape: tuple[int, ...], **attrs: Any) -> str:
    weight = b.constant("w", np.ones(shape))
    rank = len(shape) - 2
    standard = {"stride": (1,) * rank, "padding": ((0, 0),) * rank, "dilation": (1,) * rank, "groups": 1}
    return b.add("conv" if rank else "linear", x, weight, **({**standard, **attrs} if rank else {}))


def test_a_convolution_that_somebody_else_reads_keeps_its_batch_norm() -> None:
    b = Builder("float")
    y = layer(b, b.input("x", (-1, 2, 3, 3)), (2, 2, 1, 1))
    z = norm(b, y, 2)
    assert "batch_norm" in ops(fold_batch_norm(b.graph(b.add("add", y, z))))
    assert "batch_norm" in ops(fold_batch_norm(b.graph(z, y)))


def test_a_batch_norm_over_another_axis_than_the_linear_layers_features_stays() -> None:
    b = Builder("float")
    y = layer(b, b.input("x", (-1, 4, 4)), (4, 4))
    assert "batch_norm" in ops(fold_batch_norm(b.graph(norm(b, y, 4))))


def test_grouped_and_one_dimensional_convolutions_fold() -> None:
    rng = np.random.default_rng(0)
    b = Builder("float")
    x = b.input("x", (-1, 4, 7))
    w = b.constant("w", rng.normal(size=(6, 2, 3)))
    y = b.add("conv", x, w, stride=(2,), padding=((1, 0),), dilation=(1,), groups=2)
    parameters = [b.constant("p", rng.uniform(0.5, 2, 6)) for _ in range(4)]
    graph = b.graph(b.add("batch_norm", y, *parameters, eps=1e-3))
    folded = fold_batch_norm(graph)
    array = rng.normal(size=(2, 4, 7))
    one, two = (evaluate(g, {"x": array}, dtype=np.float64)[g.outputs[0]] for g in (graph, folded))
    assert ops(folded) == ["conv"] and np.allclose(one, two, rtol=1e-12)


# --- equalisation ---------------------------------------------------------------------------------------------------


def pair(kind: str, between: str, rng: np.random.Generator, **attrs: Any) -> Graph:
    b = Builder("float")
    conv = kind == "conv"
    extra: dict[str, Any] = (
        {"stride": (1, 1), "padding": ((0, 0), (0, 0)), "dilation": (1, 1), "groups": 1} if conv else {}
    )
    x = b.input("x", (-1, 3, 5, 5) if conv else (-1, 6, 3))
    shape = (4, 3, 2, 2) if conv else (4, 3)
    one = b.constant("one", rng.normal(size=shape) * 10.0 ** rng.uniform(-2, 2, (4, *[1] * (len(shape) - 1))))
    y = b.add(kind, x, one, b.constant("bias", rng.normal(size=4)), **extra)
    y = b.add(between, y, **attrs)
    inner = b.values[y].shape[1] if conv else b.values[y].shape[-1]
    two = b.constant("two", rng.normal(size=(2, inner, 1, 1) if conv else (2, inner)))
    return b.graph(b.add(kind, y, two, **extra))


@pytest.mark.parametrize("kind", ["conv", "linear"])
@pytest.mark.parametrize(("between", "attrs"), [("relu", {}), ("leaky_relu", {"slope": 0.1})])
def test_ranges_of_the_channels_become_equal(kind: str, between: str, attrs: dict[str, Any]) -> None:
    rng = np.random.default_rng(1)
    graph = pair(kind, between, rng, **attrs)
    after = equalize(graph)
    one, two = after.constants["one"], after.constants["two"]
    assert np.allclose(np.abs(one).reshape(4, -1).max(1), np.abs(two).reshape(2, 4, -1).max((0, 2)))
    x = rng.normal(size=[2, *graph.values["x"].shape[1:]])
    old, new = (evaluate(g, {"x": x}, dtype=np.float64)[g.outputs[0]] for g in (graph, after))
    assert np.allclose(old, new, rtol=1e-9, atol=1e-9 * np.abs(old).max())


WINDOW = {"kernel": (2, 2), "stride": (1, 1), "padding": ((0, 0), (0, 0))}


@pytest.mark.parametrize("between", ["max_pool", "avg_pool"])
def test_pooling_may_stand_between_convolutions_but_not_between_linear_layers(between: str) -> None:
    average = {"count_padding": True, "divisor": None} if between == "avg_pool" else {}
    graph = pair("conv", between, np.random.default_rng(2), **WINDOW, **average)
    assert not np.allclose(equalize(graph).constants["one"], graph.constants["one"])
    line = {"kernel": (2,), "stride": (1,), "padding": ((0, 0),)}
    graph = pair("linear", between, np.random.default_rng(2), **line, **average)
    after = equalize(graph)
    x = np.random.default_rng(3).normal(size=(2, 6, 3))
    old, new = (evaluate(g, {"x": x}, dtype=np.float64)[g.outputs[0]] for g in (graph, after))
    assert np.allclose(old, new, rtol=1e-9)


@pytest.mark.parametrize(("between", "attrs"), [("tanh", {}), ("clip", {"lo": 0, "hi": 6}), ("sigmoid", {})])
def test_functions_that_do_not_scale_stop_it(between: str, attrs: dict[str, Any]) -> None:
    graph = pair("conv", between, np.random.default_rng(4), **attrs)
    assert np.array_equal(equalize(graph).constants["one"], graph.constants["one"])


def test_shared_weights_and_second_readers_stop_it() -> None:
    b = Builder("float")
    x, w = b.input("x", (-1, 3)), b.constant("w", np.diag([1.0, 20.0, 300.0]))
    y = b.add("relu", b.add("linear", x, w))
    shared = b.graph(b.add("linear", y, w))
    assert np.array_equal(equalize(shared).constants["w"], np.diag([1.0, 20.0, 300.0]))
    v = b.constant("v", np.eye(3))
    read_twice = b.graph(b.add("add", b.add("linear", y, v), y))
    assert np.array_equal(equalize(read_twice).constants["v"], np.eye(3))


def test_a_channel_without_weights_keeps_its_scale() -> None:
    b = Builder("float")
    x = b.input("x", (-1, 2))
    one = b.constant("one", np.array([[4.0, 0], [0, 0], [1.0, 1.0]]))
    two = b.constant("two", np.array([[1.0, 5.0, 0]]))
    after = equalize(b.graph(b.add("linear", b.add("relu", b.add("linear", x, one)), two)))
    assert after.constants["one"].tolist() == [[2, 0], [0, 0], [1, 1]]
    assert after.constants["two"].tolist() == [[2, 5, 0]]
