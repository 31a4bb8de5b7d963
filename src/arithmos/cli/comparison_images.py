"""What an approximation is calibrated on and compared on, streamed: images of a data set, a file's, or noise."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from arithmos.cli.download import download
from arithmos.cli.samples import first, from_file, without
from arithmos.cli.subject import Subject
from arithmos.errors import UsageError
from arithmos.evidence.deviation import Labelled
from arithmos.ir.border import named_inputs
from arithmos.ir.graph import Graph
from arithmos.train.data.datasets import find, open_split, stream

PIECE = 32
"""Images that are calibrated at a time."""
FEW, MANY, SMALL_SIDE = 500, 4000, 64
"""Images that ranges are measured on by default: of pictures beyond SMALL_SIDE pixels a side, and of others."""
N_NOISE = 16
HELD_SHARE = 4
"""One in so many calibration images is held out where something is chosen on them."""


@dataclass(frozen=True, slots=True)
class Images:
    """calibration: () -> batches; compared: () -> (inputs, classes or None); how many images each has; origin: facts.

    held: () -> batches that nothing is measured on, for choices; None where there are none.
    """

    calibration: Callable[[], Iterable[Any]]
    n_calibration: int
    compared: Callable[[], Iterable[Labelled]]
    n_compared: int
    origin: dict[str, Any]
    held: Callable[[], Iterable[Any]] | None = None


def images_of(subject: Subject, graph: Graph, given: Mapping[str, Any], batch_size: int) -> Images:
    """What the flags name. Raises UsageError for missing data, and where calibration leaves no image to compare on."""
    n = given["n_calibration"] or (MANY if graph.values[graph.inputs[0]].shape[-1] <= SMALL_SIDE else FEW)
    if given["calibration"]:
        made = from_file(given["calibration"], subject.preparation, n=n, batch_size=PIECE)
        return _unlabelled(graph, made.calibration, made.origin["calibration"], given["max_images"])
    if subject.dataset and (given["data_dir"] or not given["random_weights"]):
        return _of_dataset(subject, given, n, batch_size)
    if given["random_weights"]:
        rng = np.random.default_rng(given["seed"])
        shape = tuple(abs(e) for e in graph.values[graph.inputs[0]].shape[1:])
        noise = [rng.standard_normal((min(batch_size, N_NOISE), *shape)).astype(np.float32)]
        return _unlabelled(graph, noise, f"{len(noise[0])} made images of noise", given["max_images"])
    raise UsageError(
        "there is nothing to calibrate on",
        why="ranges of activations are measured on samples",
        fix="give --data-dir (and --dataset), or your own arrays with --calibration FILE",
    )


def _of_dataset(subject: Subject, given: Mapping[str, Any], n: int, batch_size: int) -> Images:
    name, folder, split = str(subject.dataset), given["data_dir"], given["calibration_split"]
    if given["with_download"]:
        download(name, folder)
    n_there, n_test = (len(open_split(name, s, folder).labels) for s in (split, "test"))
    n = min(n, n_there)
    skipped = n if split == "test" else 0
    n_held = n // HELD_SHARE if given["choose_margin"] or given["allocate"] else 0
    n_compared = min(given["max_images"] or n_test, n_test - skipped)
    if n_compared < 1:
        raise UsageError(
            "calibration leaves no image to compare the networks on",
            why=f"the test split of {name} has {n_test:,} images here, and the first {n:,} calibrate",
            fix="give a smaller --n-calibration, or calibrate on --calibration-split train",
        )
    origin = {
        "calibration": f"{n - n_held} images of {name}, {split} split" + f", {n_held} held out" * bool(n_held),
        "data_source": find(name).source,
        "dataset": name,
        "evaluated_on": f"{name}, test split" + (f", without the {skipped} for calibration" if skipped else ""),
    }

    def first_images(which: str, size: int, limit: int) -> Iterator[Any]:
        return stream(name, which, folder, batch_size=size, limit=limit, preparation=subject.preparation)

    return Images(
        lambda: first_images(split, PIECE, n - n_held),
        n - n_held,
        lambda: without(first_images("test", batch_size, skipped + n_compared), skipped),
        n_compared,
        origin,
        (lambda: without(first_images(split, PIECE, n), n - n_held)) if n_held else None,
    )


def _unlabelled(graph: Graph, batches: list[Any], said: str, most: int | None) -> Images:
    """The networks are compared on the samples that calibrate, without classes."""
    rows = [named_inputs(graph, batch) for batch in batches]
    sizes = [len(next(iter(row.values()))) for row in rows]
    n = min(most or sum(sizes), sum(sizes))
    left = [max(0, min(size, n - sum(sizes[:i]))) for i, size in enumerate(sizes)]
    compared: list[Labelled] = [(first([row], k), None) for row, k in zip(rows, left, strict=True) if k]
    return Images(
        lambda: batches,
        sum(sizes),
        lambda: compared,
        n,
        {"calibration": said, "evaluated_on": "the calibration samples"},
    )
