"""What --qat and --fine-tune share: their flags, the configuration, the images, the loss in words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import click

from arithmos.cli import flags
from arithmos.cli.subject import Subject
from arithmos.errors import UsageError
from arithmos.train.config import Config, read_config
from arithmos.train.data.loader import Loader, loader
from arithmos.train.distill import SHARE, TEMPERATURE


def options(switch: str, base: Config, config_flag: str, teacher: str) -> tuple[Any, ...]:
    """The flags that mean something only with the switch, the last of the help first."""
    rate = f"With {switch}: highest rate. [default: {base.optimizer.learning_rate}]"
    distill = f"With {switch}: also learn the answers of the {teacher} network."
    return (
        click.option(config_flag, type=flags.EXISTING, help=f"With {switch}: options as in `train --config`."),
        click.option("--distill", is_flag=True, help=distill),
        click.option("--learning-rate", type=float, help=rate),
        click.option("--epochs", type=click.IntRange(1), help=f"With {switch}: epochs. [default: {base.epochs}]"),
    )


def refuse_idle(given: Mapping[str, Any], names: Sequence[str], switch: str, what: str) -> None:
    """Raise UsageError for flags that were given without the switch they need. what: what they belong to."""
    if idle := [f"--{name.replace('_', '-')}" for name in names if given[name] not in (None, False)]:
        raise UsageError(
            f"{', '.join(idle)} would do nothing",
            why=f"it belongs to {what}",
            fix=f"add {switch}, or leave it out",
        )


def config_of(given: Mapping[str, Any], file: Any, base: Config) -> Config:
    """The configuration: the file's, if one is given, over the base; --learning-rate, --epochs and --seed over both."""
    read = read_config(file, base) if file else base
    rate, epochs = given["learning_rate"], given["epochs"]
    if rate is not None:
        read = replace(read, optimizer=replace(read.optimizer, learning_rate=rate))
    return replace(read, seed=given["seed"], epochs=epochs or read.epochs)


def images_of(
    subject: Subject, folder: Any, config: Config, *, batch_size: int, limit: int | None
) -> tuple[Loader, Loader]:
    """Training images, augmented and shuffled, and test images in batches of batch_size, at most `limit`."""
    name = str(subject.dataset)
    shared: dict[str, Any] = {"preparation": subject.preparation, "seed": config.seed}
    train = loader(name, "train", folder, batch_size=config.batch_size, augment=True, shuffle=True, **shared)
    return train, loader(name, "test", folder, batch_size=batch_size, limit=limit, **shared)


def loss_said(distill: bool) -> str:
    """The loss in words."""
    return f"distillation, temperature {TEMPERATURE:g}, share {SHARE:g}" if distill else "cross entropy"
