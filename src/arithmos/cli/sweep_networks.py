"""The networks of a sweep, loaded: graph, calibration images, labelled images; and the configuration of every run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

import arithmos
from arithmos.cli.samples import samples_of
from arithmos.cli.subject import Subject, digest_of, load_subject
from arithmos.cli.sweep_request import Request
from arithmos.errors import UsageError
from arithmos.ir.graph import Graph
from arithmos.sweep.configuration import Configuration, layers_of, recipe_at
from arithmos.sweep.grid import points
from arithmos.sweep.shared import key_of

BATCH = 64
"""Images that are decoded at a time."""


@dataclass(frozen=True, slots=True, eq=False)
class Network:
    """A network to sweep. calibration: as many images as the run that needs most; keys: {how many of them: key}."""

    subject: Subject
    graph: Graph
    calibration: np.ndarray
    images: np.ndarray
    labels: np.ndarray
    origin: dict[str, Any]
    keys: Mapping[int, str]


def sizes_of(request: Request, name: str) -> list[int]:
    """How many calibration images the runs of a network have, each number once, as the grid or the flags say."""
    return list(request.grid.get("n_calibration", (request.networks[name]["n_calibration"],)))


def traced(name: str, given: Mapping[str, Any], *, need_weights: bool) -> tuple[Subject, Graph]:
    """The subject and its float graph."""
    subject = load_subject(given["model"], given["weights"], given, need_weights=need_weights)
    return subject, arithmos.trace(subject.network, subject.example)


def load(request: Request, name: str) -> Network:
    """A network with its images. Raises UsageError where there are too few of them, or none with labels."""
    given, sizes = request.networks[name], sizes_of(request, name)
    subject, graph = traced(name, given, need_weights=True)
    asked = {**given, "n_calibration": max(sizes), "batch_size": BATCH, "calibration": None}
    samples = samples_of(subject, asked, required=True)
    assert samples is not None
    labelled = list(samples.labelled)
    calibration = np.concatenate([batch for batch in samples.calibration if isinstance(batch, np.ndarray)])
    if len(calibration) < max(sizes):
        raise UsageError(
            f"there are too few images to calibrate '{name}' on",
            why=f"{samples.origin['calibration']} are all there are, {max(sizes):,} are asked for",
            fix=f"give at most {len(calibration):,} with --n-calibration",
        )
    if not labelled:
        raise UsageError(
            f"there are no labelled images for '{name}'",
            why="every run of a sweep measures its accuracy",
            fix="give --evaluate 500",
        )
    images = np.concatenate([x for x, _ in labelled])
    labels = np.concatenate([y for _, y in labelled]).astype(np.int64)
    keys = {n: key_of(graph, calibration[:n], images, labels) for n in sizes}
    return Network(subject, graph, calibration, images, labels, _origin(name, subject, samples.origin), keys)


def configurations(request: Request, networks: Mapping[str, Network]) -> list[Configuration]:
    """Every run in grid order."""
    layers = {name: layers_of(network.graph) for name, network in networks.items()}
    found = []
    for point in points(request.grid):
        name = point.get("network", next(iter(networks)))
        n = point.get("n_calibration", request.networks[name]["n_calibration"])
        recipe = recipe_at(point, request.base, layers[name])
        key, seed = networks[name].keys[n], point.get("seed", request.seed)
        found.append(Configuration(name, key, n, seed, recipe, request.integers, point))
    return found


def used(request: Request) -> list[str]:
    """The names of the networks that the grid chooses."""
    return list(request.grid.get("network", request.networks))


def _origin(name: str, subject: Subject, origin: Mapping[str, Any]) -> dict[str, Any]:
    weights = {"weights": subject.weights.name, "weights_sha256": digest_of(subject.weights)} if subject.weights else {}
    return {"model": name, **weights, **origin}
