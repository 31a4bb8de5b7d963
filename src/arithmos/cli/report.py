"""`arithmos report`: a bundle -> one HTML page with plots."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from arithmos.atomic import output_dir
from arithmos.cli import flags
from arithmos.cli.bundle import read_facts, read_recipe_text
from arithmos.cli.output import answer
from arithmos.cli.progress import steps
from arithmos.errors import UsageError
from arithmos.ir.codec import load
from arithmos.report.page import PAGE_FILE, write_page


@click.command("report")
@flags.bundle
@click.option(
    "--verification", type=flags.EXISTING, help="What `arithmos verify --json` printed, to show beside the rest."
)
@flags.out
@flags.force
@flags.as_json
@flags.verbosity
def command(bundle: Path, verification: Path | None, out: Path, force: bool, as_json: bool) -> None:
    """Write one self-contained HTML page about BUNDLE, with a PNG and a CSV of every figure beside it."""
    flags.check_apart(out, bundle, verification)
    net, facts = load(bundle), read_facts(bundle)
    facts.setdefault("name", bundle.name)
    if verification:
        facts["verification"] = _verification(verification)
    with steps().step("page"), output_dir(out, force=force) as folder:
        write_page(folder, net, facts, recipe=read_recipe_text(bundle))
    page = out / PAGE_FILE
    answer({"page": str(page)}, f"wrote {page}", as_json=as_json)


_KINDS: dict[str, type | tuple[type, ...]] = {
    **dict.fromkeys(("n_compared", "n_equal", "ties"), int),
    "interpreter_s": (int, float),
    "samples": dict,
    "rows": list,
}
_ROW = {"target", "path", "result", "n_values", "of_values", "n_compared", "n_equal", "wall_s"}


def _verification(file: Path) -> dict[str, Any]:
    try:
        document = json.loads(file.read_text())
        missing = _KINDS.keys() - document.keys()
        if missing:
            raise ValueError(f"it lacks {', '.join(sorted(missing))}")
        wrong = [key for key, kind in _KINDS.items() if not isinstance(document[key], kind)]
        if wrong or not all(isinstance(row, dict) and row.keys() >= _ROW for row in document["rows"]):
            raise ValueError(f"{', '.join(wrong) or 'a row'} is not what a verification has there")
        return dict(document)
    except (ValueError, AttributeError, OSError) as error:
        raise UsageError(
            "this is not the result of a verification",
            where=str(file),
            why=str(error),
            fix="arithmos verify BUNDLE --json > FILE",
        ) from error
