"""Fitted layers: whole networks by the papers' own form, what a layer is solved on, its error, and what is said."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import pytest

from arithmos.ir.graph import Graph, Node
from arithmos.ir.interpret import evaluate
from arithmos.ir.ops import FLOAT
from arithmos.lower import fit, refine, vectors
from arithmos.lower.calibrate import Stats
from arithmos.lower.choice import Choice, LayerFit
from arithmos.lower.float_activations import float_activations
from arithmos.lower.quantize import decide
from arithmos.lower.recipe import Recipe
from arithmos.quant.gram import Gram, gram_of_pairs
from lower import mixed
from lower.trained import trained

GRAPH, STATS = mixed.network()
PLAIN: dict[str, Any] = {"weight_observer": "minmax", "error_correction": "weights"}
EVERY = 10**6
"""ENOUGH for all windows."""


def recipe(bits: int = 3, **fields: Any) -> Recipe:
    """GPFQ on what the recipe's weights leave, all layers to the same bits."""
    wished = {"rounding": "gpfq", **PLAIN, **fields}
    if "scalar" in wished:
        wished.pop("weight_observer")
    return Recipe(overrides={"*": {"weight_bits": bits}}, **wished)


def solved(wish: Recipe, graph: Graph = GRAPH, stats: Stats = STATS, **options: Any) -> Choice:
    return decide(graph, stats, wish, **options)[1]


def integers(choice: Choice) -> dict[str, np.ndarray]:
    return {name: chosen.integers for name, chosen in choice.weights.items()}


def same(one: Choice, other: Choice) -> bool:
    return all(np.array_equal(a, integers(other)[name]) for name, a in integers(one).items())


@pytest.mark.parametrize("on_vectors", [False, True])
@pytest.mark.parametrize(
    ("rate", "fields"),
    [
        (1.0, {"levels": "published", "scalar": 1.16, "patches": "published", "retain_rate": 1.0}),
        (0.25, {"levels": "published", "scalar": 1.16, "patches": "published"}),
        (None, {}),
    ],
)
def test_a_whole_network_by_the_form_of_the_papers(
    rate: float | None, fields: dict[str, Any], on_vectors: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Strided, grouped, depthwise and 1x1 convolutions, a join and a linear layer, solved with and without Grams."""
    monkeypatch.setattr(vectors, "ENOUGH", EVERY)
    monkeypatch.setattr(fit, "_is_cheaper_on_vectors", lambda *_: on_vectors)
    choice = solved(recipe(**fields))
    walked = mixed.walk(GRAPH, STATS, choice, rate)
    assert len(walked) == 7
    for name, seen in walked.items():
        chosen, found = choice.weights[name], choice.fits[name]
        assert np.array_equal(chosen.integers.reshape(seen.integers.shape), seen.integers), name
        on_grid = seen.integers * np.broadcast_to(chosen.steps, len(chosen.integers)).reshape(*seen.weight.shape[:2], 1)
        target = np.matmul(seen.y, seen.weight.transpose(0, 2, 1))
        left = np.linalg.norm(target - np.matmul(seen.x, on_grid.transpose(0, 2, 1))) / np.linalg.norm(target)
        assert found.relative_error == pytest.approx(left, rel=1e-3), name
        assert found.columns == seen.x.shape[2] and found.sparsity == (seen.integers == 0).mean()
        assert found.vectors == seen.x.shape[1] or (rate is not None and found.vectors < seen.x.shape[1])
    if "scalar" in fields:
        rows = GRAPH.constants["stem.weight"].reshape(8, -1)
        assert choice.weights["stem"].steps == pytest.approx(1.16 / 4 * np.abs(rows).max(axis=1).mean(), rel=1e-6)


def test_the_quicker_form_is_chosen_where_nothing_needs_a_gram_matrix() -> None:
    wide, narrow = np.zeros((1, 8, 576)), np.zeros((1, 64, 144))

    def chosen(weight: np.ndarray, wish: Recipe, streams: int = 2) -> bool:
        return fit._is_cheaper_on_vectors(weight, streams, wish)

    assert chosen(wide, recipe()) and not chosen(narrow, recipe()) and not chosen(wide[:, :, :9], recipe())
    assert chosen(wide, recipe(rounding="spfq")) and chosen(wide, recipe(weight_observer="hessian", scalar=1.0))
    for other in (
        {"rounding": "gpfq+descent"},
        {"rounding": "gptq"},
        {"rounding": "adaround"},
        {"learned_scale": 1},
        {"weight_observer": "hessian"},
    ):
        assert not chosen(wide, recipe(**other)), other


def test_what_does_not_fit_the_memory_goes_by_gram_matrices(monkeypatch: pytest.MonkeyPatch) -> None:
    wish, by_gram = recipe(patches="published"), list[int]()

    def counted(pairs: Iterable[tuple[np.ndarray, np.ndarray]]) -> Gram:
        by_gram.append(1)
        return gram_of_pairs(pairs)

    whole = solved(wish)
    monkeypatch.setattr(fit, "gram_of_pairs", counted)
    monkeypatch.setattr(fit, "_is_cheaper_on_vectors", lambda *_: True)
    assert same(whole, solved(wish)) and not by_gram
    monkeypatch.setattr(fit, "HELD", 30_000)  # for some layers too little for the second of two batches
    assert same(whole, solved(wish)) and 0 < len(by_gram) < 7


Streams = dict[str, Sequence[Sequence[np.ndarray]]]


def streams_of(wish: Recipe, monkeypatch: pytest.MonkeyPatch) -> tuple[Streams, Graph, Choice]:
    """What each layer was solved on, and what came of it."""
    seen: Streams = {}
    original = refine.fitted

    def recorded(node: Node, constants: Any, chosen: Any, streams: Any, *others: Any) -> Any:
        seen[node.output] = streams
        return original(node, constants, chosen, streams, *others)

    monkeypatch.setattr(refine, "fitted", recorded)
    return seen, *decide(GRAPH, STATS, wish)


def inputs_in(graph: Graph) -> dict[str, list[np.ndarray]]:
    """The inputs of every layer of a float graph, piece by piece."""
    runs = [evaluate(graph, sample, every=True) | dict(sample) for sample in STATS.samples]
    layers = [node for node in graph.nodes if node.op in ("conv", "linear")]
    return {node.output: [run[node.inputs[0]] for run in runs] for node in layers}


def close(pieces: Sequence[np.ndarray], others: Sequence[np.ndarray]) -> bool:
    return all(np.allclose(a, b, atol=1e-5) for a, b in zip(pieces, others, strict=True))


def test_without_error_correction_layers_are_solved_on_the_float_network(monkeypatch: pytest.MonkeyPatch) -> None:
    seen, prepared, _ = streams_of(recipe(2, error_correction="none"), monkeypatch)
    floats = inputs_in(prepared)
    assert len(seen) == 7
    assert all(len(streams) == 1 and close(streams[0], floats[name]) for name, streams in seen.items())


def test_errors_of_weights_are_corrected_for(monkeypatch: pytest.MonkeyPatch) -> None:
    seen, prepared, choice = streams_of(recipe(2), monkeypatch)
    floats, made = inputs_in(prepared), inputs_in(float_activations(prepared, choice))
    for name, (quantized, analog) in seen.items():
        assert close(quantized, made[name]) and close(analog, floats[name])
        assert close(quantized, analog) == (name == "stem")


def test_errors_of_activations_are_corrected_for(monkeypatch: pytest.MonkeyPatch) -> None:
    seen, prepared, choice = streams_of(recipe(4, error_correction="activations"), monkeypatch)
    floats = inputs_in(prepared)
    grids = refine.rounded_values(prepared, choice, Recipe())
    layers = {node.output: node.inputs[0] for node in prepared.nodes if node.op in ("conv", "linear")}
    for name, (quantized, analog) in seen.items():
        assert close(analog, floats[name]) and not close(quantized, analog)
        if (grid := grids.get(layers[name])) is not None:
            levels = np.concatenate([piece.ravel() for piece in quantized]) / grid.step
            assert np.allclose(levels, np.round(levels), atol=1e-3)
            assert grid.range.lo <= levels.min() and levels.max() <= grid.range.hi + 1e-3
    assert layers["grouped"] in grids


def test_the_published_step_of_weights_without_their_batch_norm() -> None:
    graph, stats = trained()
    norms = {node.output: node for node in graph.nodes if node.op == "batch_norm"}
    convs = {node.output: node.inputs[1] for node in graph.nodes if node.op == "conv"}
    apart = solved(recipe(4, scalar=1.16, fusion=False, levels="published"), graph, stats)
    folded = solved(recipe(4, scalar=1.16, levels="published"), graph, stats)
    for name, node in norms.items():
        rows = graph.constants[convs[node.inputs[0]]].astype(np.float64).reshape(8, -1)
        gamma, _, _, variance = (graph.constants[n].astype(np.float64) for n in node.inputs[1:])
        gain = np.abs(gamma / np.sqrt(variance + node.attrs["eps"]))
        step = 1.16 / 8 * np.abs(rows).max(axis=1).mean()
        assert apart.weights[name].steps == pytest.approx(step * gain, rel=1e-6)
        together = 1.16 / 8 * np.abs(rows * gain[:, None]).max(axis=1).mean()
        assert folded.weights[name].steps == pytest.approx(np.full(8, together), rel=1e-6)
    assert np.array_equal(apart.weights["fc"].steps, folded.weights["fc"].steps)


def zeros(choice: Choice) -> float:
    return float(np.mean(np.concatenate([q.ravel() for q in integers(choice).values()]) == 0))


@pytest.mark.parametrize("regularizer", ["L1", "L0"])
def test_thresholds_make_weights_sparse(regularizer: Any) -> None:
    found = [solved(recipe(4, regularizer=regularizer, lamb=lamb)) for lamb in (0.01, 0.05, 0.1, 0.2)]
    shares = [zeros(solved(recipe(4))), *(zeros(choice) for choice in found)]
    assert all(a < b for a, b in itertools.pairwise(shares[1:])) and shares[-1] > 2 * shares[0]
    for choice in found:
        for name, chosen in choice.weights.items():
            assert choice.fits[name].sparsity == (chosen.integers == 0).mean()
            assert chosen.levels.lo <= chosen.integers.min() and chosen.integers.max() <= chosen.levels.hi


@pytest.mark.parametrize("rounding", ["gpfq", "gpfq+descent"])
def test_integers_behind_a_hard_threshold_leave_a_gap(rounding: Any) -> None:
    choice = solved(recipe(3, regularizer="L0", lamb=0.1, rounding=rounding))
    for name, chosen in choice.weights.items():
        rows = np.abs(chosen.integers).reshape(len(chosen.integers), -1)
        begins = []
        for row, step in zip(rows, chosen.steps, strict=True):
            gap = max(round(0.1 / step), 1)  # lambda is not far from a whole number of steps
            begins.append(gap * step)
            assert row[row > 0].min(initial=gap) >= gap and row.max() <= gap + 3
        said = f"L0 below 0.1: levels are whole numbers of steps and begin at {min(begins):.4g} to {max(begins):.4g}"
        assert choice.fits[name].note == said


def test_a_threshold_above_all_weights_leaves_none() -> None:
    choice = solved(recipe(4, regularizer="L0", lamb=1e6))
    assert not any(q.any() for q in integers(choice).values())
    one = solved(recipe(4, regularizer="L0", lamb=1e6, scalar=1.16)).fits["stem"]
    step = solved(recipe(4, scalar=1.16)).weights["stem"].steps[0]
    assert one.note == f"L0 below 1e+06: levels are whole numbers of steps and begin at {15 * 7 / 22 * step:.4g}"


@pytest.mark.parametrize("on_vectors", [False, True])
@pytest.mark.parametrize("scale", ["channel", "tensor"])
def test_no_step_becomes_too_small_for_its_bias(scale: Any, on_vectors: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fit, "_is_cheaper_on_vectors", lambda *_: on_vectors)
    bias = np.array([0, 0, 0, 3e5, 0, 0, 0, 0], np.float32)
    constants = {**GRAPH.constants, "stem.bias": bias}
    for other in ({"regularizer": "L0", "lamb": 0.5}, {"weight_observer": "hessian", "learned_scale": 1}):
        wish = recipe(2, weight_scale=scale, **other)
        prepared, choice = decide(dataclasses.replace(GRAPH, constants=constants), STATS, wish)
        steps = np.broadcast_to(choice.weights["stem"].steps, 8)
        assert np.all(np.abs(bias) / choice.grids[prepared.inputs[0]].step / steps <= 2**29)


def test_errors_too_small_for_float32_sums_are_taken_from_the_vectors(monkeypatch: pytest.MonkeyPatch) -> None:
    """Sixteen bits: far below what Gram matrices of float32 products can tell."""
    wish = Recipe(rounding="nearest", weight_observer="hessian", weight_bits=16, edge_bits=16, error_correction="none")
    prepared, choice = decide(GRAPH, STATS, wish)
    monkeypatch.setattr(vectors, "ENOUGH", EVERY)
    for name in ("stem", "grouped", "fc"):
        node = next(node for node in prepared.nodes if node.output == name)
        x = np.concatenate([piece.astype(np.float64) for piece in inputs_in(prepared)[name]])
        weight, chosen = prepared.constants[node.inputs[1]].astype(np.float64), choice.weights[name]
        on_grid = chosen.integers * chosen.steps.reshape(-1, *[1] * (weight.ndim - 1))
        made, rest = (np.linalg.norm(FLOAT[node.op].run(x, w, **node.attrs)) for w in (weight, on_grid - weight))
        assert choice.fits[name].relative_error == pytest.approx(rest / made, rel=0.1) and rest / made < 1e-4


@pytest.mark.parametrize("scale", ["channel", "tensor"])
@pytest.mark.parametrize("rounding", ["gpfq", "gptq_corrected+descent"])
def test_learned_scales_fit_better(rounding: Any, scale: Any) -> None:
    """The stem is solved on the same inputs by both; those behind it are not."""
    wish = recipe(3, rounding=rounding, weight_observer="hessian", weight_scale=scale)
    plain, learned = (solved(dataclasses.replace(wish, learned_scale=rounds)).fits["stem"] for rounds in (0, 3))
    assert plain.relative_error is not None and learned.relative_error is not None
    assert learned.relative_error < plain.relative_error


@pytest.mark.parametrize("fields", [{"rounding": "gpfq"}, {"rounding": "spfq"}, {"regularizer": "L1", "lamb": 0.05}])
def test_layers_too_wide_for_a_gram_matrix_get_the_same_integers(
    fields: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    wish = recipe(patches="published", order="energy", **fields)
    whole = solved(wish)
    monkeypatch.setattr(fit, "WIDEST", 8)
    wide = solved(wish)
    assert same(whole, wide)
    for name, found in wide.fits.items():
        assert dataclasses.replace(found, relative_error=None) == dataclasses.replace(
            whole.fits[name], relative_error=None
        )
        assert found.relative_error == pytest.approx(whole.fits[name].relative_error, rel=1e-6)


def test_binary_weights_of_wide_layers_stay_binary(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fit, "WIDEST", 8)
    for rounding in ("gpfq", "spfq"):
        found = integers(solved(recipe(1, rounding=rounding)))
        assert all(set(np.unique(q)) == {-1, 1} for q in found.values()), rounding


def test_what_is_said_of_wide_layers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fit, "WIDEST", 100)
    said = "108 columns are too many for a Gram matrix: "
    notes = {
        "gptq": said + "rounded to nearest (gpfq and spfq would solve them)",
        "gpfq+descent": said + "solved without descent",
        "spfq": "",
    }
    for rounding, note in notes.items():
        fits = solved(recipe(rounding=rounding)).fits
        assert {name: found.note for name, found in fits.items() if found.note} == ({"last": note} if note else {})
    every = recipe(rounding="gpfq+descent", weight_observer="hessian", learned_scale=1)
    assert solved(every).fits["last"].note == said + "solved without hessian steps and descent and learned scale"


@pytest.mark.parametrize(
    ("rounding", "remedy"),
    [
        ("gpfq", "they span 3 dimensions at most"),
        ("gpfq+descent", "the Gram matrix has rank 3 at most, damped by 0.02 of its mean diagonal"),
        ("gptq", "the Gram matrix has rank 3 at most, damped by 0.02 of its mean diagonal"),
    ],
)
def test_what_is_said_of_too_few_samples(rounding: Any, remedy: str) -> None:
    few = dataclasses.replace(STATS, samples=[{"x": STATS.samples[0]["x"][:3]}])
    fits = solved(recipe(rounding=rounding, damping=0.02), stats=few).fits
    said = "3 vectors for 10 columns: " + remedy + "; give more samples"
    assert {name: found.note for name, found in fits.items() if found.note} == {"fc": said}
    assert fits["fc"].vectors == 3 and fits["fc"].columns == 10


def test_layers_that_nothing_is_solved_for_only_count_their_zeros() -> None:
    wish = Recipe(weight_bits=3, edge_bits=3, rounding="nearest", corrections=("batch_norm",))
    choice = solved(wish)
    for name, found in choice.fits.items():
        assert found == LayerFit(found.columns, 0, 0, None, float((choice.weights[name].integers == 0).mean()))


@pytest.mark.parametrize("rounding", ["gpfq", "gptq_corrected+descent"])
@pytest.mark.parametrize("on_vectors", [False, True])
def test_inputs_that_are_always_zero_are_counted(
    rounding: Any, on_vectors: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fit, "_is_cheaper_on_vectors", lambda *_: on_vectors and rounding == "gpfq")
    for seen, dead in ((np.array([1, 0, 1]), 9), (np.zeros(3), 27)):
        samples = [{"x": (s["x"] * seen[:, None, None]).astype(np.float32)} for s in STATS.samples]
        found = solved(recipe(rounding=rounding), stats=dataclasses.replace(STATS, samples=samples)).fits["stem"]
        said = "its inputs are zero in all samples, so that nothing is known of its weights"
        assert (found.dead, found.note) == (dead, said if dead == 27 else "")
        assert (found.relative_error is None) == (dead == 27)


@pytest.mark.parametrize("fields", [{"rounding": "spfq"}, {"patches": "published"}])
def test_seeds_reproduce_what_is_drawn(fields: dict[str, Any]) -> None:
    wish = recipe(**fields)
    assert same(solved(wish, seed=5), solved(wish, seed=5))
    assert not same(solved(wish, seed=5), solved(wish, seed=6))
