"""`arithmos sweep`: a grid of quantizations -> one table, a page, and the best recipe."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from arithmos.cli import flags
from arithmos.cli.output import answer
from arithmos.cli.progress import steps
from arithmos.cli.sweep_flags import grid_flags
from arithmos.cli.sweep_plan import plan_text, sweep_plan
from arithmos.cli.sweep_request import request_of
from arithmos.cli.sweeping import perform, summary
from arithmos.errors import UsageError
from arithmos.sweep.execute import check
from arithmos.train.data.loader import cores


@click.command("sweep")
@click.argument("sources", nargs=-1, metavar="[WEIGHTS] [SWEEP.toml]")
@flags.model_or_bundle
@flags.images
@click.option("--grid", multiple=True, metavar="KEY=VALUES", help="bits=1-8 scalar=1.0:2.0:0.05 method=gpfq,spfq …")
@click.option("--select", metavar="RULE", help='Which run is best. [default: "max accuracy"]')
@click.option("--executor", default="joblib", show_default=True, help="joblib, ray, ray://HOST:PORT, dask://HOST:PORT.")
@click.option("--workers", type=click.IntRange(1), help="Processes of joblib. [default: the processors]")
@grid_flags
@click.option("-o", "--out", type=flags.NEW, help="The folder of the results; one that was begun is gone on with.")
@click.option("--force", is_flag=True, help="Take a folder of another grid: runs of that one alone are set aside.")
@flags.dry_run
@flags.seed
@flags.as_json
@flags.verbosity
def command(sources: tuple[str, ...], out: Path | None, dry_run: bool, as_json: bool, **given: Any) -> int:
    """Quantize with every combination of a grid: measure each, and keep each as it ends.

    Keys of a grid are the fields of a recipe and bits (of all layers), method, stochastic, lambda, mlp_scalar,
    cnn_scalar, mlp_percentile, cnn_percentile, n_calibration, seed, network. Values are 1,2,4 or 1-8 or 1.0:2.0:0.05
    or words; the flags of a recipe take them too, as in --scalar 1..2:0.05. SWEEP.toml has [grid], [recipe] and
    [[network]] instead. A sweep that was ended, in whatever way, goes on with the same command: what was done is not
    done again.
    """
    request = request_of(sources, given)
    words = check(given["executor"], workers=given["workers"])
    if dry_run:
        n_processes = given["workers"] or (cores() if given["executor"] == "joblib" else 1)
        plan = sweep_plan(request, words, n_processes, out, force=given["force"])
        answer(plan, plan_text(plan), as_json=as_json)
        return 0
    if out is None:
        raise UsageError(
            "there is no place for the results", why="no folder is named", fix="give -o FOLDER, or --dry-run"
        )
    document = perform(request, given, out, steps())
    answer(document, summary(document), as_json=as_json)
    return 1 if document["failed"] or document["unfit"] else 0
