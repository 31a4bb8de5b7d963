"""The samples of a quantization: what it is calibrated on, and the labelled images its accuracy is measured on."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from arithmos.cli.download import download
from arithmos.cli.subject import Subject
from arithmos.errors import UsageError
from arithmos.ir.graph import Graph
from arithmos.train.data.array import load_array
from arithmos.train.data.datasets import find, stream
from arithmos.train.data.preparation import Preparation

Batch = np.ndarray | dict[str, np.ndarray]


@dataclass(frozen=True, slots=True)
class Samples:
    """Calibration batches, labelled batches (streamed once), and what report.json says of both."""

    calibration: list[Batch]
    labelled: Iterator[tuple[np.ndarray, np.ndarray]]
    origin: dict[str, Any] = field(default_factory=dict)


def from_file(path: Path, preparation: Preparation | None, *, n: int, batch_size: int) -> Samples:
    """The user's own arrays, at most n samples of them; there are no labels. Raises UsageError for a bad file.

    Their numbers are those that the float network reads, integers too: pixels of 0 to 255 are no pixels in [0, 1].
    """
    loaded = load_array(path, preparation or Preparation())
    size = min(n, len(loaded) if isinstance(loaded, np.ndarray) else min(len(a) for a in loaded.values()))
    starts = range(0, size, batch_size)
    batches = [_rows(loaded, s, min(s + batch_size, size)) for s in starts]
    return Samples(batches, iter(()), {"calibration": f"{size} samples of {path.name}"})


def from_dataset(
    name: str,
    data_dir: Path | None,
    preparation: Preparation | None,
    *,
    n: int,
    n_labelled: int,
    batch_size: int,
    split: str = "train",
) -> Samples:
    """n images of a split, and n_labelled of the test split; where both are one split they share no image."""
    dataset = find(name)
    chosen = [
        images for images, _ in stream(name, split, data_dir, batch_size=batch_size, limit=n, preparation=preparation)
    ]
    n_found = sum(map(len, chosen))
    origin = {
        "calibration": f"{n_found} images of {name}, {split} split",
        "data_source": dataset.source,
        "dataset": name,
    }
    if not n_labelled:
        return Samples([*chosen], iter(()), origin)
    skipped = n_found if split == "test" else 0
    labelled = stream(
        name, "test", data_dir, batch_size=batch_size, limit=skipped + n_labelled, preparation=preparation
    )
    origin["evaluated_on"] = f"{name}, test split" + (f", without the {skipped} for calibration" if skipped else "")
    return Samples([*chosen], without(labelled, skipped), origin)


def samples_of(subject: Subject, given: Mapping[str, Any], *, required: bool) -> Samples | None:
    """What the flags --calibration, or --data-dir and --dataset, name; None where nothing is and nothing must be."""
    n, size = given["n_calibration"], given["batch_size"]
    if given["calibration"]:
        return from_file(given["calibration"], subject.preparation, n=n, batch_size=size)
    if subject.dataset and (given["data_dir"] or required):
        if given.get("with_download") and required:
            download(subject.dataset, given["data_dir"])
        chosen = {"n": n, "n_labelled": given["n_labelled"], "batch_size": size, "split": given["calibration_split"]}
        return from_dataset(subject.dataset, given["data_dir"], subject.preparation, **chosen)
    if required:
        raise UsageError(
            "there is nothing to calibrate on",
            why="ranges of activations are measured on samples",
            fix="give --data-dir (and --dataset), or your own arrays with --calibration FILE",
        )
    return None


def as_real(net: Graph, arrays: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Samples as calibration reads them: integers are real numbers too, except where the network counts (token ids).

    Given to an integer network as they are, integers would be taken for values of its grid: that is `run --input`.
    """
    return {
        name: array.astype(np.float32) if net.values[name].scale is not None and array.dtype.kind != "f" else array
        for name, array in arrays.items()
    }


def size(batch: Batch) -> int:
    """How many samples a batch has."""
    return len(batch) if isinstance(batch, np.ndarray) else max(map(len, batch.values()))


def first(batches: list[Batch], n: int) -> Batch:
    """The first n samples of the batches, at most those of the first one."""
    return _rows(batches[0], 0, n)


def _rows(batch: Batch, start: int, stop: int) -> Batch:
    return batch[start:stop] if isinstance(batch, np.ndarray) else {name: a[start:stop] for name, a in batch.items()}


def without(batches: Iterator[tuple[np.ndarray, np.ndarray]], n: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """The batches without their first n images."""
    for images, labels in batches:
        drop = min(n, len(images))
        n -= drop
        if drop < len(images):
            yield images[drop:], labels[drop:]
