"""The numbers behind the figures of a sweep: accuracy by bits and scalar, error per layer, sparsity, size, time."""

from __future__ import annotations

import statistics
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from arithmos.report.figure import Figure
from arithmos.report.runs import (
    ORIGINAL,
    SETTINGS,
    TOP1,
    Row,
    averaged,
    best,
    finished,
    front,
    grouped,
    label,
    layer_errors,
    lines,
    number,
    percent,
    scalar,
    splitting,
    text,
    varying,
)

MOST_RUNS = 10
"""The error per layer is drawn for at most so many runs."""

PICKED = "picked on the images that it is measured on"


def sweep_figures(rows: Sequence[Row], facts: Mapping[str, Any]) -> list[Figure]:
    """Every figure that has something to show, in the order of the page: those for which the rows vary in its key.

    rows: all runs, failures too; facts: "selected" as in `write_sweep_page`.
    """
    done = finished(rows)
    runs = averaged(done)
    made = (
        by_bits(runs),
        by_scalar(runs),
        heat_map(runs),
        errors_of_layers(chosen(done, facts), _selected(facts)),
        sparsity(runs),
        size(runs),
        times(done),
    )
    return [figure for figure in made if figure.rows]


def by_bits(runs: Sequence[Row]) -> Figure:
    """The best run of each line at each width."""
    rows = []
    for name, line in lines(runs).items() if varying(runs, ("Bits",)) else ():
        for bits, same in _by_number(line, "Bits").items():
            row = best(same)
            rows.append(
                (
                    name,
                    bits,
                    percent(row),
                    _known(percent(row, ORIGINAL)),
                    _known(percent(row, "Integer Top1 Accuracy")),
                    _known(scalar(row)),
                    _known(number(row, "Lambda")),
                    len(same),
                )
            )
    return Figure(
        "accuracy_by_bits",
        "Accuracy against bits",
        f"At each width the best of the other settings, {PICKED}. Dashed: the float network; squares: the whole "
        "network in integers, activations too. Right: the same near the float network.",
        ("line", "bits", "top1_percent", "float_percent", "integer_percent", "scalar", "lambda", "runs"),
        tuple(rows),
    )


def by_scalar(runs: Sequence[Row]) -> Figure:
    """The best run of each line and width at each scalar."""
    known = [row for row in runs if scalar(row) is not None]
    rows = []
    if len({scalar(row) for row in known}) > 1:
        for name, line in lines(known).items():
            for bits, same in _by_number(line, "Bits").items():
                at = grouped(same, scalar)
                rows += [(name, bits, x, percent(best(at[x])), _known(percent(at[x][0], ORIGINAL))) for x in sorted(at)]
    return Figure(
        "accuracy_by_scalar",
        "Accuracy against scalar",
        "A line for each width: top-1 by the scalar that multiplies the step. Dashed: the float network. Right: the "
        "same near the float network.",
        ("line", "bits", "scalar", "top1_percent", "float_percent"),
        tuple(rows),
    )


def heat_map(runs: Sequence[Row]) -> Figure:
    """Top-1 by width and scalar, a map for each line."""
    rows = by_scalar(runs).rows
    both = len({row[1] for row in rows}) > 1
    return Figure(
        "bits_by_scalar",
        "Bits by scalar",
        "Top-1 in per cent at each width and scalar. Framed: the best scalar of each width.",
        ("line", "bits", "scalar", "top1_percent"),
        tuple(row[:4] for row in rows) if both else (),
    )


def errors_of_layers(runs: Sequence[Row], selected: Collection[str] = ()) -> Figure:
    """Relative error of every layer of some runs, from the fewest bits up; runs: at most MOST_RUNS of them are shown.

    selected: digests of those that a rule chose.
    """
    shown = sorted([row for row in runs if layer_errors(row)][:MOST_RUNS], key=lambda row: number(row, "Bits") or 0.0)
    said = varying(shown, ("Model Name", "Method", "Bits"))
    keys = [*said, *(key for key in splitting(shown, [*said, *_SETTINGS], MOST_RUNS) if key not in said)] or ["Bits"]
    several = bool(varying(shown, ("Model Name",)))
    rows = [
        (
            f"{text(row, 'Model Name')}: {layer}" if several else layer,
            label(row, keys),
            text(row, "Digest"),
            error,
            _yes(row, selected),
        )
        for row in shown
        for layer, error in layer_errors(row).items()
    ]
    return Figure(
        "layer_errors",
        "Error of each layer",
        "Frobenius norm of a layer's output minus the one it should have, over that of the latter, on the calibration "
        "images. Thick: the run that the rule chose.",
        ("layer", "run", "digest", "relative_error", "selected"),
        tuple(rows),
    )


_SETTINGS = [key for key in SETTINGS if key != "Seed"]


def sparsity(runs: Sequence[Row]) -> Figure:
    """Share of zeros against accuracy: the best run of each line, width and lambda, where lambda varies."""
    known = [row for row in runs if number(row, "Quantized Sparsity") is not None]
    picked: list[tuple[str, Row]] = []
    for name, line in lines(known).items() if len({_lambda(row) for row in known}) > 1 else ():
        alike = grouped(line, lambda row: (number(row, "Bits") or 0.0, _lambda(row)))
        picked += [(name, best(alike[key])) for key in sorted(alike)]
    places = front([(-_number(row, "Quantized Sparsity"), _number(row, TOP1)) for _, row in picked])
    rows = [
        (
            name,
            text(row, "Bits"),
            _lambda(row),
            percent(row, "Quantized Sparsity"),
            percent(row),
            _known(percent(row, ORIGINAL)),
            "yes" if k in places else "no",
        )
        for k, (name, row) in enumerate(picked)
    ]
    return Figure(
        "sparsity",
        "Sparsity against accuracy",
        "Share of weights and biases that are zero, labelled by lambda (0: no regularizer); of the other settings the "
        f"best, {PICKED}. Runs that differ in lambda alone are joined. Ringed: no other run has as many zeros and more "
        "accuracy. Dashed: the float network.",
        ("line", "bits", "lambda", "zeros_percent", "top1_percent", "float_percent", "front"),
        tuple(rows),
    )


def size(runs: Sequence[Row]) -> Figure:
    """Bits per weight against accuracy."""
    known = [row for row in runs if number(row, "Bits per Weight") is not None]
    known = known if varying(known, ("Bits per Weight",)) else []
    places = front([(_number(row, "Bits per Weight"), _number(row, TOP1)) for row in known])
    names = {id(row): name for name, line in lines(known).items() for row in line}
    rows = [
        (
            names[id(row)],
            _number(row, "Bits per Weight"),
            percent(row),
            _known(percent(row, ORIGINAL)),
            text(row, "Bits"),
            "yes" if k in places else "no",
        )
        for k, row in enumerate(known)
    ]
    return Figure(
        "accuracy_by_size",
        "Accuracy against bits per weight",
        "Bits per weight: the logarithm of the number of levels, averaged over the weights, so that conventions of "
        "different names compare. The steps join what no run beats with as few bits. Dashed: the float network. Right: "
        "the same near the float network.",
        ("line", "bits_per_weight", "top1_percent", "float_percent", "bits", "front"),
        tuple(rows),
    )


def times(done: Sequence[Row]) -> Figure:
    """Seconds and memory of the runs of each line and width: median, least and most."""
    known = [row for row in done if number(row, "Wall Seconds") is not None]
    rows: list[tuple[Any, ...]] = []
    for name, line in lines(known).items() if len(known) > 1 else ():
        for bits, same in grouped(line, lambda row: text(row, "Bits")).items():
            seconds, memory = ([_number(r, k) for r in same if number(r, k) is not None] for k in _TIMES)
            rows.append((name, bits, len(same), *_spread(seconds), *_spread(memory)))
    return Figure(
        "run_time",
        "Time and memory of a run",
        "Left: wall time; right: peak memory. Dot: the median of the runs; line: from the least to the most.",
        ("line", "bits", "runs", "s", "least_s", "most_s", "mib", "least_mib", "most_mib"),
        tuple(rows),
    )


_TIMES = ("Wall Seconds", "Peak Memory MiB")


def chosen(done: Sequence[Row], facts: Mapping[str, Any]) -> list[Row]:
    """The selected runs, then the best one of each network and width."""
    digests = _selected(facts)
    selected = [row for row in done if row.get("Digest") in digests]
    return selected + [row for row in tops(done) if row.get("Digest") not in digests]


def tops(done: Sequence[Row]) -> list[Row]:
    """The best run of each network and width."""
    alike = grouped(done, lambda row: (text(row, "Model Name"), text(row, "Dataset"), number(row, "Bits") or 0.0))
    return [best(alike[key]) for key in sorted(alike)]


def _selected(facts: Mapping[str, Any]) -> set[str]:
    """Digests of the runs that a rule chose."""
    return set((facts.get("selected") or {}).get("digests", ()))


def _yes(row: Row, selected: Collection[str]) -> str:
    return "yes" if row.get("Digest") in selected else "no"


def _by_number(rows: Sequence[Row], key: str) -> dict[float, list[Row]]:
    found = grouped(rows, lambda row: number(row, key))
    return {value: found[value] for value in sorted(v for v in found if v is not None)}


def _number(row: Row, key: str) -> float:
    value = number(row, key)
    assert value is not None
    return value


def _lambda(row: Row) -> float:
    """0 without a regularizer: what the cell then holds was not used."""
    return (number(row, "Lambda") or 0.0) if text(row, "Regularizer") not in ("", "none", "None") else 0.0


def _known(value: float | None) -> float | str:
    return "" if value is None else value


def _spread(values: Sequence[float]) -> tuple[float | str, ...]:
    return (statistics.median(values), min(values), max(values)) if values else ("", "", "")
