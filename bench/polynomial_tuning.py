"""Fine-tuning ResNet-20 with one polynomial of degree 2 to 7 (and 14) in place of every ReLU, on lossless CIFAR-10.

Trained on the 4,000 lossless training images with the usual crops and flips, by distillation from the exact network;
the answers are those of the 500 lossless test images, after the last epoch (none is chosen by them). A polynomial of
degree d is y = B q(x / B): it starts as the least-squares fit x (1 + p(x / B)) / 2 + c B of the layer's distribution,
p odd of degree 2 ceil(d / 2) - 1 for d from 2 on, and all its coefficients are trained.
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
from arithmos.evidence.held_out import held_out, loss
from arithmos.ir.depth import depth
from arithmos.ir.graph import Graph
from arithmos.lower.approximate import prepared_for
from arithmos.lower.polynomials import choose
from arithmos.lower.prepared import Prepared
from arithmos.lower.rebound import in_value_form
from arithmos.lower.replacement import Replacement
from arithmos.models.registry import build, entry
from arithmos.models.weights import load_weights
from arithmos.targets import clear
from arithmos.train.config import Config
from arithmos.train.data.datasets import load
from arithmos.train.data.loader import loader
from arithmos.train.distill import SHARE, TEMPERATURE, distillation
from arithmos.train.loop import accuracy
from arithmos.train.polynomial_tuning import CONFIG, Tuning, fine_tuned, polynomial_network
from record import data_dir, record

EPOCHS = {2: 4, 4: 4, 7: 3, 14: 2, 3: 4, 5: 4, 6: 3}
"""degree -> epochs, in the order in which they are trained."""


def polynomials(prepared: Prepared, degree: int) -> dict[str, Replacement]:
    """The least-squares fit of each layer as one polynomial of the degree, the last coefficient 0 of an odd one."""
    found = {}
    recipe = ar.Recipe(method="fitted", degrees=(degree // 2 * 2 - 1,))
    for name, fitted in choose(prepared, recipe).items():
        made = in_value_form(fitted)
        (series,) = made.composite.stages
        wide = Composite((np.pad(series, (0, degree + 1 - len(series))),))
        found[name] = dataclasses.replace(made, composite=wide)
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


def main(quick: bool = False, only: tuple[int, ...] = (), *, config: Config = CONFIG, **tuning: Any) -> dict[str, Any]:
    """Every row whose data is there, recorded as it is known; `quick` trains one epoch of 512 images."""
    folder = data_dir("cifar10")
    if folder is None or data_dir("weights/cifar10-resnet20.safetensors") is None:
        return {}
    torch.set_num_threads(1)
    model, graph = network()
    shared: dict[str, Any] = {"preparation": entry("resnet20").preparation}
    calibration, _ = load("cifar10", "train", folder, limit=512 if quick else 4000, **shared)
    stats = ar.calibrate(graph, np.split(calibration, len(calibration) // 32), stream=read_by_activations)
    prepared = prepared_for(graph, stats, ar.Recipe(method="fitted"))
    test = held_out(graph, *load("cifar10", "test", folder, limit=100 if quick else 500, **shared))
    data = loader("cifar10", "train", folder, batch_size=64, augment=True, shuffle=True, seed=config.seed,
                  limit=512 if quick else None, **shared)  # fmt: skip
    watched = loader("cifar10", "test", folder, batch_size=100, limit=len(test.images), seed=config.seed, **shared)
    asked = Tuning(**tuning)
    figures: dict[str, Any] = {
        "exact": round(100 * (test.exact_top1 or 0), 2),
        "train_images": data.n_images,
        "test_images": len(test.images),
        "config": {"batch_size": config.batch_size, "seed": config.seed, **dataclasses.asdict(config.optimizer)},
        "tuning": dataclasses.asdict(asked),
        "distillation": {"temperature": TEMPERATURE, "share": SHARE},
        "threads": torch.get_num_threads(),
        "rows": {},
    }
    for degree, epochs in EPOCHS.items():
        if only and degree not in only:
            continue
        start, first = time.perf_counter(), polynomials(prepared, degree)
        before = accuracy(polynomial_network(prepared.graph, first, asked, 0).eval(), watched)
        chosen = dataclasses.replace(config, epochs=1 if quick else epochs)
        tuned = fine_tuned(prepared.graph, first, data, watched, chosen, tuning=asked, loss=distillation(model),
                           report=lambda epoch: print(epoch, flush=True))  # fmt: skip
        after, cost = loss(tuned.net, test), depth(tuned.net)
        raised = [r.bound / first[n].bound for n, r in tuned.replacements.items() if r.bound > first[n].bound]  # type: ignore[operator]
        figures["rows"][str(degree)] = {
            "levels": max(a.levels for a in cost.activations),
            "levels_in_all": cost.levels,
            "multiplications": cost.multiplications,
            "before": round(100 * before, 2),
            "after": round(100 * (after.top1 or 0), 2),
            "agreement": round(100 * after.agreement, 2),
            **{key: value for key, value in after.facts.items() if key in ("rms", "reach", "escape")},
            "bounds_raised": len(raised),
            "epochs": chosen.epochs,
            "wall_s": round(time.perf_counter() - start, 1),
        }
        print(degree, figures["rows"][str(degree)], flush=True)
        if not quick and not only:
            record("polynomial_tuning", figures)
    return figures


if __name__ == "__main__":
    print(main("--quick" in sys.argv, tuple(int(a) for a in sys.argv[1:] if not a.startswith("--"))))
