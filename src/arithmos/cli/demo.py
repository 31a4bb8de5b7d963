"""`arithmos demo`: the whole path on a digits network, in seconds and without a download."""

from __future__ import annotations

from pathlib import Path

import click

from arithmos.atomic import output_dir
from arithmos.cli import flags
from arithmos.cli.demonstration import demonstrate
from arithmos.cli.output import answer
from arithmos.cli.progress import steps


@click.command("demo")
@click.option("-o", "--out", type=flags.NEW, default=Path("out/demo"), show_default=True, help="Where to write.")
@flags.force
@flags.seed
@flags.as_json
@flags.verbosity
def command(out: Path, force: bool, seed: int, as_json: bool) -> None:
    """Train a small network on handwritten digits, make it integers, show that four runners agree on every value, and
    prove one digit in zero knowledge.

    Writes OUT/net (the bundle), OUT/c (compiled and self-tested), OUT/onnx, OUT/dump (every value of one image),
    OUT/proof and OUT/keys (with groth16py), and OUT/page (open index.html).
    """
    with output_dir(out, force=force) as folder:
        shown = demonstrate(folder, steps(), seed=seed)
    answer(shown.facts, f"{shown.text}\n\nwrote {out}; open {out / 'page' / 'index.html'}", as_json=as_json)
    if shown.failure:
        raise shown.failure
