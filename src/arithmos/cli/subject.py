"""The subject of a quantization: a trained network as the command line names it, and how pictures become its inputs."""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from arithmos.errors import UsageError
from arithmos.extras import require
from arithmos.ir.graph import Graph
from arithmos.models.reference import resolve
from arithmos.models.registry import ModelEntry, build, entry, is_known, variant
from arithmos.models.weights import load_weights
from arithmos.targets.run import run
from arithmos.train.checkpoint import facts_of, weights_of
from arithmos.train.data.datasets import DATASETS, find
from arithmos.train.data.preparation import Preparation

Example = tuple[np.ndarray, ...]
LARGEST_EXAMPLE = 1 << 28


@dataclass(frozen=True, slots=True)
class Subject:
    """A network, its example inputs (None for an exported program, which knows its own), and its data set, if any."""

    name: str
    network: Any
    example: Example | None
    dataset: str | None
    preparation: Preparation | None
    weights: Path | None


def load_subject(model: str, weights: Path | None, given: Mapping[str, Any], *, need_weights: bool) -> Subject:
    """The network that --model names, with its weights.

    given: the flags example, input_size, classes, dataset, mean, std and seed. A network of the zoo brings its example,
    data set and normalisation, and needs weights (unless only its plan is asked for); the user's own needs --example;
    an exported program needs neither. Weights of `arithmos train` say what they were trained on, and that holds for
    dataset, mean, std and classes where they are not given. Raises UsageError for what is missing, MissingTool without
    torch.
    """
    weights = weights and weights_of(weights)
    classes = given.get("classes")
    given = {**given, **{flag: value for flag, value in _trained_on(weights).items() if not given.get(flag)}}
    if is_known(model):
        found = _of_zoo(model, weights, given, need_weights)
    else:
        found = _own(model, weights, {**given, "classes": classes})
    if weights is not None:
        if _is_program(found.network):
            raise UsageError(
                "an exported program holds its weights",
                where=str(weights),
                why="there is nothing to load",
                fix="leave WEIGHTS out",
            )
        load_weights(found.network, weights)
    chosen = {key: given[key] for key in ("mean", "std") if given[key]}
    if found.dataset:
        find(found.dataset)
    return replace(found, preparation=replace(found.preparation or Preparation(), **chosen)) if chosen else found


def _trained_on(weights: Path | None) -> dict[str, Any]:
    """The flags that fit weights of `arithmos train`, from the header of their file; {} for any other weights."""
    facts = facts_of(weights) if weights else {}
    try:
        normal = json.loads(facts["preparation"])
        flags = {name: tuple(normal[name]) for name in ("mean", "std")}
        return {**flags, "dataset": facts["dataset"], "classes": DATASETS[facts["dataset"]].classes}
    except (KeyError, ValueError, TypeError):
        return {}


def _of_zoo(model: str, weights: Path | None, given: Mapping[str, Any], need_weights: bool) -> Subject:
    if weights is None and need_weights:
        raise UsageError(
            f"'{model}' needs its weights",
            why="a network of the zoo is built with random ones",
            fix="name their file: arithmos quantize WEIGHTS --model …",
        )
    facts = entry(variant(model, given["dataset"]) if given["dataset"] else model)
    channels, own_size = facts.input_shape[0], facts.input_shape[-1]
    example, dataset = _zoo_example(given["example"], facts), given["dataset"] or facts.dataset
    size = given.get("input_size") or (example[0].shape[-1] if example else own_size)
    classes = given.get("classes") or facts.classes
    network = build(facts.name, seed=given["seed"], size=size, classes=classes)
    example = example or (np.zeros((1, channels, size, size), dtype=np.float32),)
    return Subject(facts.name, network, example, dataset, facts.prepared(dataset, size), weights)


def _zoo_example(text: str | None, facts: ModelEntry) -> Example | None:
    example, channels = _example(text), facts.input_shape[0]
    kinds = [(array.dtype.name, array.ndim, array.shape[1:2]) for array in example or ()]
    if example and kinds != [("float32", 4, (channels,))]:
        size = "x".join(map(str, facts.input_shape))
        raise UsageError(
            f"--example {text} does not fit {facts.name}",
            why=f"it takes pictures: a batch of {channels} channels, height and width, as 1x{size}",
            fix="leave --example out, or choose the side of the pictures with --input-size",
        )
    return example


def _own(model: str, weights: Path | None, given: Mapping[str, Any]) -> Subject:
    if zoo_alone := [flag for flag in ("classes", "input_size") if given.get(flag)]:
        raise UsageError(
            f"'{model}' does not take --{zoo_alone[0].replace('_', '-')}",
            why="it is a choice of the networks of the zoo; this one is built by your own code",
            fix="make the choice there, and give the shape with --example",
        )
    network, example = resolve(model), _example(given["example"])
    if example is None and not _is_program(network):
        raise UsageError(
            f"'{model}' needs an example",
            why="tracing must know the shape of the input",
            fix="give it: --example 1x3x32x32",
        )
    if example is not None and _is_program(network):
        raise UsageError(
            f"'{model}' takes no example",
            where=f"--example {given['example']}",
            why="an exported program has the shapes it was exported with",
            fix="leave --example out",
        )
    name = model.rpartition(":")[2] if ".py:" in model else Path(model).stem
    preparation = find(given["dataset"]).preparation if given["dataset"] else None
    return Subject(name, network, example, given["dataset"], preparation, weights)


def float_function(subject: Subject, graph: Graph) -> Callable[[np.ndarray], np.ndarray]:
    """images -> logits by torch where the subject is a module, by the float graph where it is a program."""
    if _is_program(subject.network):
        return lambda images: np.asarray(run(graph, images))
    torch = require("torch", "torch")

    def logits(images: np.ndarray) -> np.ndarray:
        with torch.inference_mode():
            return np.asarray(subject.network(torch.from_numpy(np.ascontiguousarray(images))))

    return logits


def digest_of(file: Path) -> str:
    """sha256 of a file's bytes."""
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _is_program(network: Any) -> bool:
    return isinstance(network, require("torch.export", "torch").ExportedProgram)


def _example(text: str | None) -> Example | None:
    """Zeros of "1x3x32x32", of "1x16:int64" for token ids, or of several of these joined by commas."""
    if text is None:
        return None
    parts = [
        re.fullmatch(r"([1-9]\d*(?:x[1-9]\d*)*)(?::(float32|int64|int32))?", part.strip()) for part in text.split(",")
    ]
    if None in parts:
        raise UsageError(
            f"--example {text} is not a shape",
            why="a shape is extents joined by x, the batch first, with :int64 behind it for integers",
            fix="for example 1x3x32x32, or 1x8,1x6 for a network of two inputs",
        )
    shapes = [[int(e) for e in part[1].split("x")] for part in parts if part]
    if max(map(math.prod, shapes)) > LARGEST_EXAMPLE:
        raise UsageError(
            f"--example {text} is too large",
            why=f"an example has at most {LARGEST_EXAMPLE:,} numbers: tracing reads its shape alone",
            fix="give a batch of 1, and the extents the network takes",
        )
    types = [part[2] or "float32" for part in parts if part]
    return tuple(np.zeros(shape, dtype=dtype) for shape, dtype in zip(shapes, types, strict=True))
