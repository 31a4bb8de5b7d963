"""Rows of a sweep as a page reads them: numbers and texts of cells, runs that differ in the seed alone, the best, a
Pareto front, the keys that tell lines apart."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

Row = Mapping[str, Any]
"""A run by the names of the columns of results.csv. Cells are typed or texts; None, "" and a missing key: not known."""

DONE = "done"
"""The Status of a run that has results; any other is the sentence of its failure."""

TOP1 = "Quantized Top1 Accuracy"
ORIGINAL = "Original Top1 Accuracy"

SETTINGS: Mapping[str, str] = {
    "Model Name": "{}",
    "Dataset": "{}",
    "Method": "{}",
    "Levels": "{} levels",
    "Step Rule": "{} step",
    "Regularizer": "regularizer {}",
    "Stochastic Quantization": "stochastic {}",
    "Error Correction": "error correction {}",
    "Quantization Batch Size": "{} images",
    "Activation Bits": "{}-bit activations",
    "Order": "{} order",
    "Learned Scale": "{} rounds of scales",
    "Retain_rate": "retain rate {}",
    "Fusion": "fusion {}",
    "BN Reestimated": "batch norm re-estimated {}",
    "CNN_Percentile": "percentile {}",
    "MLP_Percentile": "MLP percentile {}",
    "Bits": "{} bits",
    "CNN_Alphabet_Scalar": "scalar {}",
    "MLP_Alphabet_Scalar": "MLP scalar {}",
    "Lambda": "lambda {}",
    "Seed": "seed {}",
}
"""What a run was asked for -> how a label says its value; in the order in which they tell lines of a figure apart."""

POINTS = frozenset({"Bits", "MLP_Alphabet_Scalar", "CNN_Alphabet_Scalar", "Lambda", "Seed"})
"""Settings that are an axis, or averaged: they make no lines."""

MOST_LINES = 8
"""A figure has at most so many lines; settings that would make more are not told apart, the best of them is shown."""

AVERAGED = (
    TOP1,
    "Quantized Top5 Accuracy",
    "Integer Top1 Accuracy",
    "Quantized Sparsity",
    "Mean Layer Error",
    "Max Layer Error",
    "Wall Seconds",
    "Peak Memory MiB",
)
"""Results that are averaged over seeds."""


def number(row: Row, key: str) -> float | None:
    """The cell as a number; None where it is not known or is none."""
    cell = row.get(key)
    if cell is None or isinstance(cell, bool):
        return None
    try:
        value = float(cell)
    except (TypeError, ValueError):
        return None
    return value if math.isfinite(value) else None


def text(row: Row, key: str) -> str:
    """The cell as people write it: 4 for 4.0 and for "4"; "" where it is not known."""
    value = number(row, key)
    return f"{value:g}" if value is not None else "" if row.get(key) is None else str(row[key])


def percent(row: Row, key: str = TOP1) -> float | None:
    """A share as per cent, four decimals."""
    value = number(row, key)
    return None if value is None else round(100 * value, 4)


def scalar(row: Row) -> float | None:
    """The alphabet scalar of the convolutions, else that of the linear layers: a factor of the step."""
    found = number(row, "CNN_Alphabet_Scalar")
    return number(row, "MLP_Alphabet_Scalar") if found is None else found


def finished(rows: Iterable[Row]) -> list[Row]:
    """Runs that have an accuracy."""
    return [row for row in rows if row.get("Status") == DONE and number(row, TOP1) is not None]


def varying(rows: Sequence[Row], keys: Iterable[str] = tuple(SETTINGS)) -> list[str]:
    """The keys that do not have the same value in all rows."""
    return [key for key in keys if len({text(row, key) for row in rows}) > 1]


def told_apart(rows: Sequence[Row]) -> list[str]:
    """The settings that vary, without those of the linear layers that are the same as those of the convolutions."""
    twins = {"MLP_Alphabet_Scalar": "CNN_Alphabet_Scalar", "MLP_Percentile": "CNN_Percentile"}
    same = {mlp for mlp, cnn in twins.items() if all(text(row, mlp) == text(row, cnn) for row in rows)}
    return [key for key in varying(rows) if key not in same]


def grouped(rows: Iterable[Row], key: Callable[[Row], Any]) -> dict[Any, list[Row]]:
    """{key: its rows}, in the order in which the keys first occur."""
    found: dict[Any, list[Row]] = {}
    for row in rows:
        found.setdefault(key(row), []).append(row)
    return found


def averaged(rows: Iterable[Row]) -> list[Row]:
    """Rows equal in all settings but the seed as one: the mean of their results, and the first one's other cells."""
    alike = [key for key in SETTINGS if key != "Seed"]
    made = []
    for same in grouped(rows, lambda row: tuple(text(row, key) for key in alike)).values():
        means = {}
        for key in AVERAGED:
            known = [value for row in same if (value := number(row, key)) is not None]
            means[key] = sum(known) / len(known) if known else None
        made.append(same[0] if len(same) == 1 else {**same[0], **means})
    return made


def best(rows: Iterable[Row]) -> Row:
    """The highest top-1, then top-5, then the least mean error of the layers, then the first."""

    def rank(row: Row) -> tuple[float, float, float]:
        top1, top5, error = (number(row, k) for k in (TOP1, "Quantized Top5 Accuracy", "Mean Layer Error"))
        return (-1.0 if top1 is None else top1, top5 or 0.0, -(math.inf if error is None else error))

    return max(rows, key=rank)


def lines(rows: Sequence[Row]) -> dict[str, list[Row]]:
    """{label: rows} of the lines of a figure: by the settings that vary, at most MOST_LINES of them."""
    keys = splitting(rows, (key for key in SETTINGS if key not in POINTS), MOST_LINES)
    return grouped(rows, lambda row: label(row, keys or ["Method"]))


def splitting(rows: Sequence[Row], keys: Iterable[str], most: int) -> list[str]:
    """Those of the keys, in order, that tell rows apart that the ones before do not; into at most so many kinds."""
    chosen: list[str] = []
    kinds = 1
    for key in keys:
        found = len({tuple(text(row, k) for k in [*chosen, key]) for row in rows})
        if kinds < found <= most:
            chosen.append(key)
            kinds = found
    return chosen


def label(row: Row, keys: Iterable[str]) -> str:
    """The values of some settings in words: "gpfq, published levels"."""
    parts = (
        bits_of(text(row, key)) if key == "Bits" else SETTINGS[key].format(text(row, key) or "none") for key in keys
    )
    return ", ".join(parts)


def bits_of(width: str) -> str:
    """1 bit, 2 bits."""
    return f"{width} bit" if width == "1" else f"{width} bits"


def front(points: Sequence[tuple[float, float]]) -> list[int]:
    """Places of the points (cost, gain) that no other beats in one and reaches in the other, by cost, once."""
    kept: list[int] = []
    for k in sorted(range(len(points)), key=lambda k: (points[k][0], -points[k][1], k)):
        if not kept or points[k][1] > points[kept[-1]][1]:
            kept.append(k)
    return kept


def layer_errors(row: Row) -> dict[str, float]:
    """{layer: relative error} of the cell "Layer Errors", name=error joined by ";"; names may hold "="."""
    found = {}
    for part in text(row, "Layer Errors").split(";"):
        name, _, error = part.rpartition("=")
        value = number({"": error}, "")
        if name and value is not None:
            found[name] = value
    return found
