"""The integer op set expresses what later lowerings need: each network of `factories` against an independent reference.

References are plain Python integers where the definition is an integer one, and float64 (numpy or torch) for closeness.
"""

from __future__ import annotations

import math

import numpy as np
import pytest

import factories
import samples
from arithmos.ir.codec import random_inputs
from arithmos.ir.graph import Graph
from arithmos.ir.interpret import evaluate
from arithmos.ir.ops.function import erf
from integer_blocks import exp2_tables

TORCH = "pip install 'arithmos[torch]'"


def results(graph: Graph, n: int = 4, seed: int = 3) -> dict[str, np.ndarray]:
    return evaluate(graph, random_inputs(graph, n, seed), every=True)


def exact_softmax(row: list[int], step: float) -> list[int]:
    """Half-up rounded 2**8 * e_i / sum, e_i by the two tables; only the terms that are there."""
    coarse, fine = (table.tolist() for table in exp2_tables())
    multiplier = math.floor(2.0**16 * step * 4096 / math.log(2) + 0.5)
    e = []
    for x in row:
        u = min(((max(row) - x) * multiplier + (1 << 15)) >> 16, (41 << 12) - 1)
        z, f = u >> 12, u & 4095
        e.append(min((coarse[f >> 6] * fine[f & 63] + (1 << 19)) >> 20, 1 << 20) >> z)
    total = sum(e)
    return [(2 * 256 * v + total) // (2 * total) for v in e]


@pytest.mark.parametrize("corner", [False, True])
def test_causal_softmax(corner: bool) -> None:
    graph, step = factories.integer_softmax(), 2.0**-8
    for inputs in samples.corner_inputs(graph, 2) if corner else [random_inputs(graph, 4)]:
        scores, p = inputs["scores"].astype(int), evaluate(graph, inputs)["probability"]
        for n, head, i in np.ndindex(*p.shape[:3]):
            row = scores[n, head, i, : i + 1].tolist()
            assert p[n, head, i, : i + 1].tolist() == exact_softmax(row, step)
            assert not p[n, head, i, i + 1 :].any(), "masked terms are absent"
            real = np.exp((np.array(row) - max(row)) * step)
            assert np.abs(p[n, head, i, : i + 1] / 256 - real / real.sum()).max() <= 0.5 / 256 + 2e-4


def test_what_is_masked_cannot_be_seen() -> None:
    graph = factories.integer_softmax()
    inputs = random_inputs(graph, 2)
    scores = inputs["scores"].copy()
    scores[..., ~np.tril(np.ones((6, 6), bool))] = graph.values["scores"].range.hi  # type: ignore[union-attr]
    assert np.array_equal(evaluate(graph, {"scores": scores})["probability"], evaluate(graph, inputs)["probability"])


def test_softmax() -> None:
    graph = factories.plain_softmax()
    values = results(graph, 8)
    for row, p in zip(values["logits"].tolist(), values["probability"].tolist(), strict=True):
        assert p == exact_softmax(row, 2.0**-10)
        assert abs(sum(p) - 256) <= len(p) / 2


def test_layer_norm() -> None:
    graph = factories.integer_layer_norm()
    gamma, beta = factories.norm_parameters()
    inputs = random_inputs(graph, 4)
    y, r = evaluate(graph, inputs)["normed"], evaluate(graph, inputs, every=True)
    gain = [math.floor(g * 2.0**24 / (factories.NORM_OUT_STEP * 65536) + 0.5) for g in gamma.tolist()]
    offset = [math.floor(b * 2.0**24 / factories.NORM_OUT_STEP + 0.5) for b in beta.tolist()]
    for n, t in np.ndindex(*y.shape[:2]):
        row = inputs["x"][n, t].tolist()
        count, total, squares = 16, sum(row), sum(v * v for v in row)
        deviation = count * squares - total**2 + max(1, math.floor(256 * 1e-5 / factories.NORM_STEP**2 + 0.5))
        root = math.isqrt(deviation << 12)
        normal = [((count * v - total) * (1 << 22) + (root >> 1)) // root for v in row]
        assert r["normal"][n, t].tolist() == normal, "the clip around the division cuts nothing"
        exact = [(v * g + o + (1 << 23)) >> 24 for v, g, o in zip(normal, gain, offset, strict=True)]
        assert y[n, t].tolist() == [min(max(v, -128), 127) for v in exact]
    x = inputs["x"] * factories.NORM_STEP
    real = (x - x.mean(-1, keepdims=True)) / np.sqrt(x.var(-1, keepdims=True) + 1e-5) * gamma + beta
    clipped = np.clip(real, -128 * factories.NORM_OUT_STEP, 127 * factories.NORM_OUT_STEP)
    assert np.abs(y * factories.NORM_OUT_STEP - clipped).max() <= factories.NORM_OUT_STEP * 0.51


def test_layer_norm_of_a_constant_row_is_beta() -> None:
    graph = factories.integer_layer_norm()
    y = evaluate(graph, {"x": np.full((1, 3, 16), 700)})["normed"]
    _, beta = factories.norm_parameters()
    assert np.array_equal(y[0, 0], np.floor(beta / factories.NORM_OUT_STEP + 0.5))


def test_gelu_and_channel_tables() -> None:
    values = results(factories.gelu_table(), 50)
    x = values["narrow"] * factories.GELU_STEP
    real = 0.5 * x * (1 + erf(x / math.sqrt(2)))
    assert np.abs(values["gelu"] - real / factories.GELU_OUT_STEP).max() <= 0.5
    values = results(factories.channel_tables())
    steps = np.array([0.1, 0.25, 0.5]).reshape(3, 1, 1)
    x = values["x"] * steps
    assert np.abs(values["silu"] - np.minimum(x / (1 + np.exp(-x)) * 16, 127)).max() <= 0.5


def test_attention() -> None:
    graph = factories.attention()
    values = results(graph, 2)
    q, k, v = (values[f"{name}.heads"] for name in "qkv")
    for n, head in np.ndindex(2, 2):
        scores = q[n, head].astype(object) @ k[n, head].astype(object).T
        narrow = [[min(max((s + 8) >> 4, -2047), 2047) for s in row] for row in scores.tolist()]
        for i in range(5):
            p = exact_softmax(narrow[i][: i + 1], 2.0**-7)
            mixed = [sum(a * b for a, b in zip(p, v[n, head, : i + 1, d].tolist(), strict=True)) for d in range(4)]
            assert values["mixed"][n, head, i].tolist() == [min(max((m + 128) >> 8, -127), 127) for m in mixed]


def test_a_later_token_does_not_change_an_earlier_result() -> None:
    graph = factories.attention()
    x = random_inputs(graph, 1)["x"].copy()
    before = evaluate(graph, {"x": x})["residual"]
    x[:, 3:] = -x[:, 3:].astype(int).clip(-127, 127)
    after = evaluate(graph, {"x": x})["residual"]
    assert np.array_equal(before[:, :3], after[:, :3]) and not np.array_equal(before[:, 3:], after[:, 3:])


def test_embedding() -> None:
    graph = factories.embedding()
    values = results(graph)
    wte, wpe = graph.constants["wte"].astype(int), graph.constants["wpe"].astype(int)
    for n, t in np.ndindex(4, 6):
        stream = wte[values["tokens"][n, t]] + wpe[t]
        assert values["stream"][n, t].tolist() == stream.tolist()
        logits = [sum(int(a) * int(b) for a, b in zip(row, values["narrow"][n, t], strict=True)) for row in wte]
        assert values["logits"][n, t].tolist() == logits and values["next"][n, t] == logits.index(max(logits))


def test_interpolated_lookup() -> None:
    graph = factories.interpolated_lookup()
    every = evaluate(graph, {"x": np.arange(4096 - 4096 % 9).reshape(-1, 9)})
    y = every["sigmoid"].ravel() * 2.0**-14
    x = np.arange(y.size) * factories.INTERPOLATION_STEP
    step = 64 * factories.INTERPOLATION_STEP
    bend = step**2 / 8 * 0.0963  # largest |f''| of the sigmoid is 1 / (6 sqrt 3)
    assert np.abs(y - 1 / (1 + np.exp(-x))).max() <= bend + 1.1 * 2.0**-14


def test_transposed_convolution() -> None:
    torch = pytest.importorskip("torch", reason=TORCH)
    graph = factories.transposed_conv()
    inputs = random_inputs(graph, 2)
    expected = torch.nn.functional.conv_transpose2d(
        torch.from_numpy(inputs["x"].astype(np.float64)),
        torch.from_numpy(factories.transposed_weight().astype(np.float64)),
        torch.tensor([1000.0, -1000.0], dtype=torch.float64),
        **factories.TRANSPOSED,
    )
    assert np.array_equal(evaluate(graph, inputs)["transposed"], expected.numpy())


def test_convolutions_of_every_kind() -> None:
    torch = pytest.importorskip("torch", reason=TORCH)
    graph = factories.convolutions()
    values = results(graph, 2)
    for node in graph.nodes:
        if node.op == "conv":
            arrays = [torch.from_numpy((values | dict(graph.constants))[n].astype(np.float64)) for n in node.inputs]
            sides = [side for pad in reversed(node.attrs["padding"]) for side in pad]
            function = torch.nn.functional.conv1d if arrays[0].ndim == 3 else torch.nn.functional.conv2d
            options = {key: node.attrs[key] for key in ("stride", "dilation", "groups")}
            expected = function(torch.nn.functional.pad(arrays[0], sides), *arrays[1:], **options)
            assert np.array_equal(values[node.output], expected.numpy()), node.output


def test_pools() -> None:
    torch = pytest.importorskip("torch", reason=TORCH)
    values = results(factories.pools())
    x = torch.from_numpy(values["x"].astype(np.float64))
    assert np.array_equal(values["top"], torch.nn.functional.max_pool2d(x, 3, 2, 1).numpy())
    average = torch.nn.functional.avg_pool2d(x, 3, 2, 1, count_include_pad=False).numpy()
    assert np.abs(values["average"] - average).max() <= 0.5 + 1e-3


def test_channel_shuffle_and_concat() -> None:
    values = results(factories.inception())
    joined = values["joined"]
    shuffled = joined.reshape(-1, 2, 6, 6, 6).swapaxes(1, 2).reshape(joined.shape)
    order = [channel % 2 * 6 + channel // 2 for channel in range(12)]
    assert np.array_equal(values["shuffled"], joined[:, order]) and np.array_equal(shuffled, joined[:, order])
    assert np.array_equal(values["halved"], joined[:, order][:, ::-2])
    parts = [values[name] for name in ("one", "three", "pool", "shifted")]
    assert np.array_equal(joined, np.concatenate(parts, axis=1))


def test_squeeze_excite() -> None:
    values = results(factories.squeeze_excite())
    gate = 1 / (1 + np.exp(-values["excite"] * factories.SQUEEZE_STEPS[1]))
    assert np.abs(values["gate"] - np.minimum(gate * 256, 255)).max() <= 0.5
    for n, c in np.ndindex(4, 6):
        product = values["x"][n, c].astype(int) * int(values["gate"][n, c])
        assert np.array_equal(values["gated"][n, c], (product + 128) >> 8)


def test_a_residual_block_rounds_once() -> None:
    graph = factories.residual_cnn()
    values = results(graph, 2)
    m = graph.constants
    left = values["block1.conv2.acc"].astype(object) * m["block1.relu2.left.mul"].astype(object)
    right = values["stem"].astype(object) * 9_000_001
    rounded = [min(max((int(v) + (1 << 23)) >> 24, 0), 255) for v in (left + right).ravel()]
    assert values["block1.relu2"].ravel().tolist() == rounded


def test_a_folded_batch_is_each_tile_on_its_own() -> None:
    graph = factories.folded_batch()
    values = results(graph, 2)
    x = values["x"]
    tiles = [x[n, :, 4 * i : 4 * i + 4, 4 * j : 4 * j + 4] for n in range(2) for i in range(2) for j in range(2)]
    assert np.array_equal(values["tiles"], np.stack(tiles))
    assert values["features"].shape == (2, 48)


def test_every_op_of_the_integer_set_is_used_by_some_network() -> None:
    used = {node.op for make in factories.INTEGER.values() for node in make().nodes}
    assert used == {op for op, _ in samples.INT_EXAMPLES}
