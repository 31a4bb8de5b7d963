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
from arithmos.models.hub import SCHEME
from arithmos.models.weights import located


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


class Weights(Existing):
    """A weights file, or hf:org/name@revision of the hub, which is fetched. A class because click asks for one."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Path:
        """The path of the file. Raises UsageError where there is none."""
        return located(value) if str(value).startswith(SCHEME) else super().convert(value, param, ctx)


EXISTING, WEIGHTS = Existing(), Weights()
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


def check_apart(out: Path | None, *sources: Path | None) -> None:
    """Raise UsageError where --out would replace what is read: a source, or a folder that holds it."""
    for source in sources:
        if out is not None and source is not None and source.resolve().is_relative_to(out.resolve()):
            raise UsageError(
                f"{out} is read from and cannot be the output",
                where=str(source.absolute()),
                why="--force would replace it by what is made of it",
                fix="name another place with --out",
            )


def is_default(name: str) -> bool:
    """Whether nobody gave this flag of the verb that runs."""
    return click.get_current_context().get_parameter_source(name) == click.core.ParameterSource.DEFAULT


def on_device(target: str, device: str) -> str:
    """The name of the target on the device of --device."""
    return target if device == "cpu" else f"{target}@{device}"


bundle = click.argument("bundle", type=EXISTING)
out = click.option("-o", "--out", type=NEW, required=True, help="Where to write; must not exist (see --force).")
force = click.option("--force", is_flag=True, help="Replace what an earlier run of arithmos wrote there.")
as_json = click.option("--json", "as_json", is_flag=True, help="Print one JSON document on stdout.")
dry_run = click.option("--dry-run", is_flag=True, help="Print the plan and write nothing.")
seed = click.option(
    "--seed", type=click.IntRange(0, (1 << 63) - 1), default=0, show_default=True, help="Seed of everything random."
)
device = click.option(
    "--device", default="cpu", show_default=True, help="Where target engine computes: cpu, cuda, cuda:0, or auto."
)
batch_size = click.option(
    "--batch-size", type=click.IntRange(1), default=32, show_default=True, help="Samples at a time."
)
data_dir = click.option("--data-dir", type=NEW, help="Folder with the data set, in any layout. [default: the cache]")
download = click.option("--download", "with_download", is_flag=True, help="Fetch the data set where it is not there.")
data = _all(data_dir, download)
skip_corrupt = click.option(
    "--skip-corrupt", is_flag=True, help="Leave pictures out that cannot be decoded, and count them."
)
normalisation = _all(
    click.option("--mean", type=Numbers(), metavar="0.5,0.5,0.5", help="Mean of pixels in [0, 1]. [default: its own]"),
    click.option("--std", type=Numbers(), metavar="0.5,0.5,0.5", help="Standard deviation. [default: its own]"),
)


def _joined(ctx: click.Context, parameter: click.Parameter, value: tuple[str, ...]) -> str | None:
    """What was given several times is one after the other, as with commas."""
    return ",".join(value) or None


def _model(required: bool) -> Decorator:
    named = "A name of the zoo, my_file.py:make_model, or an exported model.pt2."
    example = "Shape, the batch first; 1x16:int64 for token ids, 1x8,1x6 for two inputs. my_file.py needs it."
    return _all(
        click.option("--model", required=required, help=named),
        click.option("--example", multiple=True, callback=_joined, metavar="1x3x32x32", help=example),
        click.option("--input-size", type=click.IntRange(1), help="Side of its pictures. [default: the model's own]"),
        click.option("--classes", type=click.IntRange(1), help="Of a network of the zoo. [default: its own]"),
        normalisation,
    )


model, model_or_bundle = _model(required=True), _model(required=False)
_dataset = click.option(
    "--dataset", "--data", "dataset", help="digits, mnist, cifar10, imagenet. [default: the model's own]"
)
_own_samples = click.option(
    "--calibration",
    type=EXISTING,
    help="Your own samples instead, as the float network reads them: .npy, .npz or .safetensors.",
)
_seen = _all(
    click.option("--n-calibration", type=click.IntRange(1), default=256, show_default=True, help="Samples to see."),
    click.option(
        "--calibration-split",
        type=click.Choice(["train", "test"]),
        default="train",
        show_default=True,
        help="Of which.",
    ),
)
_labelled = click.option(
    "--evaluate",
    "n_labelled",
    type=click.IntRange(0),
    default=500,
    show_default=True,
    help="Test images to measure the accuracy on.",
)
samples = _all(data, _dataset, _own_samples, _seen)
calibration = _all(samples, _labelled)
images = _all(data, _dataset, _seen, _labelled)
