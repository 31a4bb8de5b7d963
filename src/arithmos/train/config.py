"""What a training may choose: one frozen value for optimizer, schedule and losses, and one flat TOML file."""

from __future__ import annotations

import dataclasses
import typing
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Literal

import tomlkit

from arithmos.errors import UsageError
from arithmos.lower.toml_fields import read_toml, refuse_unknown_keys


def _field(default: Any, text: str, low: float | None = None, high: float | None = None) -> Any:
    return field(default=default, metadata={"help": text, "low": low, "high": high})


@dataclass(frozen=True, slots=True)
class Optimizer:
    """The rule of a step. SGD: Sutskever et al., ICML 2013; AdamW: Loshchilov, Hutter, arXiv:1711.05101."""

    optimizer: Literal["sgd", "adamw"] = _field("sgd", "sgd or adamw")
    learning_rate: float = _field(0.1, "highest learning rate of the schedule", low=0)
    momentum: float = _field(0.9, "of SGD; the first beta of AdamW", low=0, high=0.9999)
    nesterov: bool = _field(True, "Nesterov momentum, SGD alone")
    weight_decay: float = _field(1e-4, "of SGD inside the gradient, of AdamW decoupled", low=0)
    decay_all: bool = _field(True, "also decay biases and the parameters of batch norm, as the published recipes do")
    clip_norm: float = _field(0.0, "longest gradient, all parameters together; 0 is no limit", low=0)


@dataclass(frozen=True, slots=True)
class Schedule:
    """The learning rate over time, as a factor on Optimizer.learning_rate; see arithmos.train.schedule."""

    schedule: Literal["cosine", "step", "constant"] = _field("cosine", "cosine, step or constant")
    warmup_epochs: float = _field(0.0, "epochs of linear growth from 0 at the start", low=0)
    milestones: tuple[float, ...] = _field((0.5, 0.75), "step: shares of the epochs after which the rate falls", 0, 1)
    decay: float = _field(0.1, "step: factor at each milestone", low=0, high=1)


@dataclass(frozen=True, slots=True)
class Config:
    """What determines the trained weights besides the network and its data; `defaults.py` has the usual ones."""

    epochs: int = _field(200, "times that every training image is seen", low=1)
    batch_size: int = _field(128, "images of a step, over all devices", low=1)
    seed: int = _field(0, "seed of weights, order, augmentation and dropout", low=0, high=2**31 - 1)
    label_smoothing: float = _field(0.0, "share of the target given to all classes alike", low=0, high=0.9999)
    mixup: float = _field(0.0, "alpha of mixup, 0 for none; 0.2 on ImageNet, 1 on CIFAR in its paper", low=0)
    optimizer: Optimizer = Optimizer()
    schedule: Schedule = Schedule()

    def __post_init__(self) -> None:
        if problems := _problems(as_mapping(self)):
            raise UsageError(
                "this training cannot be done",
                why="\n".join(problems),
                fix="the fields and their values are listed by `arithmos train --help`",
            )


STAGES: tuple[type, ...] = (Optimizer, Schedule)


def leaves(cls: Any = Config) -> dict[str, tuple[dataclasses.Field[Any], Any]]:
    """{name: (field, type)} of a configuration and of the configurations inside it, in the order of their text."""
    types = typing.get_type_hints(cls)
    found: dict[str, tuple[dataclasses.Field[Any], Any]] = {}
    for f in fields(cls):
        nested = types[f.name]
        found |= leaves(nested) if dataclasses.is_dataclass(nested) else {f.name: (f, nested)}
    return found


def as_mapping(config: Any) -> dict[str, Any]:
    """The configuration as a flat {name: value}, tuples as they are; `from_mapping` is its inverse."""
    flat: dict[str, Any] = {}
    for f in fields(config):
        value = getattr(config, f.name)
        flat |= as_mapping(value) if dataclasses.is_dataclass(value) else {f.name: value}
    return flat


def from_mapping(data: Mapping[str, Any], where: str = "", base: Config | None = None) -> Config:
    """The configuration of a flat mapping; what it leaves out is taken from `base`.

    Raises UsageError naming every unknown key with the closest known one, and every value that is wrong.
    """
    refuse_unknown_keys(data, list(leaves()), "training", where)
    values = as_mapping(base or Config()) | dict(data)
    if problems := _problems(values):
        raise UsageError(
            "this training cannot be done",
            where=where,
            why="\n".join(problems),
            fix="the fields and their values are listed by `arithmos train --help`",
        )
    values = {name: tuple(value) if isinstance(value, list) else value for name, value in values.items()}
    optimizer, schedule = (cls(**{f.name: values.pop(f.name) for f in fields(cls)}) for cls in STAGES)
    return Config(**values, optimizer=optimizer, schedule=schedule)


def read_config(path: str | Path, base: Config | None = None) -> Config:
    """The configuration in a TOML file. Raises UsageError for a missing file, bad TOML, unknown keys and bad values."""
    return from_mapping(read_toml(path, "configuration"), str(path), base)


def as_toml(config: Config) -> str:
    """The configuration as TOML, every field with a comment."""
    document, values = tomlkit.document(), as_mapping(config)
    for name, (f, _) in leaves().items():
        document.add(tomlkit.comment(f.metadata["help"]))
        document.add(name, list(values[name]) if isinstance(values[name], tuple) else values[name])
    return tomlkit.dumps(document)


def differences(stored: Mapping[str, Any], asked: Mapping[str, Any]) -> list[str]:
    """One line for every name whose values differ: "epochs: 200 there, 100 here"."""
    return [
        f"{name}: {_shown(stored, name)} there, {_shown(asked, name)} here"
        for name in dict.fromkeys([*stored, *asked])
        if _plain(stored.get(name)) != _plain(asked.get(name))
    ]


def _shown(values: Mapping[str, Any], name: str) -> str:
    value = values.get(name)
    return "none" if value is None else ", ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value


def _problems(values: Mapping[str, Any]) -> list[str]:
    found = [problem for name, (f, kind) in leaves().items() if (problem := _problem(name, f, kind, values[name]))]
    return found or _combined(values)


def _problem(name: str, f: dataclasses.Field[Any], kind: Any, value: Any) -> str:
    if typing.get_origin(kind) is Literal:
        choices = typing.get_args(kind)
        return "" if value in choices else f"{name} must be one of {', '.join(choices)}, got {value!r}"
    if kind is bool:
        return "" if isinstance(value, bool) else f"{name} must be true or false, got {value!r}"
    low, high = f.metadata["low"], f.metadata["high"]
    several = typing.get_origin(kind) is tuple
    if several and not isinstance(value, list | tuple):
        return f"{name} must be a list of numbers, got {value!r}"
    number = int if kind is int else int | float
    for one in value if several else (value,):
        if isinstance(one, bool) or not isinstance(one, number) or not low <= one <= (one if high is None else high):
            span = f"from {low:g} on" if high is None else f"from {low:g} to {high:g}"
            what = "an integer" if kind is int else "numbers" if several else "a number"
            return f"{name} must be {what} {span}, got {one!r}"
    return ""


def _combined(values: Mapping[str, Any]) -> list[str]:
    found = []
    if values["warmup_epochs"] >= values["epochs"]:
        found.append(f"warmup_epochs must be fewer than the {values['epochs']} epochs, got {values['warmup_epochs']:g}")
    if list(values["milestones"]) != sorted(values["milestones"]):
        found.append(f"milestones must grow, got {', '.join(map(str, values['milestones']))}")
    if values["learning_rate"] == 0:
        found.append("learning_rate must be more than 0, got 0")
    if values["optimizer"] == "sgd" and values["nesterov"] and values["momentum"] == 0:
        found.append("nesterov needs a momentum, got 0")
    return found
