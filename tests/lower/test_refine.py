"""Learned rounding and re-estimated batch norms: what they promise of errors, means and variances, on every op."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest

from arithmos.errors import UsageError
from arithmos.ir.build import Builder
from arithmos.ir.check import check
from arithmos.ir.codec import digest
from arithmos.ir.graph import Graph
from arithmos.ir.interpret import evaluate
from arithmos.ir.scale import as_float
from arithmos.lower import fit, vectors
from arithmos.lower.calibrate import Stats, calibrate
from arithmos.lower.lower import lower
from arithmos.lower.quantize import decide, quantize
from arithmos.lower.recipe import Recipe
from arithmos.lower.refine import moments, rounded_values
from lower.test_rules import NETWORKS, data, network
from lower.trained import CALIBRATION, integers, relative_error, trained

COARSE = Recipe(weight_bits=3, edge_bits=3, overrides={"*": {"activation_bits": 8}})
PLAIN = {"stride": (1, 1), "padding": ((1, 1), (1, 1)), "dilation": (1, 1), "groups": 1}


@pytest.mark.parametrize("seed", [0, pytest.param(1, marks=pytest.mark.slow)])
@pytest.mark.parametrize("rounding", ["descent", "adaround"])
def test_learned_rounding_is_closer_to_the_floats(seed: int, rounding: Any) -> None:
    graph, stats = trained(seed)
    learned = quantize(graph, stats, dataclasses.replace(COARSE, rounding=rounding))
    check(learned)
    assert relative_error(graph, learned) < 0.7 * relative_error(graph, quantize(graph, stats, COARSE))


def layer_moments(graph: Graph, net: Graph) -> tuple[Any, Any]:
    """Mean and variance of the first normed layer's channels: in integers times scale, and in floats."""
    value = net.values["bn1.acc"]
    assert value.scale is not None
    quantised = integers(net)["bn1.acc"] * as_float(value.scale)
    return moments([quantised], 1), moments([evaluate(graph, {"x": CALIBRATION}, every=True)["bn1"]], 1)


def test_a_re_estimated_norm_gives_the_mean_and_variance_of_the_floats() -> None:
    graph, stats = trained()
    recipe = dataclasses.replace(COARSE, weight_bits=2, edge_bits=2)
    before, wanted = layer_moments(graph, quantize(graph, stats, recipe))
    after, _ = layer_moments(graph, quantize(graph, stats, dataclasses.replace(recipe, corrections=("batch_norm",))))
    assert np.abs(after.mean - wanted.mean).max() < 0.01 * np.abs(wanted.mean).max()
    assert np.allclose(after.variance, wanted.variance, rtol=0.02)
    assert not np.allclose(before.variance, wanted.variance, rtol=0.1)


@pytest.mark.parametrize("choice", [{"scales": "power_of_two"}, {"weight_scale": "tensor"}])
def test_where_a_channel_has_no_step_of_its_own_only_the_mean_is_corrected(choice: dict[str, Any]) -> None:
    graph, stats = trained()
    recipe = dataclasses.replace(COARSE, corrections=("batch_norm",), **choice)
    _, plain = decide(graph, stats, dataclasses.replace(recipe, corrections=()))
    _, chosen = decide(graph, stats, recipe)
    for name, before in plain.weights.items():
        assert np.array_equal(chosen.weights[name].steps, before.steps)
        assert np.array_equal(chosen.weights[name].integers, before.integers)
    after, wanted = layer_moments(graph, quantize(graph, stats, recipe))
    assert np.abs(after.mean - wanted.mean).max() < 0.01 * np.abs(wanted.mean).max()


def test_the_float_graph_follows_so_that_weights_and_biases_are_derived() -> None:
    graph, stats = trained()
    recipe = dataclasses.replace(COARSE, corrections=("batch_norm", "bias"))
    prepared, choice = decide(graph, stats, recipe)
    derived = lower(prepared, choice, recipe).derived
    names = ["conv1.weight", "layer1.conv1.weight", "layer1.conv2.weight", "fc.weight"]
    assert set(names) <= set(derived)
    assert derived["bn1.bias"].source == "conv1.bias"
    assert isinstance(derived["fc.bias"].source, np.ndarray), "no norm after it: bias correction"


def test_what_is_learned_has_no_derivation_but_the_rest_has() -> None:
    graph, stats = trained()
    recipe = dataclasses.replace(COARSE, rounding="descent")
    prepared, choice = decide(graph, stats, recipe)
    derived = lower(prepared, choice, recipe).derived
    assert "layer1.conv1.weight" not in derived and {"bn1.bias", "relu.mul"} <= set(derived)


def test_corrections_go_together_and_the_result_is_reproducible() -> None:
    graph, stats = trained()
    every = dataclasses.replace(COARSE, rounding="descent", corrections=("equalize", "bias", "batch_norm"))
    net = quantize(graph, stats, every)
    assert digest(net) == digest(quantize(graph, stats, every))
    assert relative_error(graph, net) < 0.6 * relative_error(graph, quantize(graph, stats, COARSE))


@pytest.mark.slow
def test_binary_weights_stay_binary() -> None:
    graph, stats = trained()
    recipe = Recipe(weight_bits=1, edge_bits=1, overrides={"*": {"activation_bits": 8}})
    errors = {}
    for rounding in ("nearest", "descent", "adaround"):
        net = quantize(graph, stats, dataclasses.replace(recipe, rounding=rounding, corrections=("batch_norm",)))  # type: ignore[arg-type]
        assert all(set(np.unique(net.constants[f"{n}.weight"])) == {-1, 1} for n in ("conv1", "layer1.conv2", "fc"))
        errors[rounding] = relative_error(graph, net)
    assert max(errors["descent"], errors["adaround"]) < errors["nearest"]


def test_layers_that_are_too_wide_keep_their_integers(monkeypatch: pytest.MonkeyPatch) -> None:
    graph, stats = trained()
    monkeypatch.setattr(fit, "WIDEST", 27)
    plain, learned = (decide(graph, stats, dataclasses.replace(COARSE, rounding=r))[1] for r in ("nearest", "descent"))  # type: ignore[arg-type]
    same = {n for n in plain.weights if np.array_equal(plain.weights[n].integers, learned.weights[n].integers)}
    assert same == {"layer1.bn1", "layer1.bn2"}, "72 columns; the stem has 27, the head 8"
    said = "72 columns are too many for a Gram matrix: rounded to nearest (gpfq and spfq would solve them)"
    assert {name: fitted.note for name, fitted in learned.fits.items() if fitted.note} == dict.fromkeys(same, said)


def test_windows_are_unfolded_in_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    graph, stats = trained()
    recipe = dataclasses.replace(COARSE, rounding="descent")
    whole = decide(graph, stats, recipe)[1]
    monkeypatch.setattr(vectors, "CHUNK", 1)
    monkeypatch.setattr(vectors, "ENOUGH", 10**6)
    pieces = decide(graph, stats, recipe)[1]
    assert np.mean(whole.weights["bn1"].integers == pieces.weights["bn1"].integers) > 0.8


def depthwise() -> tuple[Graph, Stats]:
    rng = np.random.default_rng(3)
    b = Builder("float")
    y = b.input("x", (-1, 4, 6, 6))
    for i, groups in enumerate((4, 2, 1)):
        weight = rng.normal(size=(4, 4 // groups, 3, 3)).astype(np.float32)
        y = b.add("relu", b.add("conv", y, b.constant(f"w{i}", weight), **{**PLAIN, "groups": groups}))
    graph = b.graph(b.add("linear", y, b.constant("last", rng.normal(size=(5, 6)).astype(np.float32)), name="y"))
    return graph, calibrate(graph, [data()])


@pytest.mark.parametrize(
    ("rounding", "share"),
    [("descent", 1), ("gptq_corrected+descent", 0.8), pytest.param("adaround", 1, marks=pytest.mark.slow)],
)
def test_grouped_layers_and_linear_ones_over_positions(
    rounding: Any, share: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    graph, stats = depthwise()
    monkeypatch.setattr(vectors, "ENOUGH", 10**6)

    def error(recipe: Recipe) -> float:
        net = quantize(graph, stats, recipe)
        value = net.values[net.outputs[0]]
        assert value.scale is not None
        real = evaluate(graph, {"x": data()}, dtype=np.float64)["y"]
        return float(np.square(integers(net, data())[value.name] * as_float(value.scale) - real).mean())

    assert error(dataclasses.replace(COARSE, rounding=rounding)) < share * error(COARSE)


@pytest.mark.slow
def test_every_op_is_walked_through() -> None:
    recipe = Recipe(weight_bits=4, activation_bits=8, rounding="descent", corrections=("batch_norm", "bias"))
    for name, make in NETWORKS.items():
        graph = network(make)
        check(quantize(graph, calibrate(graph, [data(4)]), recipe)), name


def test_indices_and_masks_stay_what_they_are() -> None:
    b = Builder("float")
    tokens = b.input("tokens", (-1, 6))
    matrix = np.random.default_rng(0).normal(size=(11, 8)).astype(np.float32)
    rows = b.add("gather", b.constant("wte", matrix), tokens, name="rows")
    kept = b.add("where", b.constant("mask", np.arange(8) % 3 > 0), rows, b.constant("absent", np.float32(0)))
    graph = b.graph(b.add("linear", kept, b.constant("w", matrix[:5]), name="y"))
    ids = np.random.default_rng(1).integers(0, 11, (20, 6))
    check(quantize(graph, calibrate(graph, [ids]), Recipe(weight_bits=3, edge_bits=3, rounding="descent")))


def test_the_grids_of_values_are_those_of_the_integer_network() -> None:
    graph, stats = trained()
    prepared, choice = decide(graph, stats)
    grids = rounded_values(prepared, choice, Recipe())
    assert set(grids) == {"x", "relu", "layer1.relu1", "layer1.relu2", "mean", "fc"}
    assert all(grids[n].step == choice.grids[n].step for n in grids if n != "fc")


@pytest.mark.parametrize("fields", [{"rounding": "gpfq"}, {"corrections": ("batch_norm",)}])
def test_without_samples_nothing_can_be_solved(fields: Any) -> None:
    graph, _ = trained()
    with pytest.raises(UsageError) as caught:
        quantize(graph, calibrate(graph, [CALIBRATION], keep=0), Recipe(**fields))
    assert str(caught.value) == (
        "there are no samples to solve weights on\n"
        "  why  calibration kept none of them\n"
        "  fix  calibrate with keep=256, say: ar.calibrate(graph, batches, keep=256)"
    )


def test_inputs_whose_squares_leave_float32_are_refused() -> None:
    graph, _ = trained()
    stats = calibrate(graph, [CALIBRATION * np.float32(1e20)])
    with pytest.raises(UsageError) as caught:
        quantize(graph, stats, Recipe(rounding="gpfq"))
    assert str(caught.value).startswith("the inputs of layers are too large to solve weights on\n  why  'x' reaches ")
    assert "sums of their squares leave float32 from about 1e+15 on\n  fix  scale the samples" in str(caught.value)
