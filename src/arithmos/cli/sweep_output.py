"""What a sweep leaves beside its rows: tables, the best recipe, the page."""

from __future__ import annotations

import os
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from arithmos.atomic import output_file, scratch_dir
from arithmos.cli.progress import Steps
from arithmos.cli.sweep_networks import Network
from arithmos.cli.sweep_request import Request
from arithmos.errors import MissingTool, UsageError
from arithmos.lower.recipe import Recipe, as_toml
from arithmos.report.data_set import DataSet
from arithmos.report.environment import environment
from arithmos.report.sweep_page import write_sweep_page
from arithmos.sweep.columns import DONE
from arithmos.sweep.configuration import Configuration, said
from arithmos.sweep.definition import FILE
from arithmos.sweep.folder import BEST
from arithmos.sweep.results import Row
from arithmos.sweep.select import Rule, best, rule_of
from arithmos.sweep.table import CSV, PARQUET, write_csv, write_parquet
from arithmos.train.data.loader import loader
from arithmos.train.data.survey import pictures, rows_to_show, survey

ANY_BEST = "max accuracy"
"""The rule where none is given."""
N_PICTURES = 100
PAGE, FIGURES = "index.html", "figures"


_SAME = ("model", "example", "input_size", "classes", "mean", "std", "dataset", "data_dir", "calibration_split")
REPEATED = {key: f"--{key.replace('_', '-')}" for key in (*_SAME, "n_calibration")}
REPEATED |= {"n_labelled": "--evaluate", "seed": "--seed", "recipe": "--recipe", "out": "-o"}
"""key -> flag of `quantize`: all that a run of a sweep depends on."""


def write_tables(out: Path, rows: Sequence[Row]) -> tuple[list[str], list[str]]:
    """Write results.csv, and results.parquet where pyarrow is installed: (files, why one is missing)."""
    write_csv(out, rows)
    try:
        write_parquet(out, rows)
    except MissingTool as error:
        return [CSV], [f"{PARQUET}: {error.why}: {error.fix}"]
    return [CSV, PARQUET], []


def best_of(rows: Sequence[Row], rule: Rule | None) -> tuple[Row | None, str]:
    """The row that the rule chooses, or None and a sentence, which is empty where no rule was given."""
    try:
        return dict(best([row for row in rows if row["Status"] == DONE], rule or rule_of(ANY_BEST))), ""
    except UsageError as error:
        return None, f"{error.what}: {error.why}" if rule else ""


def write_best(out: Path, rule: str, row: Row, chosen: Configuration, network: Mapping[str, Any]) -> None:
    """best.toml: the recipe of a run, as `quantize --recipe` takes it, with the command that repeats it in a comment.

    network: the flags of the run's network.
    """
    own = {**network, "n_calibration": chosen.n_calibration, "seed": chosen.seed, "recipe": out / BEST, "out": "FOLDER"}
    words = [str(network["weights"])] * bool(network["weights"])
    words += [
        word for key, flag in REPEATED.items() if own.get(key) not in (None, ()) for word in (flag, _word(own[key]))
    ]
    lines = [
        f"# {rule}: {said(chosen.point)}, {row['Quantized Top1 Accuracy']} of the images right with float activations",
        f"# arithmos quantize {shlex.join(words)}",
    ]
    with output_file(out / BEST, force=True) as draft:
        draft.write_text("\n".join(lines) + "\n\n" + as_toml(Recipe(**chosen.recipe)))


def _word(value: Any) -> str:
    """A flag's value as it is given."""
    return ",".join(map(str, value)) if isinstance(value, tuple) else str(value)


def write_page(
    out: Path,
    request: Request,
    networks: Mapping[str, Network],
    rows: Sequence[Row],
    best: Row | None,
    rule: str,
    steps: Steps,
) -> tuple[list[str], list[str]]:
    """Write index.html and figures/, where the libraries are installed: (files, why they are missing)."""
    name, first = next(iter(networks.items()))
    facts = {
        "name": "Sweep of " + ", ".join(networks),
        "origin": first.origin,
        "images": len(first.images),
        "grid": (out / FILE).read_text(),
        "selected": {"rule": rule, "digests": [best["Digest"]]} if best else {},
        "environment": environment(),
    }
    facts["steps"] = steps.facts()
    try:
        with steps.step("page"), scratch_dir(out) as draft:
            write_sweep_page(draft, rows, facts, pictures=_pictures(first, request.networks[name]))
            _put(draft, out)
    except MissingTool as error:
        return [], [f"{PAGE}: {error.why}: {error.fix}"]
    return [PAGE, FIGURES], []


def _put(draft: Path, out: Path) -> None:
    """The page and its figures in place of those of an earlier time."""
    if (out / FIGURES).exists():
        os.replace(out / FIGURES, draft / "old")
    os.replace(draft / FIGURES, out / FIGURES)
    os.replace(draft / PAGE, out / PAGE)


def _pictures(network: Network, given: Mapping[str, Any]) -> DataSet:
    """Pictures of the split that a network is calibrated on."""
    name, split = str(network.subject.dataset), given["calibration_split"]
    data = loader(name, split, given["data_dir"], batch_size=64)
    found = survey(name, split, data)
    shown = rows_to_show(data.split.labels, len(found.counts), N_PICTURES, 0)
    images, labels = pictures(data, shown, augment=False, seed=0)
    title = f"{name}, {split} split: {len(images):,} of the {found.n_images:,} pictures"
    return DataSet(title, images, labels.tolist(), found.counts, found.classes)
