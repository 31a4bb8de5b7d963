"""What `quantize` says of solved weights: how well each layer fits, and the accuracy with float activations."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from arithmos.ir.graph import Graph
from arithmos.lower.choice import Choice
from arithmos.lower.choose import weight_bits
from arithmos.lower.recipe import Recipe
from arithmos.report.weights import weight_histograms
from arithmos.targets import clear

N_NOTES = 3
"""Notes that are shown for people; report.json and the page have all."""

Labelled = Iterable[tuple[np.ndarray, np.ndarray]]


@dataclass(slots=True)
class Tally:
    """Right answers among the labelled images seen so far. top5 is None below five classes."""

    total: int = 0
    top1: int = 0
    top5: int | None = 0


def counted(batches: Labelled, network: Graph, tally: Tally) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """The batches, each counted as it passes: what the float graph answers to its images. One input, one output."""
    for images, labels in batches:
        logits = clear.outputs(network, {network.inputs[0]: images})[network.outputs[0]]
        tally.total += len(labels)
        tally.top1 += int((logits.argmax(axis=-1) == labels).sum())
        if tally.top5 is None or logits.shape[-1] < 5:
            tally.top5 = None
        else:
            best = np.argpartition(-logits, 4, axis=-1)[:, :5]
            tally.top5 += int((best == labels[:, None]).any(axis=1).sum())
        yield images, labels


def fit_facts(prepared: Graph, choice: Choice, recipe: Recipe, tally: Tally, images: tuple[int, int]) -> dict[str, Any]:
    """For report.json: `weights`, their histograms before and after; `fit`, layer by layer, where they were solved.

    images: (samples that the layers were solved on, samples that ranges were measured on).
    """
    facts: dict[str, Any] = {"weights": weight_histograms(prepared, choice)}
    if not recipe.solves:
        return facts
    bits = weight_bits(prepared, recipe)
    layers = [
        {
            "name": name,
            "columns": fit.columns,
            "vectors": fit.vectors,
            "dead": fit.dead,
            "relative_error": None if fit.relative_error is None else round(fit.relative_error, 6),
            "sparsity": round(fit.sparsity, 6),
            "bits": bits[name],
            "note": fit.note,
        }
        for name, fit in choice.fits.items()
    ]
    fit = {"method": recipe.rounding, "layers": layers, "float_activations": _accuracy(tally)}
    return facts | {"fit": fit | {"solved_on": images[0], "calibrated_on": images[1]}}


def fit_text(facts: dict[str, Any]) -> list[str]:
    """Lines for people: accuracy with float activations, the layer that fits worst, what else is to be known."""
    fit = facts.get("fit")
    if not fit:
        return []
    lines = []
    if seen := fit["float_activations"]:
        lines.append(f"weights  {seen['top1_percent']:.2f} % right with float activations")
    known = [(layer["relative_error"], layer["name"]) for layer in fit["layers"] if layer["relative_error"] is not None]
    if known:
        worst, name = max(known)
        lines.append(f"fit      worst {name}: {100 * worst:.1f} % of its results' norm is lost")
    if fit["solved_on"] < fit["calibrated_on"]:
        lines.append(
            f"note     solved on the first {fit['solved_on']} of {fit['calibrated_on']} samples: no more fit 3 GB"
        )
    notes = [f"note     {layer['name']}: {layer['note']}" for layer in fit["layers"] if layer["note"]]
    left = len(notes) - N_NOTES
    return [
        *lines,
        *notes[:N_NOTES],
        *([f"note     {left} more layers have notes, in report.json"] if left > 0 else []),
    ]


def _accuracy(tally: Tally) -> dict[str, Any] | None:
    if not tally.total:
        return None
    top5 = None if tally.top5 is None else round(100 * tally.top5 / tally.total, 4)
    return {"top1_percent": round(100 * tally.top1 / tally.total, 4), "top5_percent": top5, "total": tally.total}
