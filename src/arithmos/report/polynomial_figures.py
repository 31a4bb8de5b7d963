"""The numbers behind the figures of polynomials: of a network, of a sweep over alphas, of a file of coefficients."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.polynomial import chebyshev

from arithmos.approx.composite import Composite, evaluate
from arithmos.ir.depth import activation, depth
from arithmos.ir.graph import Graph, Node
from arithmos.report.figure import Figure

CELLS = 400
"""Points of a curve on either axis."""

SMALLEST = 2.0**-18
"""Where the logarithmic axis begins: |x| in units of B, below the largest error of every shipped set."""

SAMPLES = 64
"""The least number of samples of the error between two points of a curve; more where the degrees ask for them."""


def network_figures(net: Graph, facts: Mapping[str, Any]) -> list[Figure]:
    """Every figure that has something to show, in the order of the page. facts: report.json of a polynomial network."""
    ranges_seen, allocated = facts.get("deviation", {}), facts.get("allocation", {})
    made = (
        levels(net),
        curves(composites(net)),
        ranges(ranges_seen),
        attribution(facts.get("attribution", {})),
        front(allocated),
    )
    return [figure for figure in made if figure.rows]


def composites(net: Graph) -> dict[str, Composite]:
    """{what it is called: composite} of the network's ReLUs, equal ones once: by degrees if there is one, by layer."""
    found: dict[tuple[bytes, ...], tuple[str, str, Composite]] = {}
    for node in net.nodes:
        made = _composite(net, node) if node.op == "polynomial" else None
        if made is not None:
            key = (*(stage.tobytes() for stage in made.stages), str(made.offset).encode())
            degrees = "-".join(map(str, activation(net, node).degrees))
            name = title(made) if node.attrs["form"] == "relu" else degrees
            found.setdefault(key, (node.output, name, made))
    alone = len(found) == 1
    return {name if alone else f"{layer}: {name}": made for layer, name, made in found.values()}


def _composite(net: Graph, node: Node) -> Composite | None:
    """p and c of u (1 + p(u / B)) / 2 + c B; None for what stands for another function than the ReLU.

    B q(u / B), one polynomial in units of B, is a ReLU as well: c = q(0), p(t) = 2 (q(t) - c) / t - 1.
    """
    stages = tuple(net.constants[name].astype(np.float64) for name in node.inputs[1:])
    if node.attrs["form"] == "relu":
        return Composite(stages, node.attrs["offset"])
    if len(stages) > 1 or node.attrs["bound"] is None or node.attrs["gain"] != node.attrs["bound"]:
        return None
    constant = float(chebyshev.chebval(0.0, stages[0]))
    quotient, _ = chebyshev.chebdiv(chebyshev.chebsub(2 * stages[0], [2 * constant, 1.0]), [0.0, 1.0])
    return Composite((np.asarray(quotient),), constant + node.attrs["offset"] / node.attrs["gain"])


def title(composite: Composite) -> str:
    """Its degrees, first stage first: 7-15, or 7-15 + c where it has a constant."""
    return "-".join(map(str, composite.degrees)) + (" + c" if composite.offset else "")


def curves(named: Mapping[str, Composite]) -> Figure:
    """p(x), r(x) = x (1 + p(x)) / 2 + c, and the least and largest r(x) - max(x, 0) from one point to the next."""
    rows: list[tuple[Any, ...]] = []
    for name, composite in named.items():
        for axis, edges in (
            ("linear", np.linspace(-1, 1, CELLS + 1)),
            ("logarithmic", np.geomspace(SMALLEST, 1, CELLS + 1)),
        ):
            rows += [(name, axis, *(_short(x) for x in point)) for point in _points(composite, edges)]
    return Figure(
        "curves",
        "Sign, ReLU and error",
        "In units of B. Top: the sign polynomial p; middle: the ReLU made of it, x (1 + p) / 2 + c, dashed the exact "
        "one; bottom: its error, as the band between least and largest value near each point. Left linear, right "
        "logarithmic, where only x > 0 is shown.",
        ("polynomial", "axis", "x", "sign", "relu", "error_lo", "error_hi"),
        tuple(rows),
    )


def _points(composite: Composite, edges: np.ndarray) -> np.ndarray:
    """(points, 5): x, p(x), r(x), least and largest error between x and the next point."""
    fine = max(SAMPLES, 8 * math.prod(composite.degrees) // CELLS)
    x = edges[:-1, None] + np.diff(edges)[:, None] * np.linspace(0, 1, fine)
    p = evaluate(composite, x)
    relu = x * (1 + p) / 2 + composite.offset
    error = relu - np.maximum(x, 0)
    return np.stack([x[:, 0], p[:, 0], relu[:, 0], error.min(axis=1), error.max(axis=1)], axis=1)


def _short(x: float) -> float:
    return float(f"{x:.6g}")


def levels(net: Graph) -> Figure:
    """Degrees, levels and multiplications of each polynomial."""
    rows = tuple(
        (
            a.name,
            "-".join(map(str, a.degrees)),
            a.levels,
            a.multiplications,
            "" if a.bound is None else _short(a.bound),
            a.elements,
        )
        for a in (activation(net, node) for node in net.nodes if node.op == "polynomial")
    )
    return Figure(
        "levels",
        "Levels and multiplications",
        "Levels (left) and non-scalar multiplications (right) of each polynomial with its degrees, the product with x "
        f"included. {depth(net).levels:,} levels on the longest path, one for each layer that multiplies among them.",
        ("value", "degrees", "levels", "multiplications", "B", "elements"),
        rows,
    )


def ranges(deviation: Mapping[str, Any]) -> Figure:
    """What each polynomial read on the images of the comparison, against its B; deviation: as in report.json."""
    raised = {row["polynomial"] for row in deviation.get("raised", ())}
    rows = []
    for row in deviation.get("ranges", ()):
        known = None not in (row["lo"], row["hi"])
        used = max(-row["lo"], row["hi"]) / row["bound"] if known and row["bound"] else None
        cells = (row["bound"], row["lo"], row["hi"], used and round(100 * used, 2))
        name = row["polynomial"]
        rows.append((name, *("" if cell is None else cell for cell in cells), "yes" if name in raised else "no"))
    return Figure(
        "ranges",
        "Ranges against B",
        "Left: the interval of each polynomial, and in it what the images needed. Right: how much of B was used; "
        "beyond 100 % a value escapes and the network's output means nothing. Orange: B was raised on the way.",
        ("value", "B", "lo", "hi", "used_percent", "raised"),
        tuple(rows),
    )


def attribution(facts: Mapping[str, Any]) -> Figure:
    """Each layer's part in the error of the top class's margin, and its own error beside what is certified."""
    keys = ("name", "first_order", "absolute", "a_priori", "largest", "allowed")
    rows = tuple(tuple("" if row[key] is None else row[key] for key in keys) for row in facts.get("layers", ()))
    return Figure(
        "attribution",
        "Which layer hurts",
        "Left: what each layer's error moves the margin between the top class and the next by, on average: to first "
        "order (dot), with all signs against it (end of the bar), from its certificate alone (tick). Right: the "
        "largest error seen (dot) and the certified one (tick).",
        ("value", "first_order", "absolute", "a_priori", "largest", "allowed"),
        rows,
    )


def front(allocation: Mapping[str, Any]) -> Figure:
    """Plans of the Pareto front, and the chosen one, by levels; allocation: Allocation.facts."""
    chosen = [allocation] if "choice" in allocation else []
    points = sorted([*allocation.get("front", ()), *chosen], key=lambda p: (p["levels"], p is allocation))
    rows = tuple(
        (
            point["levels"],
            point["multiplications"],
            point["predicted_rms"],
            "" if point["rms"] is None else point["rms"],
            "" if None in (point["rms"], point["top1"]) else round(100 * point["top1"], 4),
            "yes" if point is allocation else "no",
        )
        for point in points
    )
    return Figure(
        "front",
        "Levels against loss",
        "Plans that no other beats in both, on held-out images: root mean square deviation of the outputs (left), "
        "predicted from single layers and measured; top-1 (right). A cross: a value left its interval. Ringed: chosen.",
        ("levels", "multiplications", "predicted_rms", "rms", "top1_percent", "chosen"),
        rows,
    )


def sweep(document: Mapping[str, Any]) -> Figure:
    """Top-1, agreement and deviation by alpha; document: sweep.json."""
    keys = ("alpha", "degrees", "levels", "multiplications", "top1_percent", "agreement_percent", "output_error_rms")
    rows = []
    for row in document.get("rows", ()):
        cells = ("-".join(map(str, row[key])) if key == "degrees" else row[key] for key in keys)
        rows.append((*("" if cell is None else cell for cell in cells), exact_percent(document), row["escape"] or ""))
    return Figure(
        "sweep",
        "Accuracy against alpha and levels",
        "Top: top-1 (dashed: exact network) and agreement with the exact network; bottom: root mean square deviation "
        "of the outputs. Left by alpha, right by the network's levels. A cross: a value left its interval.",
        (*keys, "exact_percent", "escape"),
        tuple(rows),
    )


def exact_percent(document: Mapping[str, Any]) -> float | str:
    """Top-1 of the exact network in a sweep; empty without labels."""
    exact = document.get("exact")
    return round(100 * exact["top1"] / exact["images"], 4) if exact else ""


def sets(named: Sequence[Composite]) -> Figure:
    """Curves of composites that belong to no network, named by their degrees and their place."""
    names = [title(composite) for composite in named]
    return curves(
        {
            name if names.count(name) == 1 else f"{n}: {name}": made
            for n, (name, made) in enumerate(zip(names, named, strict=True), 1)
        }
    )
