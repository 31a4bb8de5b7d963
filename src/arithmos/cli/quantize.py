"""`arithmos quantize`: a trained network and samples -> a bundle."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from arithmos.atomic import output_dir, output_file
from arithmos.cli import flags
from arithmos.cli.output import answer
from arithmos.cli.plan import as_text, plan
from arithmos.cli.progress import steps
from arithmos.cli.qat import plan_of, qat_flags, training_of
from arithmos.cli.quantization import check_loss, make, save_bundle, summary
from arithmos.cli.recipe_flags import recipe_flags, recipe_of
from arithmos.cli.samples import samples_of
from arithmos.cli.starter import starter_recipe
from arithmos.cli.subject import load_subject
from arithmos.errors import UsageError


@click.command("quantize")
@click.argument("weights", type=flags.WEIGHTS, required=False)
@flags.model
@flags.calibration
@flags.batch_size
@recipe_flags
@qat_flags
@click.option("--max-loss", type=click.FloatRange(0), metavar="POINTS", help="Fail where more accuracy is lost.")
@click.option("--write-recipe", "starter", type=flags.NEW, help="Write a recipe that lists every node, to fill in.")
@click.option("-o", "--out", type=flags.NEW, help="The bundle to write; must not exist (see --force).")
@flags.force
@flags.dry_run
@flags.seed
@flags.as_json
@flags.verbosity
def command(
    weights: Path | None, out: Path | None, starter: Path | None, dry_run: bool, as_json: bool, **given: Any
) -> int:
    """Make an exact integer network of a trained one: trace, calibrate, quantize, measure, save.

    WEIGHTS is .safetensors, .pt or .pth, or hf:org/name@revision; code in it is never executed. Networks that bring
    their weights need none.
    """
    flags.check_apart(out, weights, given["calibration"], given["recipe_file"])
    recipe = recipe_of(given["recipe_file"], given, given["sets"])
    if not (out or dry_run or starter):
        raise UsageError(
            "there is nothing to write",
            why="no output is named",
            fix="give -o out/net, --write-recipe FILE or --dry-run",
        )
    needed = bool(out) and not dry_run
    subject = load_subject(given["model"], weights, given, need_weights=needed)
    if starter and not dry_run:
        with output_file(starter, force=given["force"]) as draft:
            draft.write_text(starter_recipe(subject, recipe))
        if not out:
            answer({"recipe": str(starter)}, f"wrote {starter}", as_json=as_json)
            return 0
    samples = samples_of(subject, given, required=needed)
    training = training_of(subject, given)
    if dry_run:
        made_plan = plan(subject, recipe, samples, n_calibration=given["n_calibration"], seed=given["seed"])
        facts, line = plan_of(training)
        answer(asdict(made_plan) | facts, as_text(made_plan, recipe) + line, as_json=as_json)
        return 4 if made_plan.unsupported else 0
    assert samples is not None and out is not None
    with output_dir(out, force=given["force"]) as folder:  # entered first: an output that cannot be is said at once
        made = make(subject, samples, recipe, steps(), seed=given["seed"], training=training)
        check_loss(made, given["max_loss"])
        save_bundle(made, folder)
    answer({"bundle": str(out), **made.facts}, f"{summary(made)}\nwrote    {out}", as_json=as_json)
    return 0
