"""One inference to dump: a network and its inputs, of a bundle, or of a trained network that is quantized for it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import click
import numpy as np
from click.core import ParameterSource

import arithmos
from arithmos.cli.bundle import golden_inputs, read_facts, read_inputs
from arithmos.cli.progress import Steps
from arithmos.cli.recipe_flags import recipe_of
from arithmos.cli.samples import Samples, as_real, first, samples_of
from arithmos.cli.subject import Subject, digest_of, load_subject
from arithmos.errors import UsageError
from arithmos.evidence.compare import require_integers
from arithmos.ir.border import admit, named_inputs
from arithmos.ir.codec import load
from arithmos.ir.graph import Graph
from arithmos.ir.interpret import indices
from arithmos.lower.calibrate import calibrate
from arithmos.lower.quantize import quantize
from arithmos.lower.recipe import Recipe
from arithmos.models.registry import is_known
from arithmos.train.data.array import load_array
from arithmos.train.data.preparation import Preparation

N_NOISE = 4
"""Made images that random weights are calibrated on where no data is named."""


@dataclass(frozen=True, slots=True)
class Inference:
    """An integer network, inputs as it takes them, and what is said of where both are from."""

    net: Graph
    inputs: dict[str, np.ndarray]
    origin: dict[str, Any]


def inference_of(given: Mapping[str, Any], steps: Steps, *, kept: frozenset[str]) -> Inference:
    """Of BUNDLE, or of --model with what makes a network of it. kept: the flags that go with both.

    Raises UsageError where both or neither are given, or flags of one with the other.
    """
    if (given["bundle"] is None) == (given["model"] is None):
        raise UsageError(
            "nothing to dump is named" if given["bundle"] is None else "a bundle and a model are named",
            why="a dump shows one network",
            fix="give a BUNDLE, or --model with --weights",
        )
    if given["bundle"] is None:
        return _of_model(given, steps)
    if surplus := _given_flags() - kept:
        raise UsageError(
            f"a bundle does not go with {', '.join(sorted(surplus))}",
            why="these make an integer network, and a bundle is one already",
            fix="leave them out, or give --model instead of the bundle",
        )
    with steps.step("load"):
        facts, net = read_facts(given["bundle"]), load(given["bundle"])
        require_integers(net, "dumped")
        inputs = read_inputs(given["source"], facts) if given["source"] else golden_inputs(given["bundle"], net)
    origin = facts.get("origin")
    return Inference(net, admit(net, named_inputs(net, inputs)), origin if isinstance(origin, dict) else {})


def _given_flags() -> set[str]:
    """The flags on the command line, as they are spelled in --help."""
    context = click.get_current_context()
    given = [p for p in context.command.params if p.name and _from_command_line(context, p.name)]
    return {p.opts[0] for p in given if isinstance(p, click.Option)}


def _from_command_line(context: click.Context, name: str) -> bool:
    return context.get_parameter_source(name) is ParameterSource.COMMANDLINE


def _of_model(given: Mapping[str, Any], steps: Steps) -> Inference:
    """Trace, calibrate and quantize as `quantize` does with the same flags: the same network, with the same digest."""
    random = bool(given["random_weights"])
    check_weights(given["model"], given["weights"], random)
    recipe = recipe_of(given["recipe_file"], given, given["sets"])
    subject = load_subject(given["model"], given["weights"], given, need_weights=False)
    with steps.step("trace"):
        graph = arithmos.trace(subject.network, subject.example)
    chosen = {**given, "n_labelled": 0}
    samples = samples_of(subject, chosen, required=not random) or _noise(graph, given["seed"])
    with steps.step("calibrate", total=len(samples.calibration)) as watch:
        stats = calibrate(graph, watch(samples.calibration))
    with steps.step("quantize"):
        net = quantize(graph, stats, recipe)
    own = load_array(given["source"], subject.preparation or Preparation()) if given["source"] else None
    inputs = as_real(net, named_inputs(graph, first(samples.calibration, 1))) if own is None else own
    origin = _origin(subject, samples, recipe, random=random, seed=given["seed"])
    return Inference(net, admit(net, named_inputs(net, inputs)), origin)


def check_weights(model: str, weights: Path | None, random: bool) -> None:
    """Raise UsageError for a network of the zoo without weights, and for two kinds of them."""
    if weights is not None and random:
        raise UsageError(
            "weights and --random-weights are given",
            where=str(weights),
            why="a network has one of them",
            fix="leave --random-weights out",
        )
    if weights is None and not random and is_known(model):
        raise UsageError(
            f"'{model}' needs its weights",
            why="a network of the zoo is built with random ones, which answer at random",
            fix="name their file with --weights, or say --random-weights where the answer does not matter",
        )


def _noise(graph: Graph, seed: int) -> Samples:
    """Standard normal numbers, which is what normalised pictures look like; row 0 where rows are chosen."""
    rng, chosen = np.random.default_rng(seed), indices(graph)
    shapes = {name: tuple(-e * N_NOISE if e < 0 else e for e in graph.values[name].shape) for name in graph.inputs}
    batch: dict[str, np.ndarray] = {
        name: np.zeros(shape, np.int64) if name in chosen else rng.standard_normal(shape).astype(np.float32)
        for name, shape in shapes.items()
    }
    return Samples([batch], iter(()), {"calibration": f"{N_NOISE} made images of noise"})


def _origin(subject: Subject, samples: Samples, recipe: Recipe, *, random: bool, seed: int) -> dict[str, Any]:
    weights: dict[str, Any] = {"weights": "random" if random else "the network's own"}
    if subject.weights:
        weights = {"weights": subject.weights.name, "weights_sha256": digest_of(subject.weights)}
    plain = {field.name: getattr(recipe, field.name) for field in fields(recipe)}
    plain["overrides"] = {glob: dict(chosen) for glob, chosen in recipe.overrides.items()}
    return {"model": subject.name, **weights, **samples.origin, "seed": seed, "recipe": plain}
