"""The page of a sweep: what its runs found, which were best, which failed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from arithmos.report.accuracy import wilson
from arithmos.report.data_set import GRID, DataSet, data_figure, data_pictures
from arithmos.report.page import filled, put
from arithmos.report.references import sweep_references
from arithmos.report.runs import (
    DONE,
    ORIGINAL,
    SETTINGS,
    TOP1,
    Row,
    best,
    bits_of,
    finished,
    grouped,
    number,
    percent,
    text,
    told_apart,
)
from arithmos.report.sweep_figures import PICKED, sweep_figures, tops

NEAR_POINTS = 0.5
"""Percentage points of top-1 that count as near the float network."""

MOST_ROWS = 500
"""The page lists at most so many runs; results.csv has them all."""

RESULTS: Mapping[str, tuple[str, str]] = {
    TOP1: ("top-1", "{:.2f} %"),
    "Quantized Top5 Accuracy": ("top-5", "{:.2f} %"),
    "Integer Top1 Accuracy": ("integer top-1", "{:.2f} %"),
    "Quantized Sparsity": ("zeros", "{:.2f} %"),
    "Bits per Weight": ("bits per weight", "{:.2f}"),
    "Mean Layer Error": ("mean error", "{:.3g}"),
    "Max Layer Error": ("largest error", "{:.3g}"),
    "Wall Seconds": ("seconds", "{:.1f}"),
    "Peak Memory MiB": ("peak MiB", "{:,.0f}"),
}
"""Results -> their heads in tables and how numbers are written; shares, which have a per cent sign, as per cent."""

HEADS: Mapping[str, str] = {
    "Model Name": "network",
    "Stochastic Quantization": "stochastic",
    "Quantization Batch Size": "images",
    "MLP_Alphabet_Scalar": "scalar (linear)",
    "CNN_Alphabet_Scalar": "scalar",
    "MLP_Percentile": "percentile (linear)",
    "CNN_Percentile": "percentile",
    "Retain_rate": "retain rate",
    "BN Reestimated": "BN re-estimated",
}
"""Settings whose heads in tables are not their names in lower case; those of convolutions mostly hold for all."""


def write_sweep_page(
    folder: Path, rows: Sequence[Row], facts: Mapping[str, Any], *, pictures: DataSet | None = None
) -> Path:
    """Write index.html, and figures/NAME.png and NAME.csv, into an existing folder; returns the page's path.

    rows: the runs by the names of the columns of results.csv, typed or as texts; Status "done", or the sentence of the
    failure. facts: name, and where they are known origin, images (how many the accuracies are of), grid (a text),
    selected ({rule, digests}), steps, environment, digest. pictures: of the data. Raises MissingTool where jinja2 or
    matplotlib is not installed.
    """
    shown = sweep_figures(rows, facts)
    ready = {GRID: data_pictures(pictures)} if pictures else {}
    shown += [data_figure(pictures)] if pictures else []
    context = sweep_context(rows, facts)
    return put(folder, shown, lambda drawn: filled("runs.html", shown, drawn, facts, **context), ready)


def sweep_context(rows: Sequence[Row], facts: Mapping[str, Any]) -> dict[str, Any]:
    """What the template asks for, beside figures and facts."""
    done = finished(rows)
    selected = facts.get("selected") or {}
    settings = told_apart(rows)
    results = [key for key in RESULTS if any(number(row, key) is not None for row in done)]
    ranked = sorted(done, key=lambda row: (text(row, "Model Name"), text(row, "Dataset"), -(number(row, TOP1) or 0.0)))
    marked = set(selected.get("digests", ()))
    failed = [row for row in rows if row.get("Status") != DONE]
    return {
        "heads": [*_heads(rows, settings), *((RESULTS[key][0], "n") for key in results)],
        "runs": [(_cells(row, settings, results), row.get("Digest") in marked) for row in ranked[:MOST_ROWS]],
        "tops": [_cells(row, settings, results) for row in tops(done)],
        "chosen": [_cells(row, settings, results) for row in ranked if row.get("Digest") in marked],
        "rule": selected.get("rule", ""),
        "shared": {_head(key): text(rows[0], key) for key in SETTINGS if key not in settings and text(rows[0], key)}
        if rows
        else {},
        "failed": [(_cells(row, settings, ()), _digest(row), str(row.get("Status") or "no result")) for row in failed],
        "failed_heads": _heads(rows, settings),
        "n_runs": len(rows),
        "n_done": len(done),
        "total_s": sum(number(row, "Wall Seconds") or 0.0 for row in done),
        "networks": [_network(of, facts.get("images")) for of in _by_network(done).values()],
        "picked": PICKED,
        "near_points": NEAR_POINTS,
        "references": sweep_references(rows, facts),
    }


def _network(rows: Sequence[Row], images: int | None) -> dict[str, Any]:
    """The best run of a network, its interval, and the fewest bits near the float network."""
    top = best(rows)
    share, exact = number(top, TOP1), number(top, ORIGINAL)
    assert share is not None
    near = (
        [row for row in rows if 100 * (exact - (number(row, TOP1) or 0.0)) <= NEAR_POINTS + 1e-9]
        if exact is not None
        else []
    )
    least = min((bits for row in near if (bits := number(row, "Bits")) is not None), default=None)
    return {
        "name": text(top, "Model Name"),
        "top1": percent(top),
        "bits": bits_of(text(top, "Bits")) if text(top, "Bits") else "",
        "float": percent(top, ORIGINAL),
        "near_bits": None if least is None else bits_of(f"{least:g}"),
        "interval": [100 * x for x in wilson(round(share * images), images)] if images else None,
    }


def _by_network(done: Iterable[Row]) -> dict[Any, list[Row]]:
    return grouped(done, lambda row: (text(row, "Model Name"), text(row, "Dataset")))


def _heads(rows: Sequence[Row], settings: Iterable[str]) -> list[tuple[str, str]]:
    """(head, class of its cells): "n" where all that is known is numbers."""
    return [
        (_head(key), "n" if all(number(row, key) is not None or not text(row, key) for row in rows) else "")
        for key in settings
    ]


def _head(key: str) -> str:
    return HEADS.get(key, key.lower())


def _cells(row: Row, settings: Iterable[str], results: Iterable[str]) -> list[str]:
    return [text(row, key) for key in settings] + [_result(row, key) for key in results]


def _result(row: Row, key: str) -> str:
    value, form = number(row, key), RESULTS[key][1]
    return "" if value is None else form.format(100 * value if form.endswith("%") else value)


def _digest(row: Row) -> str:
    return str(row.get("Digest") or "")[:12]
