"""The flags that several verbs share, each written once."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from functools import reduce
from pathlib import Path
from typing import Any

import click

from arithmos.errors import UsageError


class Existing(click.Path):
    """A path that must exist, refused in the words of every other bad input. A class because click asks for one."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Path:
        """The path as it was given. Raises UsageError where nothing has it."""
        path = Path(os.fsdecode(super().convert(value, param, ctx)))
        if not path.exists():
            raise UsageError(
                f"there is no {path}",
                where=str(path.absolute()),
                why=f"{param.get_error_hint(ctx) if param else 'it'} is read, and no file or folder has this path",
                fix="check the path",
            )
        return path


EXISTING = Existing()
NEW = click.Path(path_type=Path)


def _set_verbosity(ctx: click.Context, parameter: click.Parameter, value: bool) -> None:
    if value:
        ctx.meta["arithmos.verbosity"] = parameter.name
    if value and parameter.name == "verbose":
        handler = logging.StreamHandler()
        handler.setFormatter(logging.Formatter("%(name)s: %(message)s"))
        log = logging.getLogger("arithmos")
        log.handlers[:] = [handler]
        log.setLevel(logging.DEBUG)


class Numbers(click.ParamType[tuple[float, ...]]):
    """Numbers joined by commas, as one tuple. A class because click asks for one."""

    name = "numbers"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[float, ...]:
        """(0.485, 0.456, 0.406) of "0.485,0.456,0.406"."""
        try:
            return tuple(float(part) for part in value.split(","))
        except ValueError:
            self.fail(f"{value!r} is not numbers joined by commas", param, ctx)


def verbosity(command: Any) -> Any:
    """-v, --verbose and -q, --quiet: how much goes to stderr."""
    shared: dict[str, Any] = {"is_flag": True, "expose_value": False, "callback": _set_verbosity}
    command = click.option("-q", "--quiet", **shared, help="No progress.")(command)
    return click.option("-v", "--verbose", **shared, help="Progress and log lines, even on no terminal.")(command)


Decorator = Callable[[Any], Any]


def _all(*options: Decorator) -> Decorator:
    """One decorator of several, in the order in which --help shows them."""
    return lambda command: reduce(lambda inner, option: option(inner), reversed(options), command)


bundle = click.argument("bundle", type=EXISTING)
out = click.option("-o", "--out", type=NEW, required=True, help="Where to write; must not exist (see --force).")
force = click.option("--force", is_flag=True, help="Replace what an earlier run of arithmos wrote there.")
as_json = click.option("--json", "as_json", is_flag=True, help="Print one JSON document on stdout.")
dry_run = click.option("--dry-run", is_flag=True, help="Print the plan and write nothing.")
seed = click.option("--seed", type=int, default=0, show_default=True, help="Seed of everything random.")
batch_size = click.option(
    "--batch-size", type=click.IntRange(1), default=32, show_default=True, help="Samples at a time."
)
data_dir = click.option("--data-dir", type=NEW, help="Folder with the data set's Parquet files.")
model = _all(
    click.option("--model", required=True, help="A name of the zoo, my_file.py:make_model, or an exported model.pt2."),
    click.option("--example", metavar="1x3x32x32", help="Shape of an input, the batch first; my_file.py needs it."),
    click.option("--mean", type=Numbers(), metavar="0.5,0.5,0.5", help="Mean of pixels in [0, 1]. [default: its own]"),
    click.option("--std", type=Numbers(), metavar="0.5,0.5,0.5", help="Standard deviation. [default: its own]"),
)
calibration = _all(
    data_dir,
    click.option("--dataset", help="digits, cifar10, imagenet. [default: the model's own]"),
    click.option("--calibration", type=EXISTING, help="Your own samples instead: .npy, .npz or .safetensors."),
    click.option("--n-calibration", type=click.IntRange(1), default=256, show_default=True, help="Samples to see."),
    click.option(
        "--calibration-split",
        type=click.Choice(["train", "test"]),
        default="train",
        show_default=True,
        help="Of which.",
    ),
    click.option(
        "--evaluate",
        "n_labelled",
        type=click.IntRange(0),
        default=500,
        show_default=True,
        help="Test images to measure the accuracy on.",
    ),
)
