"""`arithmos approximate`: a trained network -> the same network of additions and multiplications alone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from arithmos.atomic import output_dir
from arithmos.cli import flags
from arithmos.cli.alpha_sweep import alpha_sweep
from arithmos.cli.approximation import approximated, attributed, calibrated, facts_of, save_bundle
from arithmos.cli.choice import choice_of, refuse_combined
from arithmos.cli.deviation_text import deviation_text
from arithmos.cli.fine_tuning import fine_tune_flags, tuned, tuning_of
from arithmos.cli.inference import check_weights
from arithmos.cli.output import answer
from arithmos.cli.polynomial_flags import comparison_flags, polynomial_flags, recipe_of, sample_flags
from arithmos.cli.polynomial_plan import as_text, plan
from arithmos.cli.progress import steps
from arithmos.cli.subject import load_subject
from arithmos.device import find_device
from arithmos.errors import UsageError


@click.command("approximate")
@flags.model
@click.option("--weights", type=flags.WEIGHTS, help="Trained weights of --model: a file, or hf:org/name@revision.")
@click.option("--random-weights", is_flag=True, help="Untrained weights, drawn from --seed: accuracy means nothing.")
@sample_flags
@polynomial_flags
@comparison_flags
@fine_tune_flags
@click.option("-o", "--out", type=flags.NEW, help="The bundle to write; must not exist (see --force).")
@flags.force
@flags.dry_run
@flags.seed
@flags.as_json
@flags.verbosity
def command(out: Path | None, alphas: tuple[int, ...] | None, dry_run: bool, as_json: bool, **given: Any) -> None:
    """Replace every activation and maximum of a trained network by polynomials, and measure what that costs.

    Prints exact and approximate accuracy on the same images, levels, multiplications and ranges. A value outside the
    interval of its polynomial ends the run with the B that would do, or, with --B-search, raises it.
    """
    flags.check_apart(out, given["weights"], given["calibration"], given["recipe_file"])
    refuse_combined(given | {"alphas": alphas, "dry_run": dry_run})
    given["device"] = find_device(given["device"])
    check_weights(
        given["model"], given["weights"], random=given["random_weights"] or (dry_run and not given["weights"])
    )
    subject = load_subject(given["model"], given["weights"], given, need_weights=False)
    recipe, shown = recipe_of(given, subject.dataset), steps()
    if dry_run:
        made_plan = plan(subject, recipe, given)
        answer(made_plan, as_text(made_plan), as_json=as_json)
        return
    tuning = tuning_of(subject, given | {"alphas": alphas})
    if not (out or alphas):
        raise UsageError("there is nothing to write", why="no output is named", fix="give -o out/net, or --dry-run")
    if alphas:
        document, text = alpha_sweep(subject, recipe, alphas, given, shown, out)
        answer(document, text, as_json=as_json)
        return
    assert out is not None
    options = {"search": given["search"], "device": given["device"]}
    with output_dir(out, force=given["force"]) as folder:  # entered first: an output that cannot be is said at once
        made = calibrated(subject, given, shown, exact_maxima=recipe.exact_maxima)
        chosen = choice_of(made.graph, made.stats, recipe, made.images, given, shown)
        chosen = tuned(tuning, chosen, shown) if tuning else chosen
        net, found = approximated(made, chosen, shown, **options)
        parts = [deviation_text(net, found), chosen.text]
        document = facts_of(subject, made, chosen, net, found, shown)
        if given["attribution"]:
            why = attributed(made, chosen, found, given["attribution"], shown, given["device"])
            document["attribution"] = why.facts
            parts.append(why.text)
        save_bundle(made, chosen.recipe, net, document, folder)
    answer({"bundle": str(out), **document}, "\n\n".join(filter(None, [*parts, f"wrote {out}"])), as_json=as_json)
