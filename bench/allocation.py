"""Polynomials chosen on held-out images: margins, levels for each layer, and what is lost on the test images."""

from __future__ import annotations

import dataclasses
import sys
import time
from typing import Any

import numpy as np
import torch

import arithmos as ar
from arithmos.evidence.allocate import Target, allocated
from arithmos.evidence.attribution import attribution
from arithmos.evidence.fit_settings import FitChoice, chosen_fit
from arithmos.evidence.held_out import HeldOut, held_out, loss
from arithmos.evidence.sensitivity import Candidates, Sensitivity, sensitivity
from arithmos.ir.depth import depth
from arithmos.ir.graph import Graph
from arithmos.lower.allocation import places, planned
from arithmos.lower.approximate import prepared_for
from arithmos.lower.polynomials import choose
from arithmos.lower.prepared import Prepared
from arithmos.lower.replacement import replace
from arithmos.models.registry import build, entry
from arithmos.models.weights import load_weights
from arithmos.train.data.datasets import load
from record import data_dir, record

DEGREES = ((5,), (7,), (13,), (15,), (29,), (31,), (3, 7), (7, 7), (7, 15), (15, 15))
"""Candidates of a layer: fitted lists of 3 to 9 levels; those of one stage are evaluated as one polynomial."""


def network(name: str) -> Graph:
    """The traced network with its published weights."""
    folder = data_dir("weights")
    assert folder is not None, "no weights"
    model = build(name)
    load_weights(model, folder / f"cifar10-{name}.safetensors")
    return ar.trace(model, torch.zeros(2, *entry(name).input_shape))


def images(name: str, split: str, n: int) -> tuple[np.ndarray, np.ndarray]:
    """The first n lossless images, prepared for the network, and labels."""
    return load("cifar10", split, data_dir("cifar10"), limit=n, preparation=entry(name).preparation)


def said(line: str) -> None:
    """Progress, to stderr with the time."""
    print(time.strftime("%H:%M:%S"), line, file=sys.stderr, flush=True)


def chosen_on_held_out(
    prepared: Prepared, recipe: Any, held: HeldOut, test: HeldOut
) -> tuple[FitChoice, dict[str, Any]]:
    """Margin (and regularisation) from held-out training images, then the test images once."""
    found = chosen_fit(prepared, recipe, held, report=said)
    net = replace(prepared.graph, choose(prepared, found.recipe))
    cost = depth(net).activations[0]
    result = {
        "levels": cost.levels,
        "multiplications": cost.multiplications,
        **found.facts,
        "test": loss(net, test).facts,
        "test_exact_top1": test.exact_top1,
    }
    said(f"{recipe.method} {recipe.degrees}: {result['test']}")
    return found, result


def uniform(
    prepared: Prepared, candidates: Candidates, seen: Sensitivity, held: HeldOut, test: HeldOut
) -> dict[str, Any]:
    """Every candidate in all layers: what an allocation is compared with."""
    where, rows = places(prepared.graph, seen.options), {}
    for name, row in candidates.items():
        plan = planned(seen.options, where, dict.fromkeys(seen.options, name))
        net = replace(prepared.graph, row)
        rows[name] = {
            "levels": plan.levels,
            "multiplications": plan.multiplications,
            "held_out": loss(net, held).facts,
            "test": loss(net, test).facts,
        }
        said(f"uniform {name}: {rows[name]}")
    return rows


def allocations(prepared: Prepared, fit: FitChoice, train: np.ndarray, held: HeldOut, test: HeldOut) -> dict[str, Any]:
    """Against uniform degrees 29 and (7, 7): the same levels, and the fewest levels of the same loss."""
    candidates = {",".join(map(str, d)): choose(prepared, dataclasses.replace(fit.recipe, degrees=d)) for d in DEGREES}
    start = time.perf_counter()
    seen = sensitivity(prepared.graph, candidates, np.split(train, len(train) // 32), report=said)
    figures: dict[str, Any] = {"sensitivity": seen.facts, "sensitivity_s": round(time.perf_counter() - start, 1)}
    figures["uniform"] = uniform(prepared, candidates, seen, held, test)
    for name in ("29", "7,7"):
        row = figures["uniform"][name]
        targets = {"equal_levels": Target(levels=row["levels"])}
        if row["held_out"]["rms"] is not None:
            targets["equal_rms"] = Target(rms=row["held_out"]["rms"])
        for kind, target in targets.items():
            points = 8 if (name, kind) == ("7,7", "equal_levels") else 0
            found = allocated(prepared.graph, candidates, seen, held, target, points=points, report=said)
            measured = loss(replace(prepared.graph, found.replacements), test)
            figures[f"{kind}_as_{name}"] = {**found.facts, "test": measured.facts}
            said(f"{kind} as {name}: {found.point.facts}, test {measured.facts}")
    return figures


def errors(prepared: Prepared, test: np.ndarray) -> dict[str, Any]:
    """First-order error of the top-1 margin beside the actual one, on eight images, for three precisions."""
    rows = {}
    for alpha in (9, 11, 14):
        found = attribution(prepared.graph, choose(prepared, ar.Recipe(method="composite", alpha=alpha)), [test[:8]])
        rows[str(alpha)] = found.facts
        said(found.text)
    return rows


def main(quick: bool = False) -> dict[str, Any]:
    """ResNet-20 and -32 on the 500 lossless test images; every choice is made on training images."""
    torch.set_num_threads(1)
    n_train, n_held, n_test = (100, 100, 50) if quick else (2000, 2000, 500)
    figures: dict[str, Any] = {}
    for name in ("resnet20",) if quick else ("resnet20", "resnet32"):
        graph = network(name)
        train, labels = images(name, "train", n_train + n_held)
        said(f"{name}: calibrating")
        stats = ar.calibrate(graph, [train[:n_train]])
        prepared = prepared_for(graph, stats, ar.Recipe(method="fitted"))
        held = held_out(graph, train[n_train:], labels[n_train:])
        test = held_out(graph, *images(name, "test", n_test))
        rows: dict[str, Any] = {}
        for degree in (13, 15, 29):
            recipe = ar.Recipe(method="fitted", degrees=(degree,))
            fit, rows[f"fitted_{degree}"] = chosen_on_held_out(prepared, recipe, held, test)
        composite = ar.Recipe(method="composite", alpha=8)
        _, rows["composite_alpha_8"] = chosen_on_held_out(prepared, composite, held, test)
        if name == "resnet20":
            rows["allocation"] = allocations(prepared, fit, train[: 32 if quick else 128], held, test)
            rows["attribution"] = errors(prepared, test.images)
        figures[name] = rows
    return record("allocation", figures) if not quick else figures


if __name__ == "__main__":
    print(main("--quick" in sys.argv))
