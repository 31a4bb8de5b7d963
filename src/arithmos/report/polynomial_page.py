"""Pages of polynomials without a bundle: what a sweep over alphas found, and the curves of a file of coefficients."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from arithmos.approx.composite import Composite
from arithmos.approx.sets import sign_set
from arithmos.report.figure import Figure
from arithmos.report.page import filled, put
from arithmos.report.polynomial_figures import curves, sets, sweep, title
from arithmos.report.references import polynomial_references

NEAR_POINTS = 0.5
"""Percentage points of top-1 that count as near the exact network."""

SECTION_KEYS: Mapping[str, str] = {
    "deviation": "images exact approximate relative_percent agreement_percent output_error_rms output_rms ranges "
    "raised",
    "attribution": "images margin a_priori absolute first_order actual certified runners_up near layers",
    "allocation": "images choice levels multiplications predicted_rms rms front excluded",
    "settings": "images margin regularisation settings",
}
"""Section of report.json -> the keys that its page reads."""

ROW_KEYS = (
    "alpha degrees levels multiplications top1_percent top5_percent agreement_percent output_error_rms raised escape"
)


def write_sweep(folder: Path, document: Mapping[str, Any]) -> Path:
    """Write the page of a sweep into an existing folder; document: sweep.json, see `sweep_problems`."""
    rows = document["rows"]
    offset = bool(document.get("offset", False))
    made = {f"alpha {row['alpha']}: {'-'.join(map(str, row['degrees']))}": row for row in rows}
    shown = [sweep(document), curves({name: sign_set(row["alpha"], offset=offset) for name, row in made.items()})]
    return put(
        folder,
        shown,
        lambda pictures: filled(
            "alpha_sweep.html",
            shown,
            pictures,
            document,
            rows=rows,
            exact=document.get("exact"),
            nearest=nearest(document),
            references=polynomial_references({}),
        ),
    )


def nearest(document: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """The row of the least alpha whose top-1 is at most NEAR_POINTS below the exact one; None where there is none."""
    exact = document.get("exact")
    if not exact:
        return None
    least = 100 * exact["top1"] / exact["images"] - NEAR_POINTS
    known = (row for row in document["rows"] if row["top1_percent"] is not None and row["top1_percent"] >= least)
    return min(known, key=lambda row: row["alpha"], default=None)


def write_sets(folder: Path, composites: Sequence[Composite], name: str) -> Path:
    """Write the page of composites that belong to no network into an existing folder; name: what they are called."""
    figure = sets(composites)
    rows = [_set_row(composite, figure, n) for n, composite in enumerate(composites)]
    return put(
        folder,
        [figure],
        lambda pictures: filled(
            "coefficients.html", [figure], pictures, {"name": name}, rows=rows, references=polynomial_references({})
        ),
    )


def _set_row(composite: Composite, figure: Figure, n: int) -> dict[str, Any]:
    name = list(dict.fromkeys(row[0] for row in figure.rows))[n]
    return {
        "name": name,
        "degrees": title(composite),
        "levels": composite.depth + 1,
        "multiplications": composite.multiplications + 1,
        "offset": composite.offset,
        "error": composite.error,
        "log2": math.log2(composite.error) if composite.error else None,
        "seen": max(max(-row[5], row[6]) for row in figure.rows if row[0] == name),
    }


def fact_problems(facts: Mapping[str, Any]) -> list[str]:
    """What the page of a polynomial network misses in its report.json, a line each."""
    return [
        f"'{section}' lacks {key}"
        for section, keys in SECTION_KEYS.items()
        if isinstance(facts.get(section), dict)
        for key in keys.split()
        if key not in facts[section]
    ]


def sweep_problems(document: Any) -> list[str]:
    """What the page of a sweep misses in its document, a line each."""
    if not isinstance(document, dict) or not isinstance(document.get("rows"), list) or not document["rows"]:
        return ["it has no rows"]
    found = [] if isinstance(document.get("name"), str) else ["it has no name"]
    for n, row in enumerate(document["rows"]):
        lacking = [key for key in ROW_KEYS.split() if not isinstance(row, dict) or key not in row]
        found += [f"row {n} lacks {', '.join(lacking)}"] if lacking else []
    return found
