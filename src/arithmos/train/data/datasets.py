"""The table of data sets, and reading them by name: whole, or in batches."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from types import MappingProxyType

import numpy as np

from arithmos.errors import UsageError
from arithmos.train.data import parquet
from arithmos.train.data.digits import digits
from arithmos.train.data.preparation import NORMALISATIONS, Preparation, normalise

Batch = tuple[np.ndarray, np.ndarray]
"""(images float32 NCHW, normalised; labels int64)."""

_SUBFOLDERS = ("", "data", "plain_text")
_SHARD = re.compile(r"-(\d{5})-of-(\d{5})\.parquet$")


@dataclass(frozen=True, slots=True)
class Dataset:
    """A data set: classes, side of a prepared picture in pixels, preparation, and where its files lie.

    splits: "train" and "test" -> the name in its files. folders: names tried under the data folder; none: embedded.
    """

    name: str
    classes: int
    size: int
    preparation: Preparation
    splits: Mapping[str, str]
    folders: tuple[str, ...]
    source: str


_CIFAR10_MEAN, _CIFAR10_STD = NORMALISATIONS["cifar10"]
_IMAGENET_MEAN, _IMAGENET_STD = NORMALISATIONS["imagenet"]

DATASETS: Mapping[str, Dataset] = MappingProxyType(
    {
        "digits": Dataset(
            name="digits",
            classes=10,
            size=8,
            preparation=Preparation(channels=1),
            splits={"train": "train", "test": "test"},
            folders=(),
            source="scikit-learn load_digits: Alpaydin, Kaynak, UCI, 1998",
        ),
        "cifar10": Dataset(
            name="cifar10",
            classes=10,
            size=32,
            preparation=Preparation(mean=_CIFAR10_MEAN, std=_CIFAR10_STD),
            splits={"train": "train", "test": "test"},
            folders=("cifar10",),
            source="Krizhevsky, Learning Multiple Layers of Features from Tiny Images, 2009",
        ),
        "imagenet": Dataset(
            name="imagenet",
            classes=1000,
            size=224,
            preparation=Preparation(short_side=256, crop=224, mean=_IMAGENET_MEAN, std=_IMAGENET_STD),
            splits={"train": "train", "test": "validation"},
            folders=("imagenet", "imagenet-1k", "imagenet-sample"),
            source="Russakovsky et al., ImageNet Large Scale Visual Recognition Challenge, arXiv:1409.0575",
        ),
    }
)
"""name -> data set. A model's own normalisation and input size go before those here: ModelEntry.preparation."""


def load(
    name: str,
    split: str,
    data_dir: Path | str | None = None,
    *,
    limit: int | None = None,
    preparation: Preparation | None = None,
) -> Batch:
    """The first `limit` pictures of a split (all: None) as one array: (images float32 NCHW normalised, labels int64).

    Parameters and errors as in `stream`.
    """
    batches = list(stream(name, split, data_dir, limit=limit, preparation=preparation))
    if not batches:
        raise UsageError(
            f"split '{split}' of data set '{name}' has no pictures",
            where=str(data_dir),
            why="its files have no rows",
            fix="fetch the split again",
        )
    return np.concatenate([images for images, _ in batches]), np.concatenate([labels for _, labels in batches])


def stream(
    name: str,
    split: str,
    data_dir: Path | str | None = None,
    *,
    batch_size: int = 100,
    limit: int | None = None,
    preparation: Preparation | None = None,
) -> Iterator[Batch]:
    """Batches of at most `batch_size` pictures of a split, in the order of its files, decoded as they are asked for.

    split: "train" or "test" (ImageNet's test labels are not public: "test" is its validation set).
    data_dir: the folder with the Parquet files, or one that has them in a folder named after the data set.
    preparation: the data set's own where None; give ModelEntry.preparation for a model's.
    Raises UsageError at once for an unknown name or split, a missing folder, missing files (all of them), and while
    reading for files that are damaged or belong to another data set; MissingTool without the libraries of "data".
    """
    dataset = find(name)
    prepared = preparation or dataset.preparation
    if split not in dataset.splits:
        raise UsageError(
            f"data set '{name}' has no split '{split}'",
            why=f"its splits are {', '.join(dataset.splits)}",
            fix="choose one of these",
        )
    for what, number in (("batch size", batch_size), ("limit", limit)):
        if number is not None and number < 1:
            raise UsageError(
                f"the {what} is {number}", why="at least one picture is read", fix="give a number from 1 on"
            )
    if dataset.folders:
        files = _find_files(dataset, dataset.splits[split], data_dir)
        batches = parquet.stream(files, prepared, batch_size=batch_size, limit=limit)
        where = str(files[0].parent)
    else:
        batches = _embedded(split, prepared, batch_size, limit)
        where = f"data set '{name}'"
    return _checked(dataset, prepared, batches, where)


def find(name: str) -> Dataset:
    """The data set called `name`. Raises UsageError with the nearest known name."""
    if name not in DATASETS:
        near = get_close_matches(name, DATASETS, n=1)
        raise UsageError(
            f"there is no data set '{name}'",
            why=f"the data sets are {', '.join(DATASETS)}",
            fix=f"did you mean '{near[0]}'?" if near else "choose one of these, or give images with --input",
        )
    return DATASETS[name]


def _embedded(split: str, preparation: Preparation, batch_size: int, limit: int | None) -> Iterator[Batch]:
    images, labels = (array[:limit] for array in digits("test" if split == "test" else "train"))
    for start in range(0, len(images), batch_size):
        rows = slice(start, start + batch_size)
        yield normalise(images[rows], preparation), labels[rows]


def _checked(dataset: Dataset, preparation: Preparation, batches: Iterator[Batch], where: str) -> Iterator[Batch]:
    """The batches as they are; raises where pictures or labels cannot belong to the data set."""
    side = preparation.crop or dataset.size
    expected = (preparation.channels, side, side)
    for images, labels in batches:
        problems = []
        if images.shape[1:] != expected:
            problems.append(f"pictures are {images.shape[1:]} and not {expected}")
        if labels.min() < 0 or labels.max() >= dataset.classes:
            problems.append(f"labels go from {labels.min()} to {labels.max()} and not from 0 to {dataset.classes - 1}")
        if problems:
            raise UsageError(
                f"this is not data set '{dataset.name}', or its labels are missing",
                where=where,
                why="; ".join(problems),
                fix="check --dataset and --data-dir",
            )
        yield images, labels


def _find_files(dataset: Dataset, split: str, data_dir: Path | str | None) -> list[Path]:
    """The split's Parquet files in the first folder that has any; the error says where they were looked for."""
    if data_dir is None:
        raise UsageError(
            f"data set '{dataset.name}' needs a data folder",
            why="its pictures are not part of arithmos",
            fix=f"give --data-dir, a folder with {split}-*.parquet as Hugging Face lays it out",
        )
    root = Path(data_dir).expanduser().absolute()
    if not root.is_dir():
        raise UsageError(
            "there is no such data folder" if not root.exists() else "the data folder is not a folder",
            where=str(root),
            why=f"the pictures of '{dataset.name}' are read from it",
            fix="check --data-dir",
        )
    folders = [root / folder / sub for folder in ("", *dataset.folders) for sub in _SUBFOLDERS]
    for folder in folders:
        files = sorted([*folder.glob(f"{split}-*.parquet"), *folder.glob(f"{split}.parquet")])
        if files:
            _check_shards(files)
            return files
    looked = ", ".join(str(folder.relative_to(root)) for folder in folders)
    raise UsageError(
        f"no pictures of split '{split}' of data set '{dataset.name}'",
        where=str(root),
        why=f"looked for {split}-*.parquet and {split}.parquet in {looked}",
        fix="check --data-dir, or fetch the split",
    )


def _check_shards(files: list[Path]) -> None:
    """Part of a split must not pass for the whole: files numbered 00000-of-00003 must all be there, and only they."""
    shards = [tuple(int(n) for n in found.groups()) for file in files if (found := _SHARD.search(file.name))]
    if not shards:
        return
    totals = {total for _, total in shards}
    missing = sorted(set(range(max(totals))) - {number for number, _ in shards})
    if len(totals) > 1 or missing:
        raise UsageError(
            f"the split is incomplete: {len(files)} of {max(totals)} files"
            if len(totals) == 1
            else "files of two versions",
            where=str(files[0].parent),
            why=f"missing: {', '.join(f'{n:05d}-of-{max(totals):05d}' for n in missing[:12])}"
            if len(totals) == 1
            else f"they are numbered of {' and of '.join(str(total) for total in sorted(totals))}",
            fix="fetch the missing files" if len(totals) == 1 else "keep the files of one version",
        )
