"""The subject of a quantization: a trained network as the command line names it, and how pictures become its inputs."""

from __future__ import annotations

import hashlib
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
from arithmos.models.registry import build, entry, names
from arithmos.models.weights import load_weights
from arithmos.targets.run import run
from arithmos.train.data.datasets import find
from arithmos.train.data.preparation import Preparation

Example = tuple[np.ndarray, ...]


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

    given: the flags example, dataset, mean, std and seed. A network of the zoo brings its example, data set and
    normalisation, and needs weights (unless only its plan is asked for); the user's own needs --example; an exported
    program needs neither. Raises UsageError for what is missing, MissingTool without torch.
    """
    found = _of_zoo(model, weights, given, need_weights) if model in names() else _own(model, weights, given)
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


def _of_zoo(model: str, weights: Path | None, given: Mapping[str, Any], need_weights: bool) -> Subject:
    if weights is None and need_weights:
        raise UsageError(
            f"'{model}' needs its weights",
            why="a network of the zoo is built with random ones",
            fix="name their file: arithmos quantize WEIGHTS --model …",
        )
    facts = entry(model)
    example = _example(given["example"]) or (np.zeros((1, *facts.input_shape), dtype=np.float32),)
    dataset = given["dataset"] or facts.dataset
    return Subject(model, build(model, seed=given["seed"]), example, dataset, facts.preparation, weights)


def _own(model: str, weights: Path | None, given: Mapping[str, Any]) -> Subject:
    network, example = resolve(model), _example(given["example"])
    if example is None and not _is_program(network):
        raise UsageError(
            f"'{model}' needs an example",
            why="tracing must know the shape of the input",
            fix="give it: --example 1x3x32x32",
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
            fix="for example 1x3x32x32",
        )
    return tuple(np.zeros([int(e) for e in part[1].split("x")], dtype=part[2] or "float32") for part in parts if part)
