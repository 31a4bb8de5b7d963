"""One run: what it measures is what the networks themselves give, and no image passes the float network again."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import arithmos as ar
import factories
from arithmos.lower import analog, refine
from arithmos.lower.analog import kept_samples, live_bytes
from arithmos.lower.calibrate import calibrate
from arithmos.lower.float_activations import float_activations
from arithmos.lower.lower import lower
from arithmos.lower.quantize import decide, finish
from arithmos.lower.recipe import Recipe, plain
from arithmos.sweep.columns import NAMES, TIMES
from arithmos.sweep.configuration import Configuration
from arithmos.sweep.execute import outcomes
from arithmos.sweep.run import bits_per_weight, run, sparsity
from arithmos.sweep.shared import Shared, read, write

pytest.importorskip("torch", reason='pip install "arithmos[torch]"')

from arithmos.targets.clear.nodes import run_node

IMAGES = factories.images(60, seed=2)
LABELS = np.arange(60) % 10
GPFQ = Recipe(rounding="gpfq", levels="published", scalar=1.2, overrides={"*": {"weight_bits": 3}})


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    place, graph = tmp_path_factory.mktemp("sweep") / "shared", factories.float_cnn()
    return place, write(place, graph, factories.images(40), IMAGES, LABELS, {"dataset": "noise"})


def configured(key: str, recipe: Recipe, *, integers: bool = False, seed: int = 0) -> Configuration:
    return Configuration("cnn", key, 40, seed, plain(recipe), integers, {})


def lasting(row: Mapping[str, Any]) -> dict[str, Any]:
    """The row without what differs when a run is made again."""
    return {name: value for name, value in row.items() if name not in TIMES}


def direct(shared: Shared, recipe: Recipe) -> tuple[Any, Any]:
    """The same decision with the float network run beside it, as `arithmos quantize` makes it."""
    return decide(shared.graph, shared.stats, recipe, run=run_node)


@pytest.mark.parametrize(
    "recipe",
    [GPFQ, Recipe(rounding="gptq_corrected", weight_bits=2), Recipe(), Recipe(corrections=("batch_norm",))],
    ids=lambda recipe: recipe.rounding,
)
def test_a_row_is_what_the_networks_give(folder: tuple[Path, str], recipe: Recipe) -> None:
    shared, row = read(*folder), run(folder[0], configured(folder[1], recipe, integers=True))
    assert row.keys() <= set(NAMES)
    prepared, choice = direct(shared, recipe)
    logits = ar.run(float_activations(prepared, choice), IMAGES, target="clear")
    order = np.argsort(-logits, axis=1, kind="stable")
    assert row["Quantized Top1 Accuracy"] == float((order[:, 0] == LABELS).mean())
    assert row["Quantized Top5 Accuracy"] == float((order[:, :5] == LABELS[:, None]).any(axis=1).mean())
    net = finish(lower(prepared, choice, recipe).net, shared.graph)
    assert row["Integer Top1 Accuracy"] == float((ar.run(net, IMAGES).argmax(axis=1) == LABELS).mean())
    errors = [fit.relative_error for fit in choice.fits.values() if fit.relative_error is not None]
    assert row["Mean Layer Error"] == (float(np.mean(errors)) if errors else None)
    assert row["Max Layer Error"] == (max(errors) if errors else None)
    assert (row["Layer Errors"] or "").count("=") == len(errors)
    assert row["Gram Images"] == (40 if recipe.sees_samples else None)
    assert (row["Dataset"], row["Original Top1 Accuracy"]) == ("noise", shared.facts["top1"])
    assert row["Wall Seconds"] > 0 and row["Peak Memory MiB"] > 10


@pytest.mark.parametrize("recipe", [GPFQ, Recipe(rounding="gptq", weight_bits=3, corrections=("equalize",))])
def test_a_run_holds_no_more_samples_than_quantize_does(
    folder: tuple[Path, str], recipe: Recipe, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(analog, "SAMPLE_BYTES", 34 * 2 * live_bytes(read(*folder).graph))
    graph = factories.float_cnn()
    stats = calibrate(graph, [factories.images(40)], keep=kept_samples(graph, recipe, 40))
    _, choice = decide(graph, stats, recipe, run=run_node)
    row = run(folder[0], configured(folder[1], recipe))
    assert row["Gram Images"] == 34 == sum(len(piece["x"]) for piece in stats.samples)
    errors = [fit.relative_error for fit in choice.fits.values() if fit.relative_error is not None]
    assert row["Layer Errors"].count("=") == len(errors) and row["Mean Layer Error"] == pytest.approx(np.mean(errors))


def test_no_image_passes_the_float_network(folder: tuple[Path, str], monkeypatch: pytest.MonkeyPatch) -> None:
    before = run(folder[0], configured(folder[1], GPFQ))
    monkeypatch.setattr(refine, "layer_inputs", lambda *_, **__: pytest.fail("the float network was run"))
    assert lasting(run(folder[0], configured(folder[1], GPFQ))) == lasting(before)


def test_where_the_float_network_is_another_it_is_run(folder: tuple[Path, str]) -> None:
    """Equalisation rescales its channels: what is kept is not what its layers get."""
    recipe = Recipe(rounding="gpfq", weight_bits=3, corrections=("equalize",))
    _, choice = direct(read(*folder), recipe)
    row = run(folder[0], configured(folder[1], recipe))
    errors = [fit.relative_error for fit in choice.fits.values() if fit.relative_error is not None]
    assert row["Mean Layer Error"] == np.mean(errors)
    assert len(errors) == 4 and max(errors) < 1


def test_the_seed_enters_where_something_is_drawn(folder: tuple[Path, str]) -> None:
    drawn = Recipe(rounding="spfq", levels="published", scalar=1.2, weight_bits=3)
    rows = [lasting(run(folder[0], configured(folder[1], drawn, seed=seed))) for seed in (0, 0, 1)]
    assert rows[0] == rows[1] != rows[2]


@pytest.mark.parametrize(
    ("recipe", "levels"),
    [
        (GPFQ, 9),
        (Recipe(weight_bits=2, edge_bits=2), 3),
        (Recipe(weight_bits=1, edge_bits=1), 2),
        (Recipe(rounding="gpfq", levels="published", scalar=1.2, regularizer="L1", weight_bits=2, edge_bits=2), 5),
        (Recipe(rounding="gpfq", levels="published", scalar=1.2, regularizer="L0", weight_bits=2, edge_bits=2), 7),
    ],
)
def test_bits_of_a_weight_are_those_of_its_levels(folder: tuple[Path, str], recipe: Recipe, levels: int) -> None:
    prepared, choice = direct(read(*folder), recipe)
    assert bits_per_weight(prepared, choice, recipe) == pytest.approx(np.log2(levels))
    most = max(len(np.unique(row)) for w in choice.weights.values() for row in w.integers.reshape(len(w.integers), -1))
    assert most <= levels


def test_zeros_of_weights_and_biases_count(folder: tuple[Path, str]) -> None:
    graph = factories.float_cnn(batch_norm=False)
    constants = {name: array.copy() for name, array in graph.constants.items()}
    constants["fc.bias"][:5] = 0
    constants["fc.weight"][0] = 0
    object.__setattr__(graph, "constants", constants)
    total = sum(array.size for array in constants.values())
    assert sparsity(graph) == 13 / total


@pytest.mark.slow
def test_runs_in_processes_give_the_same_rows(folder: tuple[Path, str]) -> None:
    tasks = [configured(folder[1], Recipe(rounding="gpfq", weight_bits=bits)) for bits in (2, 3, 4)]
    found = {
        task.recipe["weight_bits"]: lasting(row) for task, row in outcomes(partial(run, folder[0]), tasks, workers=2)
    }
    for task in tasks:
        assert found[task.recipe["weight_bits"]] == lasting(run(folder[0], task))


@pytest.mark.slow
def test_a_worker_without_the_folder_is_a_failure_of_its_run(tmp_path: Path) -> None:
    ((_, failure),) = outcomes(partial(run, tmp_path), [configured("0" * 16, GPFQ)], workers=1)
    assert failure.sentence == "what the runs share is not there: this worker sees no such folder"
