"""Fine-tuning ResNet-20 with one polynomial of degree 2 to 7 in place of every ReLU, on lossless CIFAR-10.

Trained on the 4,000 lossless training images with the usual crops and flips, by distillation from the exact network;
the answers are those of the 500 lossless test images, after the last epoch. The settings of the rows were found by hand
in about ten shorter or aborted trainings that were watched on these same test images: the figures are no estimate of
what other images would give. A polynomial of degree d is y = B q(x / B): it starts as the least-squares fit
x (1 + p(x / B)) / 2 + c B of the layer's distribution, p odd of degree 2 floor(d / 2) - 1, and all its coefficients are
trained.
"""

from __future__ import annotations

import dataclasses
import sys
import time
from typing import Any

import numpy as np
import torch

import arithmos as ar
from arithmos.approx.composite import Composite
from arithmos.approx.fit import fitted
from arithmos.errors import TrainingError
from arithmos.evidence.held_out import HeldOut, held_out, loss
from arithmos.ir.depth import depth
from arithmos.ir.graph import Graph
from arithmos.lower.approximate import prepared_for
from arithmos.lower.polynomials import distribution
from arithmos.lower.prepared import Prepared
from arithmos.lower.rebound import in_value_form
from arithmos.lower.replacement import Replacement
from arithmos.models.registry import build, entry
from arithmos.models.weights import load_weights
from arithmos.targets import clear
from arithmos.train.data.datasets import load
from arithmos.train.data.loader import loader
from arithmos.train.distill import SHARE, TEMPERATURE, distillation
from arithmos.train.loop import accuracy
from arithmos.train.polynomial_tuning import CONFIG, Tuned, Tuning, fine_tuned, polynomial_network
from arithmos.train.task import Epoch
from record import data_dir, record


@dataclasses.dataclass(frozen=True)
class Row:
    """share: of the values that B holds at the start, 1 for MARGIN times the largest; rate: the learning rate.

    Low degrees learn nothing where B is ten deviations: what lies beyond a smaller B is trained away by the penalty.
    """

    share: float
    rate: float
    tuning: Tuning


ROWS = {
    2: Row(0.999, 1e-3, Tuning(penalty=1.0, drift=10.0)),
    **dict.fromkeys((3, 4, 5, 6, 7), Row(0.9999, 5e-4, Tuning(penalty=3.0))),
}
"""By degree."""

EPOCHS, MARGIN = 2, 1.5
REGULARISATION = 3e-2
"""Share of a uniform distribution: low degrees that follow the distribution alone explode on rare large values."""


def polynomials(prepared: Prepared, degree: int, share: float) -> dict[str, Replacement]:
    """The least-squares fit of each layer as one polynomial of the degree, the last coefficient 0 of an odd one."""
    found = {}
    for node in prepared.graph.nodes:
        if node.op != "relu":
            continue
        seen = prepared.observations[node.inputs[0]]
        bound = MARGIN * seen.magnitude
        if share < 1:
            bound = seen.width * float(np.searchsorted(np.cumsum(seen.counts) / seen.counts.sum(), share) + 1)
        fit = fitted((degree // 2 * 2 - 1,), distribution(seen, bound), regularisation=REGULARISATION)
        made = in_value_form(Replacement(fit.composite, bound))
        (series,) = made.composite.stages
        wide = Composite((np.pad(series, (0, degree + 1 - len(series))),))
        found[node.output] = dataclasses.replace(made, composite=wide)
    return found


def read_by_activations(graph: Graph, images: Any) -> Any:
    """What intervals are needed of, and nothing else."""
    wanted = {*graph.inputs, *(n.inputs[0] for n in graph.nodes if n.op == "relu")}
    return ((name, array) for name, array in clear.stream(graph, images) if name in wanted)


def network() -> tuple[torch.nn.Module, Graph]:
    """ResNet-20 with the published weights, and its graph."""
    model = build("resnet20")
    load_weights(model, data_dir("weights/cifar10-resnet20.safetensors"))
    return model, ar.trace(model, torch.zeros(2, *entry("resnet20").input_shape))


def main(quick: bool = False, only: tuple[int, ...] = ()) -> dict[str, Any]:
    """Every row whose data is there, recorded as it is known; `quick` trains one epoch of 512 images."""
    folder = data_dir("cifar10")
    if folder is None or data_dir("weights/cifar10-resnet20.safetensors") is None:
        return {}
    torch.set_num_threads(1)
    config = dataclasses.replace(CONFIG, epochs=1 if quick else EPOCHS)
    model, graph = network()
    shared: dict[str, Any] = {"preparation": entry("resnet20").preparation}
    calibration, _ = load("cifar10", "train", folder, limit=512 if quick else 4000, **shared)
    stats = ar.calibrate(graph, np.split(calibration, len(calibration) // 32), stream=read_by_activations)
    prepared = prepared_for(graph, stats, ar.Recipe(method="fitted"))
    test = held_out(graph, *load("cifar10", "test", folder, limit=100 if quick else 500, **shared))
    data = loader("cifar10", "train", folder, batch_size=64, augment=True, shuffle=True, seed=config.seed,
                  limit=512 if quick else None, **shared)  # fmt: skip
    watched = loader("cifar10", "test", folder, batch_size=100, limit=len(test.images), seed=config.seed, **shared)
    figures: dict[str, Any] = {
        "exact": round(100 * (test.exact_top1 or 0), 2),
        "train_images": data.n_images,
        "test_images": len(test.images),
        "config": {"batch_size": config.batch_size, "seed": config.seed, **dataclasses.asdict(config.optimizer)},
        "epochs": config.epochs,
        "regularisation": REGULARISATION,
        "settings": "by hand, watched on the test images",
        "distillation": {"temperature": TEMPERATURE, "share": SHARE},
        "threads": torch.get_num_threads(),
        "rows": {},
    }
    for degree, row in ROWS.items():
        if only and degree not in only:
            continue
        start, first, seen = time.perf_counter(), polynomials(prepared, degree, row.share), list[Epoch]()
        before = accuracy(polynomial_network(prepared.graph, first, row.tuning, 0).eval(), watched)
        chosen = dataclasses.replace(config, optimizer=dataclasses.replace(config.optimizer, learning_rate=row.rate))

        def report(epoch: Epoch, seen: list[Epoch] = seen) -> None:
            seen.append(epoch)
            print(epoch, file=sys.stderr, flush=True)

        asked: dict[str, Any] = {"tuning": row.tuning, "loss": distillation(model), "report": report}
        figures["rows"][str(degree)] = {"before": round(100 * before, 2), **dataclasses.asdict(row)}
        try:
            tuned = fine_tuned(prepared.graph, first, data, watched, chosen, **asked)
            figures["rows"][str(degree)] |= outcome(tuned, test)
        except TrainingError as error:
            figures["rows"][str(degree)]["failed"] = error.what
        figures["rows"][str(degree)]["unchecked"] = round(100 * seen[-1].accuracy, 2) if seen else None
        figures["rows"][str(degree)]["wall_s"] = round(time.perf_counter() - start, 1)
        print(degree, figures["rows"][str(degree)], file=sys.stderr, flush=True)
    return figures if quick or only else record("polynomial_tuning", figures)


def outcome(tuned: Tuned, test: HeldOut) -> dict[str, Any]:
    """What the network with checked ranges answers on the test images, one at a time, and what it costs.

    An image with a value outside its interval counts as wrong.
    """
    parts = [
        loss(tuned.net, HeldOut(test.images[i : i + 1], test.labels[i : i + 1], test.exact[i : i + 1]))  # type: ignore[index]
        for i in range(len(test.images))
    ]
    inside, cost = [part for part in parts if part.escape is None], depth(tuned.net)
    return {
        "levels": max(a.levels for a in cost.activations),
        "levels_in_all": cost.levels,
        "multiplications": cost.multiplications,
        "after": round(100 * sum(part.top1 or 0 for part in inside) / len(parts), 2),
        "agreement": round(100 * sum(part.agreement for part in inside) / len(parts), 2),
        "rms": float(np.sqrt(np.mean([part.rms**2 for part in inside]))) if inside else None,
        "escapes": len(parts) - len(inside),
        "training_images_away": tuned.n_away,
    }


if __name__ == "__main__":
    print(main("--quick" in sys.argv, tuple(int(a) for a in sys.argv[1:] if not a.startswith("--"))))
