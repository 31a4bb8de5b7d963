"""What `arithmos quantize --qat` adds: its flags, the images to train on, the training, and what is reported of it."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

import click
import numpy as np

from arithmos.cli.epochs import Epochs, shown
from arithmos.cli.retraining import config_of, images_of, loss_said, options, refuse_idle
from arithmos.cli.subject import Subject, float_function
from arithmos.device import find_device
from arithmos.errors import TrainingError, UsageError
from arithmos.extras import require
from arithmos.ir.graph import Graph
from arithmos.lower.calibrate import Stats
from arithmos.lower.recipe import Recipe
from arithmos.targets.run import run
from arithmos.train.config import Config, as_mapping
from arithmos.train.data.loader import Loader
from arithmos.train.distill import distillation
from arithmos.train.place import Place
from arithmos.train.qat import CONFIG, Trained, qat

ONLY_WITH_QAT = ("epochs", "learning_rate", "distill", "qat_config", "device")


def qat_flags(command: Any) -> Any:
    """--qat, and the flags that mean something only with it."""
    for option in (
        click.option("--device", help="With --qat: cpu, cuda, cuda:0 …  [default: cuda where there is one]"),
        *options("--qat", CONFIG, "--qat-config", "float"),
        click.option("--qat", "with_qat", is_flag=True, help="Train weights and steps of the integer network."),
    ):
        command = option(command)
    return command


@dataclass(frozen=True, slots=True)
class Training:
    """What the integer network is trained on, and how."""

    config: Config
    data: Loader
    held_out: Loader
    distill: bool
    device: str
    facts: dict[str, Any]


def training_of(subject: Subject, given: Mapping[str, Any]) -> Training | None:
    """The training that the flags ask for; None without --qat. Raises UsageError for flags that need it, and for data
    without labels."""
    if not given["with_qat"]:
        refuse_idle(given, ONLY_WITH_QAT, "--qat", "quantization-aware training")
        return None
    _check(subject, given)
    config = config_of(given, given["qat_config"], CONFIG)
    data, held_out = images_of(subject, given["data_dir"], config, batch_size=128, limit=given["n_labelled"])
    facts = {
        "data": f"{data.n_images:,} images of {subject.dataset}, train split" + ", augmented" * _augments(data),
        "digest": data.digest,
        "loss": loss_said(given["distill"]),
        "config": as_mapping(config),
    }
    return Training(config, data, held_out, given["distill"], find_device(given["device"] or "auto"), facts)


def train_network(
    training: Training, subject: Subject, graph: Graph, stats: Stats, recipe: Recipe, ptq: Graph
) -> tuple[Trained, dict[str, Any]]:
    """Train, and what is to be reported of it: data, configuration, every epoch, and the accuracy of `ptq`."""
    lines = Epochs(training.config.epochs, visible=shown())
    place = Place(training.device)
    loss = None
    if training.distill:
        smoothing = training.config.label_smoothing
        loss = distillation(_teacher(subject, graph, place), smoothing=smoothing)
    before = _percent(ptq, training.held_out)
    asked: dict[str, Any] = {"loss": loss, "place": place, "watch": lines.watch, "report": lines.report}
    try:
        trained = qat(graph, stats, recipe, training.data, training.held_out, training.config, **asked)
    except TrainingError as error:
        fix = "give a lower --learning-rate; nothing was written"
        raise TrainingError(error.what, where=error.where, why=error.why, fix=fix) from error
    history = [asdict(epoch) for epoch in trained.history]
    return trained, {**training.facts, "ptq_percent": before, "device": training.device, "history": history}


def origin_of(training: Training) -> dict[str, str]:
    """The training in a few words, for the page."""
    config = training.config
    how = f"{config.epochs} epochs, batches of {config.batch_size}, {config.optimizer.optimizer} at "
    how += f"{config.optimizer.learning_rate:g}, seed {config.seed}, {training.facts['loss']}"
    return {"trained_on": training.facts["data"], "training_digest": training.facts["digest"], "training": how}


def plan_of(training: Training | None) -> tuple[dict[str, Any], str]:
    """The training for --dry-run: facts, and a line for people; nothing of both where there is none."""
    if training is None:
        return {}, ""
    said = origin_of(training)
    return {"training": training.facts}, f"\ntraining: {said['training']}; {said['trained_on']}"


def _check(subject: Subject, given: Mapping[str, Any]) -> None:
    problem, fix = "", ""
    if not subject.dataset:
        problem, fix = "no data set is named, and samples of --calibration have no labels", "give --dataset, --data-dir"
    elif given["calibration_split"] == "test":
        problem, fix = "--calibration-split test is for data sets that have nothing else", "leave it out"
    elif not given["n_labelled"]:
        problem, fix = "the accuracy is measured after every epoch, and --evaluate is 0", "give --evaluate 500"
    if problem:
        raise UsageError("the network cannot be trained", why=problem, fix=fix)


def _augments(data: Loader) -> bool:
    chosen = data.plan.augmentation
    return chosen is not None and (chosen.pad > 0 or chosen.flip or chosen.resized)


def _teacher(subject: Subject, graph: Graph, place: Place) -> Callable[..., Any]:
    """The float network on the device; the float graph in numpy where the subject is an exported program."""
    torch = require("torch", "torch")
    if isinstance(subject.network, torch.nn.Module):
        module: Callable[..., Any] = subject.network
        return module if place.device == "cpu" else copy.deepcopy(subject.network).to(place.device)
    logits = float_function(subject, graph)
    return lambda images: torch.from_numpy(logits(images.cpu().numpy())).to(images.device)


def _percent(net: Graph, batches: Iterable[tuple[Any, Any]]) -> float:
    """Top-1 of an integer network, on the engine."""
    n_right = n_images = 0
    for images, labels in batches:
        answers = np.asarray(run(net, images.numpy(), target="engine")).argmax(axis=-1)
        n_right, n_images = n_right + int((answers == labels.numpy()).sum()), n_images + len(labels)
    return round(100 * n_right / n_images, 4)
