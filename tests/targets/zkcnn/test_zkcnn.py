"""Agreement of the replica with the interpreter; what the target refuses, and how it names other shifts."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

import arithmos as ar
import factories
from arithmos.errors import UnsupportedNetwork, VerificationError
from arithmos.ir.border import to_integers
from arithmos.ir.build import Builder
from arithmos.ir.graph import Graph
from arithmos.ir.interval import Interval, unsigned
from arithmos.models.registry import build, entry
from arithmos.targets.target import find, preflight
from arithmos.targets.zkcnn.chain import configuration_of
from targets.zkcnn.conftest import Small, pictures, quantized, traced

GIVEN_ALONE = {"uniform": 0, "corners": 0, "ties": 0}


def accumulators(net: Graph) -> int:
    return sum(abs(int(np.prod(net.values[n.output].shape))) for n in net.nodes if n.op in ("conv", "linear"))


def test_every_value_is_equal_and_the_accumulators_are_counted(small: Small) -> None:
    check = ar.verify(small.net, small.image, "zkcnn", **GIVEN_ALONE)
    assert check.ok, str(check)
    every = check.rows[0]
    assert (every.values, every.of_values) == (len(small.net.nodes) + 1,) * 2
    assert check.accumulators == accumulators(small.net) == 3 * 64 + 4 * 4 + 5 + 3
    assert str(check).endswith(" roundings were exact ties; 216 elements are accumulators")


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("pool_first", [False, True])
def test_calibrated_on_one_image_every_shift_is_its_own(seed: int, pool_first: bool) -> None:
    image = pictures(1, seed) * 3.0 ** (seed - 2)
    check = ar.verify(quantized(image, graph=traced(pool_first)), image, "zkcnn", **GIVEN_ALONE)
    assert check.ok, str(check)


def test_tensors_that_reach_less_far_get_more_bits_and_the_same_integers() -> None:
    image = pictures(1)
    coarse = ar.Recipe(
        scales="power_of_two", weight_scale="tensor", activation_observer="zkcnn", weight_bits=3, edge_bits=4
    )
    net = quantized(image, coarse)
    weights = [net.constants[n.inputs[1]] for n in net.nodes if n.op in ("conv", "linear")]
    assert all(np.ptp(w.astype(np.int64)) < 64 for w in weights)  # 2 bits more at least
    check = ar.verify(net, image, "zkcnn", **GIVEN_ALONE)
    assert check.ok, str(check)


def test_an_input_with_other_shifts_is_named_with_every_layer(small: Small) -> None:
    inputs = np.concatenate([small.image, small.others])
    check = ar.verify(small.net, inputs, "zkcnn", **GIVEN_ALONE)
    assert not check.ok and [row.result for row in check.rows] == ["failed", "failed"]
    error = check.rows[0].error
    assert isinstance(error, VerificationError)
    assert [layer.shift for layer in configuration_of(small.net).layers] == [8, 8, 7, None]
    assert error.what == "zkCNN computes other integers for 2 of 3 inputs"
    assert error.why == (
        "input 1: 0.acc shifted by 10 (by 8 in the network), 3.acc shifted by 9 (by 8 in the network)\n"
        "input 2: 0.acc shifted by 6 (by 8 in the network), 3.acc shifted by 6 (by 8 in the network), "
        "6.acc shifted by 5 (by 7 in the network)"
    )
    assert error.exit_code == 1
    assert error.fix == (
        "zkCNN takes each shift from the accumulators of the very inference: for these inputs, calibrate on them with\n"
        "--scales power_of_two --weight-scale tensor --activation-observer zkcnn;\n"
        "to compare the others alone, name them with --input FILE --samples 0"
    )


def test_an_image_of_equal_pixels_has_no_scale(small: Small) -> None:
    error = ar.verify(small.net, np.zeros((1, 2, 8, 8), np.int8), "zkcnn", **GIVEN_ALONE).rows[0].error
    assert error is not None and error.why == "input 0: the image: all its numbers are equal"


def test_an_empty_batch_has_no_samples(small: Small) -> None:
    run = find("zkcnn").prepare(small.net, True)
    found = run({small.net.inputs[0]: np.zeros((0, 2, 8, 8), np.int8)})
    assert {name: array.shape[0] for name, array in found.items()} == dict.fromkeys(found, 0)
    assert len(found) == len(small.net.nodes) + 1


def test_everything_it_cannot_express_is_listed() -> None:
    with pytest.raises(UnsupportedNetwork) as caught:
        preflight(factories.residual_cnn(), find("zkcnn"))
    assert caught.value.exit_code == 4
    assert [line.strip() for line in caught.value.why.splitlines()] == [
        "stem: 2 readers, zkCNN's layers are a chain",
        f"block1.relu1: {MULTIPLIES}",
        "block1.relu2.scaled: 'zkcnn' has no 'mul'",
        "block1.relu2.scaled.1: 'zkcnn' has no 'mul'",
        "block1.relu2.sum: 'zkcnn' has no 'add'",
        "block1.relu2: 2 readers, zkCNN's layers are a chain",
        f"block2.relu1: {MULTIPLIES}",
        "block2.slice: 'zkcnn' has no 'slice'",
        "block2.shortcut: 'zkcnn' has no 'pad'",
        "block2.relu2.scaled: 'zkcnn' has no 'mul'",
        "block2.relu2.scaled.1: 'zkcnn' has no 'mul'",
        "block2.relu2.sum: 'zkcnn' has no 'add'",
        "block2.relu2: zkCNN rounds accumulators, once",
        "pool.sum: 'zkcnn' has no 'sum_pool'",
        f"pool: {MULTIPLIES}",
    ]


MULTIPLIES = "it multiplies before it shifts, zkCNN shifts alone (--scales power_of_two --weight-scale tensor)"


class Unfit(nn.Module):
    """A left batch norm behind the pool, an average pool, a branch."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(1, 2, 3)
        self.norm = nn.BatchNorm2d(2)
        nn.init.uniform_(self.norm.running_mean, 0.1, 1)
        self.fc = nn.Linear(8, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.norm(torch.relu(self.conv(x)))
        return self.fc(torch.flatten(nn.functional.avg_pool2d(torch.relu(y), 2), 1))


def test_batch_norm_left_and_average_pools_are_named_with_their_layers() -> None:
    image = np.random.default_rng(0).standard_normal((2, 1, 6, 6)).astype(np.float32)
    torch.manual_seed(0)
    with pytest.raises(UnsupportedNetwork) as caught:
        preflight(quantized(image, graph=ar.trace(Unfit().eval(), torch.zeros(1, 1, 6, 6))), find("zkcnn"))
    assert [line.strip().partition(", from")[0] for line in caught.value.why.splitlines()] == [
        "relu.1.scaled: 'zkcnn' has no 'mul'",
        "relu.1.sum: 'zkcnn' has no 'add'",
        "relu.1: zkCNN rounds accumulators, once",
        "avg_pool2d.sum: 'zkcnn' has no 'sum_pool'",
        "flatten.1: a rounding behind a flattening",
    ]


def chain(**changes: object) -> Graph:
    """conv, relu, pool, linear, made by hand, with one thing changed."""
    rng, b = np.random.default_rng(0), Builder("int")
    x = b.input("image", (-1, 2, 6, 6), changes.get("pixels", unsigned(8)))
    weight = changes.get("weight", factories.int8_weight(rng, 4, 2 // int(changes.get("groups", 1)), 3, 3))
    acc = factories.conv(
        b,
        x,
        weight,
        name="acc",
        **{key: changes[key] for key in ("groups", "dilation", "stride", "padding") if key in changes},
    )
    kept = acc
    if (levels := changes.get("levels", (0, 255))) is not None:
        kept = b.add("requantize", acc, shift=10, lo=levels[0], hi=levels[1], name="relu")
    if window := changes.get("pool"):
        kept = b.add("max_pool", kept, name="pool", **window)
    size = abs(int(np.prod(b.values[kept].shape)))
    if changes.get("ends"):
        return b.graph(kept)
    flat = b.add("reshape", kept, shape=(-1, size), name="flat")
    return b.graph(b.add("linear", flat, b.constant("fc", factories.int8_weight(rng, 3, size)), name="fc.acc"))


NO_PADDING = ((0, 0), (0, 0))


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"pixels": Interval(-200, 200)}, "acc: it reads integers of -200 to 200: Q = 9 bits hold relus of 0 to 255, "),
        ({"weight": np.array([-200, 100] * 36).reshape(4, 2, 3, 3)}, "acc: its weights reach from -200 to 100, Q = 9"),
        (
            {"weight": np.ones((4, 2, 3, 3), int)},
            "acc: its weights reach from 1 to 1, Q = 9 bits hold a difference of ",
        ),
        ({"weight": np.arange(48).reshape(4, 2, 3, 2)}, "acc: its kernel and padding must be square and its stride a "),
        ({"stride": (3, 3)}, "acc: its kernel and padding must be square and its stride a power of two"),
        ({"padding": ((1, 1), (0, 0))}, "acc: its kernel and padding must be square and its stride a power of two"),
        ({"groups": 2}, "acc: its groups and dilation must be 1"),
        ({"dilation": (2, 2)}, "acc: its groups and dilation must be 1"),
        ({"levels": (0, 15)}, "relu: its levels are 0 to 15, zkCNN has a relu of 0 to 255 behind a layer"),
        ({"levels": (-127, 127)}, "relu: its levels are -127 to 127, zkCNN has a relu of 0 to 255 behind a layer"),
        ({"levels": None}, "flat: a flattening behind a convolution"),
        (
            {"pool": {"kernel": (2, 2), "stride": (2, 2), "padding": ((1, 1), (1, 1))}},
            "pool: zkCNN's pools have no pad",
        ),
        ({"pool": {"kernel": (2, 1), "stride": (2, 2), "padding": NO_PADDING}}, "pool: its window must be square and "),
        ({"pool": {"kernel": (3, 3), "stride": (3, 3), "padding": NO_PADDING}}, "pool: its window must be square and "),
        ({"ends": True}, "relu: the output is a rounding, zkCNN's is a fully connected layer's"),
    ],
)
def test_refusals(changes: dict[str, object], why: str) -> None:
    preflight(chain(), find("zkcnn"))
    with pytest.raises(UnsupportedNetwork) as caught:
        preflight(chain(**changes), find("zkcnn"))
    assert caught.value.why.startswith(why), caught.value.why


def test_dyadic_scales_are_refused_with_the_recipe() -> None:
    net = quantized(pictures(1), ar.Recipe())
    with pytest.raises(UnsupportedNetwork) as caught:
        preflight(net, find("zkcnn"))
    assert [line.strip() for line in caught.value.why.splitlines()] == [
        f"1: {MULTIPLIES}, from 1",
        f"4: {MULTIPLIES}, from 4",
        f"7: {MULTIPLIES}, from 7",
        "8: the output is a rounding, zkCNN's is a fully connected layer's, from 8",
    ]


@pytest.mark.slow
@pytest.mark.parametrize("name", ["lenet5", "cifar_lenet5", "cifar_vgg11"])
def test_networks_of_zkcnns_programs(name: str) -> None:
    torch.manual_seed(0)
    image = np.random.default_rng(0).standard_normal((1, *entry(name).input_shape), dtype=np.float32)
    net = quantized(image, graph=ar.trace(build(name).eval(), torch.zeros(image.shape)))
    check = ar.verify(net, to_integers(net, image), "zkcnn", **GIVEN_ALONE)
    assert check.ok, str(check)
    assert check.accumulators == accumulators(net)
