"""A table over alphas: one calibration, one pass of the exact network, every approximation on the same batches."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from arithmos.atomic import output_dir
from arithmos.cli.approximation import calibrated, compared
from arithmos.cli.choice import choice_of
from arithmos.cli.output import table
from arithmos.cli.progress import Steps
from arithmos.cli.subject import Subject
from arithmos.errors import RangeEscape, UsageError
from arithmos.evidence.deviation import Deviation
from arithmos.ir.depth import depth
from arithmos.ir.graph import Graph
from arithmos.lower.polynomial_recipe import PolynomialRecipe
from arithmos.lower.replacement import replace as replaced
from arithmos.report.environment import environment

COLUMNS = (
    "alpha", "degrees", "levels", "multiplications", "top1_percent", "top5_percent", "agreement_percent",
    "relative_percent", "output_error_rms", "raised", "escape",
)  # fmt: skip


def alpha_sweep(
    subject: Subject,
    recipe: PolynomialRecipe,
    alphas: tuple[int, ...],
    given: Mapping[str, Any],
    steps: Steps,
    out: Path | None,
) -> tuple[dict[str, Any], str]:
    """(the document, its table); OUT, where it is named, gets both as sweep.json and sweep.csv.

    A row whose values left their intervals, and that no search mends, says so in place of its figures.
    """
    if given["allocate"] or given["attribution"]:
        raise UsageError(
            "--sweep-alpha does not go with --allocate and --attribution",
            why="a sweep compares networks, one for each alpha; these look into one",
            fix="leave them out, or the sweep",
        )
    if recipe.method != "composite" or recipe.degrees is not None:
        raise UsageError(
            "--sweep-alpha goes with composites of published degrees",
            why=f"method {recipe.method}"
            + (f" with degrees {recipe.degrees}" if recipe.degrees else "")
            + " has no alpha",
            fix="leave --method and --degrees out",
        )
    if out is None:
        return _swept(subject, recipe, alphas, given, steps)
    with output_dir(out, force=given["force"]) as folder:
        document, text = _swept(subject, recipe, alphas, given, steps)
        (folder / "sweep.json").write_text(json.dumps(document, indent=1) + "\n")
        (folder / "sweep.csv").write_text(_csv(document["rows"]))
    return document, f"{text}\n\nwrote {out}"


def _swept(
    subject: Subject, recipe: PolynomialRecipe, alphas: tuple[int, ...], given: Mapping[str, Any], steps: Steps
) -> tuple[dict[str, Any], str]:
    made = calibrated(subject, given, steps, exact_maxima=False)
    nets = {}
    for alpha in alphas:
        chosen = choice_of(made.graph, made.stats, replace(recipe, alpha=alpha), made.images, given, steps)
        nets[alpha] = replaced(chosen.prepared.graph, chosen.replacements)
    found = compared(made, nets, steps, search=given["search"], device=given["device"])
    rows = [_row(alpha, nets[alpha], found[alpha]) for alpha in alphas]
    whole = [one for one in found.values() if isinstance(one, Deviation)]
    exact = whole[0].exact if whole else None
    baseline = {"images": whole[0].n, "top1": exact.top1, "top5": exact.top5} if exact else None
    document = {
        "name": subject.name,
        "origin": made.origin,
        "offset": recipe.offset,
        "exact": baseline,
        "rows": rows,
        "steps": steps.facts(),
        "environment": environment(),
    }
    said = (
        f"exact: {100 * exact.top1 / whole[0].n:.2f} % top-1, {100 * exact.top5 / whole[0].n:.2f} % top-5 of "
        f"{whole[0].n:,} images; calibrated on {made.origin['calibration']}"
        if exact
        else f"calibrated on {made.origin['calibration']}"
    )
    return document, f"{table(COLUMNS, [_cells(row) for row in rows])}\n\n{said}"


def _row(alpha: int, net: Graph, found: Deviation | RangeEscape) -> dict[str, Any]:
    whole = depth(net)
    degrees = list(whole.activations[0].degrees) if whole.activations else []
    row: dict[str, Any] = dict.fromkeys(COLUMNS)
    row |= {"alpha": alpha, "degrees": degrees, "levels": whole.levels, "multiplications": whole.multiplications}
    if isinstance(found, RangeEscape):
        said = (
            f"image {found.image}, {found.value_name}: {found.value:.4g}, B {found.bound:.4g}, needs {found.enough:.4g}"
        )
        return row | {"escape": said}
    if found.approximate:
        row["top1_percent"] = round(100 * found.approximate.top1 / found.n, 4)
        row["top5_percent"] = round(100 * found.approximate.top5 / found.n, 4)
        row["relative_percent"] = found.relative_percent and round(found.relative_percent, 4)
    row["agreement_percent"] = round(100 * found.same / found.n, 4)
    return row | {"output_error_rms": float(f"{found.error_rms:.6g}"), "raised": len(found.raised)}


def _cells(row: Mapping[str, Any]) -> list[Any]:
    rms = row["output_error_rms"]
    shown = {
        **row,
        "degrees": "-".join(map(str, row["degrees"])),
        "output_error_rms": "" if rms is None else f"{rms:.4g}",
    }
    return [shown[name] if shown[name] is not None else "" for name in COLUMNS]


def _csv(rows: list[dict[str, Any]]) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    for row in rows:
        writer.writerow(["-".join(map(str, x)) if isinstance(x := row[name], list) else x for name in COLUMNS])
    return text.getvalue()
