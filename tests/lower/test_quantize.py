"""Quantize on small residual CNNs: close to the float network, one rounding a join, every choice of the recipe kept."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest

import samples
from arithmos.errors import RangeError, UsageError
from arithmos.ir.build import Builder
from arithmos.ir.check import check
from arithmos.ir.codec import digest
from arithmos.ir.graph import Graph, Source, consumers, producers
from arithmos.ir.interpret import evaluate
from arithmos.ir.interval import Interval
from arithmos.ir.scale import PerChannel, PowerOfTwo, Scale, as_float
from arithmos.lower.calibrate import Stats, calibrate
from arithmos.lower.choose import choose
from arithmos.lower.lower import lower
from arithmos.lower.quantize import decide, prepare, quantize
from arithmos.lower.recipe import Recipe
from lower.trained import CALIBRATION, integers, relative_error, trained


@pytest.mark.parametrize("seed", [0, 1, 2])
@pytest.mark.parametrize("batch_norm", [False, True])
@pytest.mark.parametrize(
    ("recipe", "bound"),
    [
        (Recipe(), 0.02),
        (Recipe(weight_bits=12, activation_bits=12, edge_bits=12), 0.002),
        (Recipe(weight_bits=16, activation_bits=16, edge_bits=16), 0.015),
        (Recipe(weight_bits=6, activation_bits=6), 0.12),
        (Recipe(weight_bits=4, activation_bits=4), 0.3),
        (Recipe(weight_bits=4, activation_bits=4, multiplier_bits=8), 0.3),
        (Recipe(weight_scale="tensor"), 0.04),
        (Recipe(scales="power_of_two"), 0.04),
        (Recipe(joins="equal"), 0.03),
        (Recipe(scales="power_of_two", joins="equal", weight_scale="tensor"), 0.06),
        (Recipe(multiplier_bits=12), 0.02),
        (Recipe(corrections=("equalize", "bias")), 0.02),
        (Recipe(weight_observer="mse", activation_observer="percentile:99.99"), 0.03),
    ],
)
def test_integers_are_close_to_floats(seed: int, batch_norm: bool, recipe: Recipe, bound: float) -> None:
    graph, stats = trained(seed, batch_norm)
    net = quantize(graph, stats, recipe)
    check(net)
    assert relative_error(graph, net) < bound


def test_the_result_is_reproducible() -> None:
    graph, stats = trained()
    assert digest(quantize(graph, stats)) == digest(quantize(graph, calibrate(graph, [CALIBRATION])))


def test_ranges_hold_for_any_image_and_at_the_corners() -> None:
    net = quantize(*trained())
    for inputs in samples.all_inputs(net):
        samples.assert_in_range(net, evaluate(net, inputs, every=True))


def by_op(net: Graph, op: str) -> list[str]:
    return [node.output for node in net.nodes if node.op == op]


def test_the_names_are_those_of_the_float_graph() -> None:
    graph, stats = trained()
    net = quantize(graph, stats)
    assert by_op(net, "requantize") == ["relu", "layer1.relu1", "layer1.relu2", "mean", "fc"]
    assert by_op(net, "conv") == ["bn1.acc", "layer1.bn1.acc", "layer1.bn2.acc"]
    assert {"conv1.weight", "layer1.conv1.weight", "layer1.conv2.weight", "fc.weight"} <= set(net.constants)
    assert net.values["relu"].source == Source("relu", "model.py:3")
    assert net.inputs == ("x",)
    assert net.values["x"].range == Interval(0, 255)


def test_values_with_a_float_name_stand_for_that_value() -> None:
    graph, stats = trained()
    net, real = quantize(graph, stats), evaluate(graph, {"x": CALIBRATION}, every=True, dtype=np.float64)
    compared = 0
    for name, array in integers(net).items():
        if name in real:
            value = net.values[name]
            assert value.scale is not None, name
            assert np.abs(array * as_float(value.scale) - real[name]).max() < 0.05 * np.abs(real[name]).max(), name
            compared += 1
    assert compared >= 6


def test_a_residual_join_rounds_exactly_once() -> None:
    graph, stats = trained()
    net = quantize(graph, stats)
    made_by = producers(net)
    join = made_by["layer1.relu2"]
    assert join.op == "requantize" and len(join.inputs) == 1, "no second multiplier"
    total = made_by[join.inputs[0]]
    assert total.op == "add"
    sources = set()
    stack = list(total.inputs)
    while stack:
        node = made_by.get(stack.pop())
        if node is None or node.op in ("conv", "max_pool"):
            sources.add(node.output if node else "")
            continue
        assert node.op in ("mul", "add"), f"{node.op} between the accumulator and the join"
        stack += [name for name in node.inputs if name not in net.constants]
    assert sources == {"layer1.bn2.acc", "pool"}
    assert len(by_op(net, "requantize")) == 5, "stem, first half, join, mean, logits: nothing else rounds"


def test_the_join_is_the_exact_sum_rounded_once() -> None:
    graph, stats = trained()
    net = quantize(graph, stats)
    values, made_by = integers(net), producers(net)
    total = made_by[made_by["layer1.relu2"].inputs[0]]
    exact = sum(values[name].astype(object) for name in total.inputs)
    shift = made_by["layer1.relu2"].attrs["shift"]
    rounded = np.array([min(max((int(v) + (1 << shift - 1)) >> shift, 0), 255) for v in np.ravel(exact)])
    assert np.array_equal(values["layer1.relu2"].ravel(), rounded)


def test_rectified_values_are_unsigned() -> None:
    net = quantize(*trained())
    for name in ("relu", "pool", "layer1.relu1", "layer1.relu2"):
        interval = net.values[name].range
        assert interval is not None and interval.lo == 0 and interval.hi <= 255


def shared_network() -> tuple[Graph, Stats]:
    """One convolution read by two layers, an add and a concat."""
    rng = np.random.default_rng(3)
    b = Builder("float")
    x = b.input("x", (-1, 3, 12, 12))
    plain = {"stride": (1, 1), "padding": ((1, 1), (1, 1)), "dilation": (1, 1), "groups": 1}

    def conv(y: str, name: str, channels: int) -> str:
        return b.add(
            "conv", y, b.constant(f"{name}.weight", rng.normal(size=(4, channels, 3, 3)) / 5), name=name, **plain
        )

    first = conv(x, "first", 3)
    one, two = conv(first, "one", 4), conv(first, "two", 4)
    joined = b.add("concat", one, b.add("add", two, first, name="sum"), first, axis=1, name="joined")
    graph = b.graph(conv(joined, "last", 12), b.add("maximum", first, one, name="top"))
    return graph, calibrate(graph, [CALIBRATION])


def test_a_shared_value_is_rounded_once_for_all() -> None:
    graph, stats = shared_network()
    net = quantize(graph, stats)
    readers = [n.output for n in consumers(net)["first.acc"]]
    assert "first" in readers
    steps = [net.values[name].scale for name in readers]
    assert len(set(steps)) == len(steps), "one rounding for each step that its readers need, and no more"


@pytest.mark.parametrize("recipe", [Recipe(), Recipe(joins="equal"), Recipe(scales="power_of_two")])
def test_shared_values_and_joins_compute_the_function(recipe: Recipe) -> None:
    graph, stats = shared_network()
    net = quantize(graph, stats, recipe)
    assert relative_error(graph, net) < 0.04


def powers_of_two(scale: Scale | None) -> bool:
    match scale:
        case None | PowerOfTwo():
            return True
        case PerChannel(_, scales):
            return all(powers_of_two(s) for s in scales)
        case _:
            return False


@pytest.mark.parametrize("weight_scale", ["tensor", "channel"])
@pytest.mark.parametrize("joins", ["fused", "equal"])
def test_power_of_two_scales_everywhere(weight_scale: Any, joins: Any) -> None:
    graph, stats = trained(0, batch_norm=False)
    net = quantize(graph, stats, Recipe(scales="power_of_two", weight_scale=weight_scale, joins=joins))
    for value in net.values.values():
        assert powers_of_two(value.scale), value.name
    factors = [
        name for node in net.nodes if node.op in ("requantize", "mul") for name in node.inputs if name in net.constants
    ]
    for name in factors:
        array = net.constants[name].astype(int)
        if node_divides(name):
            continue
        assert np.all(array & (array - 1) == 0), f"{name}: a multiplier that is no shift"
    if weight_scale == "tensor" and joins == "equal":
        assert [name for name in factors if not node_divides(name)] == [], "shifts alone"


def node_divides(name: str) -> bool:
    """The mean over 36 positions is no power of two, whatever the scales are."""
    return name.startswith("mean")


def test_equal_joins_add_values_of_one_scale() -> None:
    graph, stats = trained()
    net = quantize(graph, stats, Recipe(joins="equal"))
    adds = [node for node in net.nodes if node.op == "add"]
    assert len(adds) == 1
    left, right = (net.values[name].scale for name in adds[0].inputs)
    assert left == right == net.values[adds[0].output].scale is not None
    assert not by_op(net, "mul"), "the add is free"
    (reader,) = consumers(net)[adds[0].output]
    assert reader.op == "clip", "and so is the relu after it"


def test_multiplier_bits() -> None:
    graph, stats = trained()
    for bits in (10, 16, 24):
        net = quantize(graph, stats, Recipe(multiplier_bits=bits))
        for node in net.nodes:
            if node.op in ("requantize", "mul"):
                factors = [net.constants[name] for name in node.inputs if name in net.constants]
                assert all(np.abs(f.astype(int)).max() < 1 << bits for f in factors)


def test_default_shifts() -> None:
    net = quantize(*trained())
    assert {node.attrs["shift"] for node in net.nodes if node.op == "requantize"} <= {8, 16, 24}


def test_weight_bits_edges_and_overrides() -> None:
    graph, stats = trained()
    recipe = Recipe(weight_bits=3, activation_bits=8, edge_bits=6, overrides={"layer1.conv2": {"weight_bits": 5}})
    net = quantize(graph, stats, recipe)
    largest = {
        name: int(np.abs(array.astype(int)).max()) for name, array in net.constants.items() if name.endswith(".weight")
    }
    assert largest["conv1.weight"] <= 31 and largest["fc.weight"] <= 31, "first and last layer: edge_bits"
    assert largest["conv1.weight"] > 3
    assert largest["layer1.conv1.weight"] == 3
    assert 7 < largest["layer1.conv2.weight"] <= 15, "the folded layer answers to its convolution's module path"
    by_norm = quantize(graph, stats, dataclasses.replace(recipe, overrides={"layer1.bn2": {"weight_bits": 5}}))
    assert digest(by_norm) == digest(net), "and to its batch norm's"


def test_an_override_goes_before_the_bits_of_the_edges() -> None:
    graph, stats = trained()
    overrides = {"fc": {"weight_bits": 3}, "conv1": {"weight_bits": 2}, "mean": {"activation_bits": 5}}
    net = quantize(graph, stats, Recipe(overrides=overrides))
    largest = {name: int(np.abs(net.constants[name].astype(int)).max()) for name in ("fc.weight", "conv1.weight")}
    assert largest == {"fc.weight": 3, "conv1.weight": 1}
    assert net.values["mean"].range == Interval(0, 31)


def test_an_override_that_matches_nothing_is_refused() -> None:
    graph, stats = trained()
    with pytest.raises(UsageError, match=r"'layer1.conv3' matches nothing; close are layer1.conv2, layer1.conv1"):
        quantize(graph, stats, Recipe(overrides={"layer1.conv3": {"weight_bits": 4}}))
    quantize(graph, stats, Recipe(overrides={"layer1.conv1": {}, "bn1": {}, "mean": {}, "layer*": {}}))


@pytest.mark.parametrize("scales", ["dyadic", "power_of_two"])
@pytest.mark.parametrize("weight_scale", ["tensor", "channel"])
def test_binary_weights_have_no_zero(scales: Any, weight_scale: Any) -> None:
    graph, stats = trained(batch_norm=False)
    recipe = Recipe(weight_bits=1, edge_bits=1, scales=scales, weight_scale=weight_scale)
    recipe = dataclasses.replace(recipe, overrides={"*": {"activation_bits": 8}})
    prepared, choice = decide(graph, stats, recipe)
    for name, chosen in choice.weights.items():
        weight = prepared.constants[producers(prepared)[name].inputs[1]]
        assert np.array_equal(chosen.integers, np.where(weight >= 0, 1, -1))
        if scales == "dyadic" and weight_scale == "channel":
            mean = np.abs(weight.astype(np.float64)).reshape(len(weight), -1).mean(axis=1)
            assert np.allclose(chosen.steps, mean, rtol=1e-6)
    assert {"conv1.weight", "fc.weight"} <= set(lower(prepared, choice, recipe).derived)
    check(quantize(graph, stats, recipe))


def test_one_bit_activations() -> None:
    net = quantize(*trained(), Recipe(activation_bits=1, edge_bits=1))
    assert net.values["layer1.relu1"].range == Interval(0, 1)


def test_weight_scales() -> None:
    graph, stats = trained()
    per_channel = quantize(graph, stats).values["conv1.weight"].scale
    assert isinstance(per_channel, PerChannel) and per_channel.axis == -4 and len(per_channel.scales) == 8
    assert not isinstance(
        quantize(graph, stats, Recipe(weight_scale="tensor")).values["conv1.weight"].scale, PerChannel
    )


def test_weight_observers() -> None:
    graph, stats = trained()
    scales = {}
    for observer in ("minmax", "mse", "percentile:80"):
        net = quantize(graph, stats, Recipe(weight_bits=4, weight_observer=observer))
        scale = net.values["layer1.conv1.weight"].scale
        assert scale is not None
        scales[observer] = as_float(scale)
    assert np.all(scales["mse"] <= scales["minmax"]) and np.any(scales["mse"] < scales["minmax"])
    assert np.all(scales["percentile:80"] < scales["minmax"])


def test_tables_on_the_way() -> None:
    b = Builder("float")
    x = b.input("x", (-1, 3, 12, 12))
    weight = b.constant("w", np.random.default_rng(5).normal(size=(4, 3, 1, 1)))
    acc = b.add("conv", x, weight, name="conv", stride=(1, 1), padding=((0, 0), (0, 0)), dilation=(1, 1), groups=1)
    graph = b.graph(b.add("hard_swish", b.add("gelu", acc, name="gelu", approximate="none"), name="swish"))
    net = quantize(graph, calibrate(graph, [CALIBRATION]))
    assert len(by_op(net, "table")) == 1, "two functions in a row are one table"
    assert net.constants["swish.entries"].shape == (255,)
    assert relative_error(graph, net) < 0.03


def test_only_float_graphs_can_be_quantized() -> None:
    graph, stats = trained()
    with pytest.raises(UsageError) as caught:
        quantize(quantize(graph, stats), stats)
    assert str(caught.value) == (
        "only a float graph can be quantized\n  why  this graph is integers already\n  fix  give the traced graph"
    )


def test_statistics_of_another_graph() -> None:
    graph, _ = trained()
    with pytest.raises(
        UsageError, match=r"^calibration has not seen 10 values of this graph\n  why  the first is 'bn1'; "
    ):
        quantize(graph, shared_network()[1])


def test_sixteen_bits_say_what_does_not_fit() -> None:
    wide = Recipe(weight_bits=16, activation_bits=16, edge_bits=16)
    b = Builder("float")
    x = b.input("x", (-1, 1 << 14))
    layer = b.add("linear", x, b.constant("w", np.ones((1, 1 << 14))), name="fc", source=Source("fc", "model.py:7"))
    table = b.add(
        "add", layer, b.add("reduce_mean", x, axes=(1,), keepdims=True), name="sum", source=Source("", "model.py:8")
    )
    huge = b.graph(b.add("relu", table, name="y", source=Source("", "model.py:9")))
    stats = calibrate(huge, [np.random.default_rng(0).uniform(-1, 1, (4, 1 << 14))])
    with pytest.raises(RangeError) as caught:
        quantize(huge, stats, dataclasses.replace(wide, multiplier_bits=31))
    assert caught.value.where == "model.py:9" and "int64 has 64" in caught.value.what


def test_lower_alone_leaves_the_finishing_to_the_passes() -> None:
    graph, stats = trained()
    prepared = prepare(graph)
    check(lower(prepared, choose(prepared, stats)).net)


def test_what_quantize_is_not_made_for() -> None:
    graph, seen = trained()
    bad: list[tuple[Any, Any, str]] = [
        (
            None,
            Recipe(),
            "quantize needs Stats, got NoneType\n  why  it is made from it\n  fix  give ar.calibrate(graph, ",
        ),
        (CALIBRATION, Recipe(), "quantize needs Stats, got ndarray\n"),
        (
            seen,
            {"weight_bits": 4},
            "quantize needs Recipe, got dict\n  why  it is made from it\n  fix  give ar.Recipe(…)",
        ),
    ]
    for stats, recipe, text in bad:
        with pytest.raises(UsageError) as caught:
            quantize(graph, stats, recipe)
        assert str(caught.value).startswith(text)
    with pytest.raises(UsageError, match="a graph is needed, this is of type str"):
        quantize("net", seen)  # type: ignore[arg-type]
