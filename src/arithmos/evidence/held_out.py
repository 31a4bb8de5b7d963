"""Held-out images: what a polynomial network loses on samples that no interval and no coefficient was made from."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from arithmos.errors import RangeEscape, UsageError
from arithmos.ir.graph import Graph
from arithmos.targets import clear

BATCH = 64


@dataclass(frozen=True, slots=True)
class HeldOut:
    """images: (n, …); labels: (n,) or None; exact: the exact network's output for them, (n, classes)."""

    images: np.ndarray = field(repr=False)
    labels: np.ndarray | None = field(repr=False)
    exact: np.ndarray = field(repr=False)

    @property
    def exact_top1(self) -> float | None:
        """Share of the images that the exact network classifies right; None without labels."""
        return None if self.labels is None else float((self.exact.argmax(axis=-1) == self.labels).mean())


@dataclass(frozen=True, slots=True)
class Loss:
    """rms: of the output's deviation; agreement: share of equal classes; top1: of right ones, None without labels.

    reach: the largest |u| / B of any polynomial, `at` the name of that u. escape: the first value outside its interval;
    then rms and reach are infinite, and every image from its batch on counts as wrong.
    """

    rms: float
    agreement: float
    top1: float | None
    reach: float
    at: str = ""
    escape: RangeEscape | None = None

    def inside(self, headroom: float) -> bool:
        """Whether every value kept to `headroom` of its interval: on other images some reach a little further."""
        return self.reach <= headroom

    @property
    def facts(self) -> dict[str, Any]:
        """As JSON; rms is None where a value escaped."""
        return {
            "rms": self.rms if math.isfinite(self.rms) else None,
            "agreement": self.agreement,
            "top1": self.top1,
            "reach": self.reach if math.isfinite(self.reach) else None,
            "at": self.at,
            "escape": None if self.escape is None else {"value": self.escape.value_name, "image": self.escape.image},
        }


def held_out(graph: Graph, images: np.ndarray, labels: np.ndarray | None = None, *, device: str = "cpu") -> HeldOut:
    """The exact network's outputs for images, computed once. graph: float. Raises UsageError for no images."""
    if len(images) == 0 or (labels is not None and len(labels) != len(images)):
        raise UsageError(
            f"{len(images)} images and {0 if labels is None else len(labels)} labels cannot be held out",
            why="choices are made by what a network loses on images of their own",
            fix="give training images that were not calibrated on, and a label for each, or no labels",
        )
    parts = [_run(graph, images[i : i + BATCH], i, device, {})[0] for i in range(0, len(images), BATCH)]
    return HeldOut(images, labels, np.concatenate(parts))


def loss(graph: Graph, held: HeldOut, *, device: str = "cpu") -> Loss:
    """What the polynomial network loses on held-out images; it stops at the first value that leaves its interval."""
    bounds = {
        n.inputs[0]: n.attrs["bound"] for n in graph.nodes if n.op == "polynomial" and n.attrs["bound"] is not None
    }
    n, squares, same, right, furthest, escape = len(held.images), 0.0, 0, 0, (0.0, ""), None
    for i in range(0, n, BATCH):
        exact = held.exact[i : i + BATCH]
        try:
            found, reach = _run(graph, held.images[i : i + BATCH], i, device, bounds)
        except RangeEscape as error:
            squares, furthest, escape = math.inf, (math.inf, error.value_name), error
            break
        squares, furthest = squares + float(np.sum((found.astype(np.float64) - exact) ** 2)), max(furthest, reach)
        classes = found.argmax(axis=-1)
        same += int((classes == exact.argmax(axis=-1)).sum())
        right += 0 if held.labels is None else int((classes == held.labels[i : i + BATCH]).sum())
    top1 = None if held.labels is None else right / n
    return Loss(math.sqrt(squares / held.exact.size), same / n, top1, *furthest, escape)


def _run(
    graph: Graph, images: np.ndarray, first: int, device: str, bounds: Mapping[str, float]
) -> tuple[np.ndarray, tuple[float, str]]:
    """The output; the largest |u| / B of the values that have a bound, and the name of that one."""
    furthest, output = (0.0, ""), np.zeros(0)
    for name, array in clear.stream(graph, images, first_image=first, device=device):
        if name in bounds:
            furthest = max(furthest, (float(np.abs(array).max()) / bounds[name], name))
        if name == graph.outputs[0]:
            output = array
    return output, furthest
