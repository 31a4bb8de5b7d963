"""`arithmos data show`: what a data set holds, how it lies on the disk, and a picture of it."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from arithmos.atomic import output_file
from arithmos.cli import flags
from arithmos.cli.download import download
from arithmos.cli.output import answer, table
from arithmos.cli.progress import steps
from arithmos.report.picture_grid import picture_grid
from arithmos.train.data.loader import cores, loader
from arithmos.train.data.survey import FEW_CLASSES, Survey, pictures, rows_to_show, survey


@click.group("data")
def command() -> None:
    """Data sets: digits, mnist, cifar10, imagenet."""


@command.command("show")
@click.argument("dataset")
@flags.data
@click.option("--split", type=click.Choice(["train", "test"]), default="train", show_default=True, help="Which part.")
@click.option("--n", "n_shown", type=click.IntRange(1), default=100, show_default=True, help="Pictures in the grid.")
@click.option("--augment", is_flag=True, help="Draw them as training sees them: cropped and flipped at random.")
@click.option("--decode", is_flag=True, help="Decode every picture, large ones too.")
@flags.skip_corrupt
@click.option("-o", "--out", type=flags.NEW, help="Write the grid and the class balance as PNG.")
@flags.force
@flags.seed
@flags.as_json
@flags.verbosity
def show(dataset: str, split: str, out: Path | None, decode: bool, as_json: bool, **given: Any) -> None:
    """Print what DATASET holds: the layout found, counts, classes, a digest; and draw it.

    Without --data-dir it is read from the cache, into which --download fetches it.
    """
    shown = steps()
    if given["with_download"]:
        download(dataset, given["data_dir"])
    workers, skips = cores() if decode else 0, given["skip_corrupt"]
    data = loader(dataset, split, given["data_dir"], batch_size=64, workers=workers, skip_corrupt=skips)
    with shown.step("read", total=len(data) if decode else None) as watch:
        for _ in watch(data if decode else ()):
            pass
        found = survey(dataset, split, data)
    if out:
        with output_file(out, force=given["force"]) as draft, shown.step("draw"):
            rows = rows_to_show(data.split.labels, len(found.counts), given["n_shown"], given["seed"])
            images, labels = pictures(data, rows, augment=given["augment"], seed=given["seed"])
            title = f"{dataset}, {split} split: {found.n_images:,} pictures"
            draft.write_bytes(picture_grid(images, labels.tolist(), found.counts, found.classes, title=title))
    document = {"dataset": dataset, **asdict(found), "where": str(found.where), "skipped": len(found.corrupt)}
    answer(document, _text(dataset, found) + (f"\nwrote    {out}" if out else ""), as_json=as_json)


def _text(dataset: str, found: Survey) -> str:
    lines = [
        f"data set {dataset}, {found.split} split",
        f"layout   {found.layout}, {found.where}",
        f"pictures {found.n_images:,} of {sum(map(bool, found.counts)):,} classes (of {len(found.counts):,}), "
        f"{min(found.counts):,} to {max(found.counts):,} a class",
        f"digest   {found.digest}",
        *(f"corrupt  {line}" for line in found.corrupt),
    ]
    if len(found.counts) <= FEW_CLASSES:
        rows = [(k, name, count) for k, (name, count) in enumerate(zip(found.classes, found.counts, strict=True))]
        lines.append(table(("class", "name", "pictures"), rows))
    return "\n".join(lines)
