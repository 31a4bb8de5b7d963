"""One run of a sweep: a recipe on a network, measured. A pure function of the configuration and the shared folder."""

from __future__ import annotations

import math
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from arithmos.evidence.ranks import ranks_in
from arithmos.extras import require
from arithmos.ir.border import admit
from arithmos.ir.graph import Graph
from arithmos.lower.analog import is_layer, kept_samples
from arithmos.lower.choice import Choice
from arithmos.lower.choose import layer_recipes
from arithmos.lower.float_activations import float_activations
from arithmos.lower.lower import lower
from arithmos.lower.quantize import decide, finish
from arithmos.lower.recipe import Recipe
from arithmos.lower.weights import weight_levels
from arithmos.sweep.configuration import Configuration
from arithmos.sweep.peak_memory import peak_mib, restart_peak
from arithmos.sweep.ranks import BATCH, ranks, top
from arithmos.sweep.shared import Shared, read
from arithmos.targets import engine
from arithmos.targets.target import preflight


def run(folder: Path, configuration: Configuration) -> dict[str, Any]:
    """What was measured, by column. folder: of `write`.

    Quantize, run the test images through the network of quantized weights and float activations, and through the
    integer network where the configuration asks for it. Raises what `decide` and `lower` raise.
    """
    shared = read(folder, configuration.shared)
    run_node = require("arithmos.targets.clear.nodes", "torch").run_node
    restart_peak()
    begun = time.perf_counter()  # what a process loads once, before its first run, is none of that run's time
    recipe = Recipe(**configuration.recipe)
    kept = kept_samples(shared.graph, recipe, shared.facts["n_calibration"])
    stats = shared.kept(kept)
    analog = None if "equalize" in recipe.corrections else shared.analog(stats)
    prepared, choice = decide(shared.graph, stats, recipe, seed=configuration.seed, analog=analog, run=run_node)
    quantized = float_activations(prepared, choice)
    found = ranks(quantized, shared.images, shared.labels)
    integers = _integer_ranks(shared, prepared, choice, recipe) if configuration.integers else None
    errors = {name: fit.relative_error for name, fit in choice.fits.items() if fit.relative_error is not None}
    return {
        "Dataset": shared.facts["origin"].get("dataset"),
        "Original Top1 Accuracy": shared.facts["top1"],
        "Quantized Top1 Accuracy": top(found, 1),
        "Original Top5 Accuracy": shared.facts["top5"],
        "Quantized Top5 Accuracy": None if shared.facts["top5"] is None else top(found, 5),
        "Original Sparsity": sparsity(prepared),
        "Quantized Sparsity": sparsity(quantized),
        "Gram Images": kept if recipe.sees_samples else None,
        "Integer Top1 Accuracy": None if integers is None else top(integers, 1),
        "Bits per Weight": bits_per_weight(prepared, choice, recipe),
        "Mean Layer Error": float(np.mean(list(errors.values()))) if errors else None,
        "Max Layer Error": max(errors.values(), default=None),
        "Layer Errors": ";".join(f"{name}={error:.6f}" for name, error in errors.items()) or None,
        "Wall Seconds": time.perf_counter() - begun,
        "Peak Memory MiB": peak_mib(),
    }


def sparsity(graph: Graph) -> float:
    """The share of zeros among the weights and biases of all layers."""
    layers = [node for node in graph.nodes if is_layer(graph, node)]
    parameters = [graph.constants[name] for node in layers for name in node.inputs[1:] if name in graph.constants]
    return sum(int((array == 0).sum()) for array in parameters) / sum(array.size for array in parameters)


def bits_per_weight(prepared: Graph, choice: Choice, recipe: Recipe) -> float:
    """log2 of the number of levels of each layer's alphabet, averaged over weights.

    A hard threshold (L0) leaves K levels of each sign, and puts the threshold itself between them and 0.
    """
    hard = layer_recipes(prepared, recipe) if recipe.regularizer == "L0" else {}
    total = 0.0
    for name, chosen in choice.weights.items():
        levels = weight_levels(hard[name])[0] if name in hard else chosen.levels
        count = (levels.hi - levels.lo) // (2 if chosen.odd else 1) + 1 + 2 * (name in hard)
        total += chosen.integers.size * math.log2(count)
    return total / sum(chosen.integers.size for chosen in choice.weights.values())


def _integer_ranks(shared: Shared, prepared: Graph, choice: Choice, recipe: Recipe) -> np.ndarray:
    """The ranks of the labels in the integer network, by the engine in one thread."""
    net = finish(lower(prepared, choice, recipe).net, shared.graph)
    preflight(net, engine.TARGET)
    runner = engine.prepare(net, False, threads=1)

    def parts() -> Iterable[np.ndarray]:
        for start in range(0, len(shared.images), BATCH):
            images, labels = (a[start : start + BATCH] for a in (shared.images, shared.labels))
            yield ranks_in(runner(admit(net, {net.inputs[0]: images}))[net.outputs[0]], labels)

    return np.concatenate(list(parts()))
