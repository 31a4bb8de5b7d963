"""The numbers behind the figures of weights of few bits: before and after, and what was lost in each layer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from arithmos.report.figure import Figure


def quantized_weights(layers: Sequence[Mapping[str, Any]]) -> Figure:
    """Weights per step on one axis, before and after; layers: report.json's "weights", see `weight_histograms`."""
    rows: list[tuple[Any, ...]] = []
    for layer in layers:
        name, width, after = layer["name"], layer["bin"], layer["after_bin"]
        rows += [(name, "before", x, x + width, n, n / width) for x, n in layer["before"]]
        for x, n in layer["after"]:
            if layer["unit"] == "step":
                first, last = max(x, layer["levels"][0]), min(x + after - 1, layer["levels"][1])
                rows.append((name, "after", first, last, n, n / ((last - first + 1) * layer["spacing"])))
            else:
                rows.append((name, "after", x + after / 2, x + after / 2, n, n / after))
    return Figure(
        "quantized_weights",
        "Weights before and after",
        "Weights of each layer by their size in steps of their row's grid, or, where it has very many, of the largest "
        "quantized weight: outline before, stems or area after quantization, on one scale; beside names the share of "
        "zeros after it.",
        ("layer", "kind", "from", "to", "count", "density"),
        tuple(rows),
    )


def fit(facts: Mapping[str, Any]) -> Figure:
    """Error and zeros of every layer whose weights were fitted; facts: report.json's "fit"."""
    rows = tuple(
        (
            layer["name"],
            layer["bits"],
            layer["columns"],
            layer["vectors"],
            layer["dead"],
            "" if layer["relative_error"] is None else layer["relative_error"],
            "" if layer["sparsity"] is None else round(100 * layer["sparsity"], 4),
            layer["note"],
        )
        for layer in facts.get("layers", ())
    )
    return Figure(
        "fit",
        "Error of each layer's weights",
        "Left: Frobenius norm of the layer's output with quantized weights minus the one it should have, over that of "
        "the latter, on the calibration images. Right: share of weights that became zero.",
        ("layer", "bits", "columns", "vectors", "dead", "relative_error", "zeros_percent", "note"),
        rows,
    )
