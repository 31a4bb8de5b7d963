"""`arithmos train`: a network and a data set -> trained weights, in a folder that can be resumed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from arithmos.cli import flags
from arithmos.cli.config_flags import config_flags
from arithmos.cli.download import download
from arithmos.cli.epochs import shown
from arithmos.cli.output import answer
from arithmos.cli.training import config_of, plan, plan_text, request_of, summary, work
from arithmos.errors import UsageError
from arithmos.train.config import Config
from arithmos.train.data.loader import cores
from arithmos.train.defaults import varies
from arithmos.train.parallel import launch


def _default(name: str, value: Any) -> str:
    return "the network's own, see --dry-run" if varies(name) else str(value)


@click.command("train")
@click.argument("model")
@click.option("--data", "--dataset", "dataset", help="cifar10, mnist, imagenet, digits. [default: the model's own]")
@flags.data
@click.option("--config", "config_file", type=flags.EXISTING, help="Options in TOML; flags and --set go before it.")
@config_flags(Config, default=_default)
@flags.normalisation
@flags.skip_corrupt
@click.option("--workers", type=click.IntRange(0), default=cores, help="Processes that decode. [default: the cores]")
@click.option("--device", default="auto", show_default=True, help="cpu, cuda, cuda:0; auto is cuda where there is one.")
@click.option("--devices", "n_devices", type=click.IntRange(1), default=1, show_default=True, help="How many of them.")
@click.option("--amp", is_flag=True, help="Mixed precision: bfloat16, or float16 where the device has no other.")
@click.option("--tensorboard", is_flag=True, help="Also write event files for TensorBoard.")
@click.option("--resume", is_flag=True, help="Go on with the run in --out; its options hold, repeat --data-dir.")
@flags.out
@flags.force
@flags.dry_run
@flags.as_json
@flags.verbosity
def command(out: Path, n_devices: int, amp: bool, dry_run: bool, as_json: bool, **given: Any) -> int:
    """Train a network: SGD or AdamW, schedules, augmentation, checkpoints, logs.

    MODEL is a name of the zoo or your own my_file.py:make_model. --out gets best.safetensors, last.safetensors,
    training.json and metrics.csv, and what --resume needs to give the very weights of a run that never stopped. Best
    is chosen on the test split, on which `quantize` measures too: to report an accuracy, take that of last.
    """
    if given["resume"] and given["force"]:
        raise UsageError(
            "--resume and --force exclude each other",
            why="one goes on with the run that the other replaces",
            fix="give one of them",
        )
    request = request_of(given, out, n_devices)
    if given["with_download"] and not dry_run:
        download(request.dataset, request.data_dir)
    config = config_of(request, given)
    if dry_run:
        made = plan(request, config)
        answer(made, plan_text(made, config), as_json=as_json)
        return 0
    done = launch(work, request, config, shown(), device=request.device, n_devices=n_devices, amp=amp)
    if not done["finished"]:
        raise KeyboardInterrupt(
            f"interrupted after {done['epochs']} of {config.epochs} epochs; {out} is kept: "
            "the same command with --resume goes on from the last step"
        )
    answer(done, summary(done), as_json=as_json)
    return 0
