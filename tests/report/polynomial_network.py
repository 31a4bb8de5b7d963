"""A small network of two ReLUs, as polynomials, and everything its report.json can hold."""

from __future__ import annotations

from typing import Any

import numpy as np

import arithmos as ar
from arithmos.ir.build import Builder
from arithmos.ir.graph import Graph


def polynomial_network(alpha: int = 7) -> Graph:
    """linear -> relu -> linear -> relu -> linear, each ReLU with a B of its own."""
    rng = np.random.default_rng(0)
    b = Builder("float")
    x = b.input("images", (-1, 6))
    for n, (rows, columns) in enumerate(((8, 6), (8, 8), (3, 8)), 1):
        weight = b.constant(f"w{n}", (rng.normal(size=(rows, columns)) / 2).astype(np.float32))
        x = b.add("linear", x, weight, name=f"fc{n}")
        x = b.add("relu", x, name=f"relu{n}") if n < 3 else x
    graph = b.graph(x)
    batches = [rng.normal(size=(32, 6)).astype(np.float32)]
    return ar.approximate(graph, ar.calibrate(graph, batches), ar.Recipe(method="composite", alpha=alpha))


def facts() -> dict[str, Any]:
    """Every section, with numbers that tests know."""
    scores = {"top1": 9, "top1_percent": 90.0, "top5": 10, "top5_percent": 100.0, "finite": 10}
    return {
        "name": "small <network>",
        "origin": {"model": "small", "approximation": "composite, alpha 7"},
        "deviation": {
            "images": 10,
            "exact": scores,
            "approximate": {**scores, "top1": 8, "top1_percent": 80.0},
            "relative_percent": -11.1111,
            "agreement_percent": 70.0,
            "output_error_rms": 0.125,
            "output_rms": 2.5,
            "ranges": [
                {"polynomial": "relu1", "source": "", "bound": 4.0, "lo": -3.0, "hi": 2.0},
                {"polynomial": "relu2", "source": "", "bound": 5.0, "lo": -1.0, "hi": 6.0},
            ],
            "raised": [{"polynomial": "relu2", "image": 7, "value": 5.5, "before": 4.0, "after": 5.0}],
        },
        "attribution": {
            "images": 8,
            "margin": {"mean": 3.25, "min": 0.5},
            "a_priori": 7.5,
            "absolute": 0.75,
            "first_order": 0.0625,
            "actual": 0.0635,
            "certified": 6,
            "runners_up": 2,
            "near": {"units": 3, "of": 128},
            "layers": [layer("relu1", 4.0, 0.05), layer("relu2", 5.0, None)],
        },
        "allocation": {
            "images": 20,
            "choice": {"relu1": "7", "relu2": "15"},
            **point(9, 0.5, 0.6),
            "front": [point(8, 0.7, None), point(12, 0.1, 0.2)],
            "excluded": [["relu1", "3"]],
        },
        "settings": {
            "images": 30,
            "margin": 1.5,
            "regularisation": 0.01,
            "settings": [setting(1.25, None), setting(1.5, 0.875)],
        },
    }


def layer(name: str, bound: float, allowed: float | None) -> dict[str, Any]:
    """A layer of an attribution."""
    known = {"bound": bound, "allowed": allowed, "largest": 0.04, "first_order": 0.03, "absolute": 0.3}
    return {"name": name, **known, "a_priori": None if allowed is None else 3.0}


def setting(margin: float, rms: float | None) -> dict[str, Any]:
    """What was tried on held-out images; rms: None where a value escaped."""
    return {"margin": margin, "regularisation": 0.01, "rms": rms, "agreement": 0.875, "reach": rms}


def point(levels: int, predicted: float, measured: float | None) -> dict[str, Any]:
    """A plan; measured: None where a value escaped."""
    cost = {"levels": levels, "multiplications": 2 * levels, "predicted_rms": predicted}
    return {**cost, "rms": measured, "top1": 0.0 if measured is None else 0.85}


def sweep() -> dict[str, Any]:
    """What a sweep over three alphas writes; the first one escaped."""
    cells = {"multiplications": 8, "top5_percent": 100.0, "relative_percent": 0.0, "raised": 0, "escape": None}
    rows = [
        {**cells, "alpha": alpha, "degrees": degrees, "levels": levels}
        | {"top1_percent": top1, "agreement_percent": top1, "output_error_rms": rms}
        for alpha, degrees, levels, top1, rms in (
            (4, [5], 9, None, None),
            (6, [3, 7], 13, 79.9, 0.5),
            (7, [7, 7], 15, 80.0, 0.25),
        )
    ]
    rows[0] |= {"escape": "image 3, fc1: 9.5, B 4, needs 9.51", "raised": None, "top5_percent": None}
    return {"name": "small", "origin": {}, "exact": {"images": 1000, "top1": 804, "top5": 1000}, "rows": rows}
