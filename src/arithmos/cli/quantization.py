"""From a subject and samples to a bundle with everything that was measured on the way."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

import arithmos
from arithmos.cli.few_bits import Tally, counted, fit_facts, fit_text
from arithmos.cli.progress import Steps
from arithmos.cli.qat import Training, origin_of, train_network
from arithmos.cli.samples import Samples, as_real, first, size
from arithmos.cli.subject import Subject, digest_of, float_function
from arithmos.errors import UsageError, VerificationError
from arithmos.extras import require
from arithmos.ir.border import admit, named_inputs
from arithmos.ir.codec import save
from arithmos.ir.graph import Graph
from arithmos.lower.analog import kept_samples
from arithmos.lower.calibrate import calibrate
from arithmos.lower.float_activations import float_activations
from arithmos.lower.lower import lower
from arithmos.lower.quantize import decide, finish
from arithmos.lower.recipe import Recipe, as_toml
from arithmos.report.accuracy import measure
from arithmos.report.environment import environment
from arithmos.report.facts import facts
from arithmos.report.quantization_error import compare_layers, reference
from arithmos.targets.run import run

N_COMPARED = 8
"""Calibration samples on which every layer is compared with float."""

GOLDEN_ELEMENTS = 1 << 20
"""A second golden sample is stored only where one has fewer values than this: bundles stay small."""


@dataclass(frozen=True, slots=True)
class Made:
    """An integer network, the float graph it came from, its recipe, what was measured, and its golden inputs."""

    graph: Graph
    net: Graph
    recipe: Recipe
    facts: dict[str, Any]
    golden: dict[str, np.ndarray]


def make(
    subject: Subject, samples: Samples, recipe: Recipe, steps: Steps, *, seed: int, training: Training | None = None
) -> Made:
    """Trace, calibrate, quantize, train if asked, measure the accuracy where there are labels, compare every layer.

    Layers are compared with the float network, after a training with that of the trained weights.
    """
    with steps.step("trace"):
        graph = arithmos.trace(subject.network, subject.example)
    with steps.step("calibrate", total=len(samples.calibration)) as watch:
        n_samples = sum(map(size, samples.calibration))
        keep = kept_samples(graph, recipe, n_samples)
        stats = calibrate(graph, watch(samples.calibration), keep=keep)
    with steps.step("quantize"):
        run_node = require("arithmos.targets.clear.nodes", "torch").run_node
        prepared, choice = decide(graph, stats, recipe, seed=seed, run=run_node)
        net = finish(lower(prepared, choice, recipe).net, graph)
    origin, real = _origin(subject, samples, recipe, seed), reference(graph, recipe)
    learned: dict[str, Any] = {}
    if training is not None:
        with steps.step("train"):
            trained, learned = train_network(training, subject, graph, stats, recipe, net)
        net, real, origin = trained.net, trained.graph, origin | origin_of(training)
    with steps.step("measure accuracy"):

        def integers(images: np.ndarray) -> np.ndarray:
            return np.asarray(run(net, images, target="engine"))

        labelled, tally = samples.labelled, Tally()
        if recipe.solves and training is None:
            labelled = counted(labelled, float_activations(prepared, choice), tally)
        classifies = len(net.outputs) == 1 and len(net.values[net.outputs[0]].shape) == 2
        accuracy = measure(float_function(subject, graph), integers, labelled) if classifies else None
    with steps.step("compare layers"):
        compared = as_real(net, named_inputs(graph, first(samples.calibration, N_COMPARED)))
        layers = compare_layers(real, net, compared, target="engine")
    small = sum(abs(math.prod(net.values[n.output].shape)) for n in net.nodes) < GOLDEN_ELEMENTS
    golden = admit(net, {name: array[: 1 + small] for name, array in compared.items()})
    measured = facts(
        net,
        name=subject.name,
        origin=origin,
        environment=environment(),
        layers=layers,
        accuracy=accuracy,
        steps=steps.facts(),
        preparation=subject.preparation,
    )
    measured |= (
        {"training": learned}
        if training
        else fit_facts(prepared, choice, recipe, tally, (min(keep, n_samples), n_samples))
    )
    return Made(graph, net, recipe, measured, golden)


def check_loss(made: Made, max_loss: float | None) -> None:
    """Raise VerificationError where the integer network loses more percentage points of accuracy than max_loss."""
    if max_loss is None:
        return
    if "accuracy" not in made.facts:
        raise UsageError(
            "the loss of accuracy is not known",
            why="there are no labelled images, or the network is no classifier",
            fix="give --data-dir and --evaluate, or leave --max-loss out",
        )
    points = made.facts["accuracy"]["difference_points"]
    if not -points <= max_loss:  # NaN allows nothing
        raise VerificationError(
            f"the integer network loses {-points:.2f} points of accuracy",
            why=f"--max-loss allows {max_loss:g}; nothing was written\n{summary(made)}",
            fix="give more bits, more samples, another observer, or --corrections equalize --corrections bias",
        )


def save_bundle(made: Made, folder: Path) -> None:
    """Write the bundle into an empty folder: graph, tensors, recipe, golden values, report."""
    save(made.net, folder, golden=made.golden, recipe=as_toml(made.recipe), report=made.facts, force=True)


def summary(made: Made) -> str:
    """A few lines for people: accuracy, cost, where the largest loss is."""
    cost, lines = made.facts["cost"], list[str]()
    if "accuracy" in made.facts:
        a = made.facts["accuracy"]
        lines += [
            f"{kind:<8} {a[kind]['correct']:,} of {a[kind]['total']:,} right, {a[kind]['percent']:.2f} %"
            for kind in ("float", "integer")
        ]
        lines[-1] += f" ({round(a['difference_points'], 2) + 0.0:+.2f} points)"  # + 0.0: no -0.00
        if "training" in made.facts:
            lines.insert(1, f"untrained integers {made.facts['training']['ptq_percent']:.2f} %")
    lines += fit_text(made.facts)
    lines.append(
        f"network  {len(made.net.nodes)} nodes, {cost['macs']:,} MACs, {cost['parameters']:,} parameters, "
        f"{cost['constant_bytes']:,} bytes, widest value {cost['widest_bits']} bits"
    )
    known = [(layer["sqnr_db"], layer["name"]) for layer in made.facts["layers"] if layer["sqnr_db"] is not None]
    if known:
        lines.append(f"noisiest {min(known)[1]}: {min(known)[0]:.1f} dB signal to noise")
    return "\n".join(lines)


def _origin(subject: Subject, samples: Samples, recipe: Recipe, seed: int) -> dict[str, Any]:
    weights = {"weights": subject.weights.name, "weights_sha256": digest_of(subject.weights)} if subject.weights else {}
    bits = f"{recipe.weight_bits}-bit weights, {recipe.activation_bits}-bit activations"
    return {"model": subject.name, "bits": bits, **weights, **samples.origin, "seed": seed}
