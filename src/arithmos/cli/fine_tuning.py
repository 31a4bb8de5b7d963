"""What `arithmos approximate --fine-tune` adds: its flags, the images to train on, and the training."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

import click

from arithmos.cli.choice import Choice
from arithmos.cli.epochs import Epochs, shown
from arithmos.cli.progress import Steps
from arithmos.cli.retraining import config_of, images_of, loss_said, options, refuse_idle
from arithmos.cli.subject import Subject
from arithmos.errors import TrainingError, UsageError
from arithmos.train.config import Config, as_mapping
from arithmos.train.data.loader import Loader
from arithmos.train.distill import distillation
from arithmos.train.place import Place
from arithmos.train.polynomial_tuning import CONFIG, Tuning, exact_network, fine_tuned

ONLY_WITH_FINE_TUNE = ("epochs", "learning_rate", "distill", "tuning_config")
N_WATCHED = 500
"""Test images on which the accuracy is shown after each epoch; the bundle's is measured on all that are compared."""


def fine_tune_flags(command: Any) -> Any:
    """--fine-tune, and the flags that mean something only with it."""
    for option in (
        *options("--fine-tune", CONFIG, "--tuning-config", "exact"),
        click.option("--fine-tune", is_flag=True, help="Train weights and coefficients with the polynomials in place."),
    ):
        command = option(command)
    return command


@dataclass(frozen=True, slots=True)
class FineTuning:
    """What the polynomial network is trained on, and how."""

    config: Config
    data: Loader
    watched: Loader
    distill: bool
    place: Place


def tuning_of(subject: Subject, given: Mapping[str, Any]) -> FineTuning | None:
    """The training that the flags ask for; None without --fine-tune.

    Raises UsageError for flags that need it, for data without labels, and for what does not go with it.
    """
    if not given["fine_tune"]:
        refuse_idle(given, ONLY_WITH_FINE_TUNE, "--fine-tune", "the training of a network with its polynomials")
        return None
    _check(subject, given)
    config, limit = config_of(given, given["tuning_config"], CONFIG), given["max_images"] or N_WATCHED
    data, watched = images_of(subject, given["data_dir"], config, batch_size=100, limit=limit)
    return FineTuning(config, data, watched, given["distill"], Place(given["device"]))


def tuned(tuning: FineTuning, chosen: Choice, steps: Steps) -> Choice:
    """The choice with the trained weights and polynomials, and what is to be reported of the training."""
    config, exact = tuning.config, chosen.prepared.graph
    lines = Epochs(config.epochs, visible=shown())
    loss = None
    if tuning.distill:
        loss = distillation(exact_network(exact, tuning.place), smoothing=config.label_smoothing)
    asked: dict[str, Any] = {"loss": loss, "place": tuning.place, "watch": lines.watch, "report": lines.report}
    with steps.step("fine-tune"):
        try:
            made = fine_tuned(exact, chosen.replacements, tuning.data, tuning.watched, config, **asked)
        except TrainingError as error:
            fix = "give a lower --learning-rate, more --epochs, or higher --degrees; nothing was written"
            raise TrainingError(error.what, where=error.where, why=error.why, fix=fix) from error
    facts = {
        "data": f"{tuning.data.n_images:,} training images",
        "digest": tuning.data.digest,
        "loss": loss_said(tuning.distill),
        "config": as_mapping(config),
        "tuning": asdict(Tuning()),
        "images_that_run_away": made.n_away,
        "history": [asdict(epoch) for epoch in made.history],
    }
    last = made.history[-1]
    text = f"fine-tuned: {config.epochs} epochs on {facts['data']}, {facts['loss']}; loss {last.loss:.4f} in the last"
    if made.n_away:
        text += f"\n{made.n_away:,} training images run out of every interval: train longer, or with higher degrees"
    return replace(
        chosen,
        prepared=replace(chosen.prepared, graph=made.graph),
        replacements=made.replacements,
        facts=chosen.facts | {"fine_tuning": facts},
        text="\n\n".join(filter(None, [chosen.text, text])),
    )


def _check(subject: Subject, given: Mapping[str, Any]) -> None:
    problem, fix = "", ""
    if not subject.dataset or given["calibration"]:
        problem, fix = "no data set is named, or samples of --calibration have no labels", "give --dataset, --data-dir"
    elif given["calibration_split"] == "test":
        problem, fix = "--calibration-split test is for data sets that have nothing else", "leave it out"
    elif given["alphas"]:
        problem, fix = "--sweep-alpha compares networks that are not trained", "leave it or --fine-tune out"
    elif given["attribution"]:
        problem, fix = "--attribution compares with the exact network, whose weights change", "leave it out"
    if problem:
        raise UsageError("the network cannot be fine-tuned", why=problem, fix=fix)
