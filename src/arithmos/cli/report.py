"""`arithmos report`: a bundle, a sweep, or coefficients -> one HTML page with plots."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from arithmos.approx import coefficients
from arithmos.atomic import output_dir
from arithmos.cli import flags
from arithmos.cli.bundle import read_facts, read_recipe_text
from arithmos.cli.output import answer
from arithmos.cli.progress import steps
from arithmos.cli.report_files import read_sweep, read_verification, require_sections
from arithmos.errors import UsageError
from arithmos.ir.codec import load
from arithmos.report.page import PAGE_FILE, write_page
from arithmos.report.polynomial_page import write_sets, write_sweep
from arithmos.report.proof import verified_proof


@click.command("report")
@flags.bundle
@click.option(
    "--verification", type=flags.EXISTING, help="What `arithmos verify --json` printed, to show beside the rest."
)
@click.option("--proof", type=flags.EXISTING, help="What `arithmos prove -o` wrote: verified, and shown.")
@flags.out
@flags.force
@flags.as_json
@flags.verbosity
def command(bundle: Path, out: Path, force: bool, as_json: bool, **evidence: Path | None) -> None:
    """Write one self-contained HTML page about BUNDLE, with a PNG and a CSV of every figure beside it.

    BUNDLE may also be what `arithmos approximate --sweep-alpha` wrote, or a file of polynomial coefficients.
    """
    flags.check_apart(out, bundle, *evidence.values())
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
            subject = _network(bundle, **evidence)
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


def _network(bundle: Path, verification: Path | None, proof: Path | None) -> tuple[Any, dict[str, Any]]:
    """(network, facts), with what was asked for beside them."""
    net, facts = load(bundle), read_facts(bundle)
    facts.setdefault("name", bundle.name)
    require_sections(net, facts, bundle / "report.json")
    if verification:
        facts["verification"] = read_verification(verification)
    if proof:
        facts["proof"] = verified_proof(net, proof)
    return net, facts
