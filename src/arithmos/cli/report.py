"""`arithmos report`: a bundle, a sweep, or coefficients -> one HTML page with plots."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from arithmos.approx import coefficients
from arithmos.atomic import output_dir
from arithmos.cli import flags
from arithmos.cli.bundle import read_recipe_text
from arithmos.cli.expectation import expected_hash
from arithmos.cli.output import answer
from arithmos.cli.progress import steps
from arithmos.cli.report_files import network_of, read_sweep
from arithmos.errors import UsageError
from arithmos.report.page import PAGE_FILE, write_page
from arithmos.report.polynomial_page import write_sets, write_sweep


@click.command("report")
@flags.bundle
@click.option(
    "--verification", type=flags.EXISTING, help="What `arithmos verify --json` printed, to show beside the rest."
)
@click.option("--proof", type=flags.EXISTING, help="What `arithmos prove -o` wrote: verified, and shown.")
@click.option("--model-hash", help="Of --proof, from whom you trust. [default: the page says that it was not compared]")
@flags.out
@flags.force
@flags.as_json
@flags.verbosity
def command(
    bundle: Path, model_hash: str | None, out: Path, force: bool, as_json: bool, **evidence: Path | None
) -> None:
    """Write one self-contained HTML page about BUNDLE, with a PNG and a CSV of every figure beside it.

    BUNDLE may also be what `arithmos approximate --sweep-alpha` wrote, or a file of polynomial coefficients.
    """
    trusted = expected_hash(model_hash)
    flags.check_apart(out, bundle, *evidence.values())
    if model_hash and not evidence["proof"]:
        raise UsageError(
            "--model-hash goes with --proof", why="it is a proof's", fix="give --proof FOLDER, or leave it out"
        )
    kind = "coefficients" if bundle.is_file() else "sweep" if (bundle / "sweep.json").is_file() else "bundle"
    if kind != "bundle" and any(evidence.values()):
        raise UsageError(
            f"--verification and --proof go with a bundle, {bundle} is of the kind {kind}",
            why="they are of an integer network",
            fix="leave them out, or name the bundle",
        )
    subject: Any
    match kind:
        case "coefficients":
            subject = coefficients.load(bundle)
        case "sweep":
            subject = read_sweep(bundle / "sweep.json")
        case _:
            subject = network_of(bundle, trusted, **evidence)
    with steps().step("page"), output_dir(out, force=force) as folder:
        match kind:
            case "coefficients":
                write_sets(folder, subject, bundle.stem)
            case "sweep":
                write_sweep(folder, subject)
            case _:
                write_page(folder, *subject, recipe=read_recipe_text(bundle))
    page = out / PAGE_FILE
    answer({"page": str(page)}, f"wrote {page}", as_json=as_json)
