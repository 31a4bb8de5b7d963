"""Calibration: streamed, independent of the batches, and clear about what it cannot use."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

import factories
from arithmos.errors import UsageError
from arithmos.ir.build import Builder
from arithmos.ir.graph import Graph, Source
from arithmos.ir.interpret import evaluate
from arithmos.ir.interval import Interval
from arithmos.lower.calibrate import calibrate, pieces

GRAPH = factories.float_cnn()
IMAGES = factories.images(70)


def test_every_float_value_is_observed() -> None:
    stats = calibrate(GRAPH, [IMAGES])
    assert set(stats.observations) == {*GRAPH.inputs, *(node.output for node in GRAPH.nodes)}
    assert stats.n_samples == 70
    values = evaluate(GRAPH, {"x": IMAGES}, every=True)
    for name, seen in stats.observations.items():
        assert seen.counts.sum() == values[name].size
        assert np.allclose([seen.lo, seen.hi], [values[name].min(), values[name].max()], rtol=1e-5)
        assert np.allclose(
            seen.channel_mean, np.moveaxis(values[name], 1, 0).reshape(values[name].shape[1], -1).mean(1), atol=1e-5
        )


@pytest.mark.parametrize("cuts", [[10, 31, 69], list(range(1, 70)), [35]])
def test_the_cut_into_batches_does_not_matter(cuts: list[int]) -> None:
    whole, cut = calibrate(GRAPH, [IMAGES]), calibrate(GRAPH, iter(np.split(IMAGES, cuts)))
    assert cut.n_samples == 70
    for name, seen in whole.observations.items():
        other = cut.observations[name]
        # BLAS may sum in another order for another batch: the floats themselves differ in the last bit.
        assert np.allclose([seen.lo, seen.hi], [other.lo, other.hi], rtol=1e-5, atol=1e-6)
        assert np.abs(seen.counts - other.counts).sum() <= 1e-3 * seen.counts.sum() and seen.width == other.width


def test_batches_are_streamed() -> None:
    alive: list[Any] = []

    def batches() -> Iterator[np.ndarray]:
        for i in range(4):
            alive.append(i)
            yield IMAGES[:3]
            assert len(alive) == i + 1, "the next batch is asked for only when this one is done"

    assert calibrate(GRAPH, batches()).n_samples == 12


def test_the_first_samples_are_kept() -> None:
    stats = calibrate(GRAPH, np.split(IMAGES, 7), keep=25)
    assert np.array_equal(np.concatenate([sample["x"] for sample in stats.samples]), IMAGES[:25])
    assert not calibrate(GRAPH, [IMAGES], keep=0).samples


@pytest.mark.parametrize("form", ["array", "list", "pair", "tuple", "named", "uint8", "float64"])
def test_forms_of_a_batch(form: str) -> None:
    pixels = (IMAGES[:4] * 255).astype(np.uint8)
    batch = {
        "array": IMAGES[:4],
        "list": [IMAGES[:4], np.arange(4)],
        "pair": (IMAGES[:4], np.arange(4)),
        "tuple": (IMAGES[:4],),
        "named": {"x": IMAGES[:4]},
        "uint8": pixels,
        "float64": IMAGES[:4].astype(np.float64),
    }[form]
    expected = calibrate(GRAPH, [pixels.astype(np.float32) if form == "uint8" else IMAGES[:4]])
    seen = calibrate(GRAPH, [batch])
    assert seen.n_samples == 4
    for name, observation in expected.observations.items():
        assert np.array_equal(observation.counts, seen.observations[name].counts), name


def test_tensors() -> None:
    torch = pytest.importorskip("torch", reason="pip install 'arithmos[torch]'")
    stats = calibrate(GRAPH, [(torch.from_numpy(IMAGES[:4]).requires_grad_(), torch.arange(4))])
    assert stats.observations["x"].hi == IMAGES[:4].max()


def two_inputs() -> Graph:
    b = Builder("float")
    x, y = b.input("x", (-1, 3)), b.input("y", (3, 3))
    return b.graph(b.add("matmul", x, y, name="product"))


def test_several_inputs_one_of_them_without_a_batch() -> None:
    x, y = np.ones((40, 3)), np.eye(3)
    for batch in ({"x": x, "y": y}, (x, y), [x, y]):
        stats = calibrate(two_inputs(), [batch])
        assert stats.n_samples == 40 and stats.observations["product"].counts.sum() == 120
    cut = pieces(two_inputs(), {"x": x, "y": y}, 40)
    assert [len(piece["x"]) for piece in cut] == [32, 8] and all(piece["y"] is y for piece in cut)


def test_pieces_of_an_input_that_holds_several_rows_a_sample() -> None:
    b = Builder("float")
    graph = b.graph(b.add("relu", b.input("x", (5, -2))))
    x = np.arange(5 * 8).reshape(5, 8)
    assert [p["x"].tolist() for p in pieces(graph, {"x": x}, 4, limit=3)] == [x[:, :6].tolist(), x[:, 6:].tolist()]


def test_values_with_the_batch_elsewhere() -> None:
    b = Builder("float")
    x = b.input("x", (-1, 5, 3))
    turned = b.add("transpose", x, perm=(1, 0, 2), name="turned")
    graph = b.graph(b.add("reduce_sum", b.add("relu", turned), axes=(0, 2), keepdims=False, name="total"))
    stats = calibrate(graph, [np.ones((45, 5, 3), np.float32)])  # runs as 32 + 13
    assert stats.observations["turned"].feature_mean.shape == (3,)
    assert stats.observations["total"].feature_mean.tolist() == [15]


# --- refusals -------------------------------------------------------------------------------------------------------


def refusal(graph: Graph, batches: Any) -> str:
    with pytest.raises(UsageError) as caught:
        calibrate(graph, batches)
    return str(caught.value)


def test_no_batches() -> None:
    assert refusal(GRAPH, []) == (
        "there is nothing to calibrate on\n"
        "  why  the iterable of batches was empty\n"
        "  fix  give at least one batch of typical inputs; 256 training images are a good choice"
    )


def test_nan_in_a_batch_is_named_by_its_number() -> None:
    bad = IMAGES[:4].copy()
    bad[1, 0, 0, :3] = np.nan
    assert refusal(GRAPH, [IMAGES[:4], bad]) == (
        "calibration batch 1 cannot be used\n"
        "  why  input 'x': holds 3 values that are NaN or infinite\n"
        "  fix  give finite numbers, in the shape of the example the network was traced with"
    )


def test_a_batch_of_the_wrong_shape() -> None:
    why = "  why  input 'x': has shape (4, 3, 12, 13), the network takes (N, 3, 12, 12)\n"
    assert why in refusal(GRAPH, [np.ones((4, 3, 12, 13))])
    assert "has shape (3, 12, 12), the network takes (N, 3, 12, 12)" in refusal(GRAPH, [IMAGES[0]])
    assert "input 'y' is missing" in refusal(two_inputs(), [{"x": np.ones((2, 3))}])


def test_too_few_inputs_in_a_batch() -> None:
    assert refusal(two_inputs(), [(np.ones((2, 3)),)]) == (
        "calibration batch 0 cannot be used\n"
        "  why  the network has 2 inputs, 1 array was given\n"
        "       its inputs are x, y\n"
        "  fix  give a tuple of arrays in this order, or a dictionary {name: array}"
    )


def test_one_batch_by_itself_is_a_batch() -> None:
    expected = calibrate(GRAPH, [IMAGES])
    for alone in (IMAGES, {"x": IMAGES}, list(IMAGES[np.newaxis]), IMAGES[np.newaxis]):
        stats = calibrate(GRAPH, alone)
        assert stats.n_samples == len(IMAGES)
        assert np.array_equal(stats.observations["x"].counts, expected.observations["x"].counts)
    x, y = np.ones((40, 3)), np.eye(3)
    for alone in ((x, y), [x, y], {"x": x, "y": y}):
        assert calibrate(two_inputs(), alone).n_samples == 40


def test_an_integer_graph_has_nothing_to_calibrate() -> None:
    b = Builder("int")
    graph = b.graph(b.add("clip", b.input("x", (-1, 3), Interval(-8, 7)), lo=0, hi=None))
    assert refusal(graph, [np.ones((1, 3), int)]) == (
        "only a float graph can be calibrated\n"
        "  why  the ranges of an integer graph are proven, not measured\n"
        "  fix  give the traced graph"
    )


@pytest.mark.parametrize("nothing", [None, 5, np.float32(1), "images.npy"])
def test_what_is_no_batch(nothing: object) -> None:
    assert refusal(GRAPH, nothing) == (
        f"{nothing!r} is nothing to calibrate on\n"
        "  why  ranges of activations are measured on samples\n"
        "  fix  give arrays of typical inputs, a batch each: ar.calibrate(graph, [images])"
    )


def test_values_that_overflow_are_named_with_their_source() -> None:
    b = Builder("float")
    x = b.input("x", (-1, 2))
    y = b.add("mul", x, x, name="square", source=Source("norm", "model.py:9"))
    graph = b.graph(b.add("add", y, x, name="sum"))
    assert refusal(graph, [np.full((1, 2), 1e30, np.float32)]) == (
        "2 values become NaN or infinite on the calibration inputs\n"
        "  why  the first is 'square', from norm (model.py:9)\n"
        "  fix  check the weights and the normalisation of the images"
    )
