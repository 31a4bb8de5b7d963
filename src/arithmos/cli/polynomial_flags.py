"""Flags of `approximate`: the fields of PolynomialRecipe, published ranges, and what it calibrates on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import Any

import click

from arithmos.cli import flags
from arithmos.cli.choice import Targets
from arithmos.cli.config_flags import chosen, config_flags, merged
from arithmos.errors import UsageError
from arithmos.lower.polynomial_file import from_mapping
from arithmos.lower.polynomial_recipe import ALPHAS, PolynomialRecipe
from arithmos.lower.toml_fields import read_toml

PUBLISHED_RANGES: Mapping[str, tuple[float, float]] = {"cifar10": (50.0, 50.0), "imagenet": (100.0, 10.0)}
"""data set -> (B_relu, B_max) of Lee et al., arXiv 2105.10879, for all networks and layers alike."""


class Alphas(click.ParamType[tuple[int, ...]]):
    """Alphas as a span or joined by commas: 4-14, or 6,8,10. A class because click asks for one."""

    name = "alphas"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[int, ...]:
        """The alphas in ascending order, each once."""
        try:
            spans = [[int(end) for end in part.split("-")] for part in str(value).split(",")]
            found = sorted({alpha for span in spans for alpha in range(span[0], span[-1] + 1)})
            if any(len(span) > 2 for span in spans) or not found or not set(found) <= set(ALPHAS):
                raise ValueError
        except ValueError:
            self.fail(f"{value!r} is no span of alphas from {ALPHAS[0]} to {ALPHAS[-1]}: 4-14, or 6,8,10", param, ctx)
        return tuple(found)


class BatchSize(click.ParamType[int | None]):
    """A number of images, or auto, which is None: what fits. A class because click asks for one."""

    name = "images"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int | None:
        """The number, None for auto."""
        if value == "auto":
            return None
        if not str(value).isdigit() or int(value) < 1:
            self.fail(f"{value!r} is neither auto nor a number of images from 1 on", param, ctx)
        return int(value)


def polynomial_flags(command: Any) -> Any:
    """One flag a field of PolynomialRecipe, --recipe, --set, --published-ranges."""
    command = click.option(
        "--published-ranges",
        is_flag=True,
        help="B_relu and B_max as published: 50, 50 on CIFAR-10, 100, 10 on ImageNet.",
    )(command)
    command = config_flags(PolynomialRecipe, default=lambda name, value: "none" if value is None else str(value))(
        command
    )
    return click.option(
        "--recipe", "recipe_file", type=flags.EXISTING, help="Recipe in TOML; flags and --set go before it."
    )(command)


def sample_flags(command: Any) -> Any:
    """What the ranges and distributions are measured on, and how many images the networks are compared on."""
    options = (
        click.option("--dataset", help="digits, mnist, cifar10, imagenet. [default: the model's own]"),
        click.option(
            "--calibration", type=flags.EXISTING, help="Your own samples instead: .npy, .npz or .safetensors."
        ),
        click.option(
            "--n-calibration", type=click.IntRange(1), help="[default: 4,000 images, 500 where they are over 64x64]"
        ),
        click.option(
            "--calibration-split",
            type=click.Choice(["train", "test"]),
            default="train",
            show_default=True,
            help="Of which.",
        ),
        click.option("--max-images", type=click.IntRange(1), help="Test images to compare on. [default: all]"),
    )
    for option in reversed(options):
        command = option(command)
    return flags.data(command)


def comparison_flags(command: Any) -> Any:
    """How the networks are compared: over which alphas, with which search of ranges, how many images at a time."""
    options = (
        click.option(
            "--sweep-alpha", "alphas", type=Alphas(), metavar="4-14", help="A table over alphas; OUT gets JSON and CSV."
        ),
        click.option(
            "--B-search",
            "search",
            type=click.FloatRange(0, min_open=True),
            metavar="STEP",
            help="Raise the B that a value exceeds by multiples of STEP, and go on. [default: end]",
        ),
        click.option(
            "--recalibrate",
            type=click.IntRange(0),
            default=0,
            metavar="ROUNDS",
            help="Measure ranges on the approximate network again; each round reads the images once.",
        ),
        click.option(
            "--choose-margin", is_flag=True, help="Margin and regularisation of the least loss on held-out images."
        ),
        click.option(
            "--allocate",
            type=Targets(),
            metavar="levels=N",
            help="A fitted polynomial for each layer: levels=N and multiplications=N of all; or points=X, rms=X lost.",
        ),
        click.option(
            "--attribution", type=click.IntRange(0), default=0, metavar="N", help="Which layer hurts, on N images."
        ),
        click.option(
            "--batch-size", type=BatchSize(), default="auto", show_default=True, help="Images at a time, or auto."
        ),
        click.option(
            "--device", default="cpu", show_default=True, help="Where networks are compared: cpu, cuda, cuda:0, auto."
        ),
    )
    for option in reversed(options):
        command = option(command)
    return command


def recipe_of(given: Mapping[str, Any], dataset: str | None) -> PolynomialRecipe:
    """The recipe: defaults, the file, published ranges, the flags, --set, in this order. Raises UsageError."""
    base = read_toml(given["recipe_file"], "recipe") if given["recipe_file"] else {}
    if given["published_ranges"]:
        base |= _published(dataset)
    names = [f.name for f in fields(PolynomialRecipe)]
    said = {name: _plain(name, value) for name, value in chosen(given, given["sets"], names).items()}
    return from_mapping(merged(base, said), str(given["recipe_file"] or ""))


def _published(dataset: str | None) -> dict[str, float]:
    if dataset is None or dataset not in PUBLISHED_RANGES:
        raise UsageError(
            f"there are no published ranges for {f'data set {dataset}' if dataset else 'this network'}",
            why=f"they were published for {' and '.join(PUBLISHED_RANGES)}",
            fix="give --B-relu and --B-max, or neither: each layer then has its own, measured",
        )
    return dict(zip(("B_relu", "B_max"), PUBLISHED_RANGES[dataset], strict=True))


def _plain(name: str, value: Any) -> Any:
    """Flags are texts where a field takes several types: 50 is a number, 7,15 are degrees, cheapest is a word."""
    if not isinstance(value, str) or name not in ("degrees", "B_relu", "B_max"):
        return value
    try:
        return tuple(int(part) for part in value.split(",")) if name == "degrees" else float(value)
    except ValueError:
        return value
