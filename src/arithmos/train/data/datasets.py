"""The table of data sets, and reading them by name: whole, or in batches."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from types import MappingProxyType

import numpy as np

from arithmos import settings
from arithmos.errors import UsageError
from arithmos.train.data.augment import Augmentation
from arithmos.train.data.decode import decode
from arithmos.train.data.digits import LARGEST_PIXEL
from arithmos.train.data.layouts.embedded import embedded
from arithmos.train.data.layouts.table import find_split
from arithmos.train.data.preparation import NORMALISATIONS, Preparation, scale
from arithmos.train.data.remotes import REMOTES
from arithmos.train.data.split import Split, Wanted

Batch = tuple[np.ndarray, np.ndarray]
"""(images float32 NCHW, normalised; labels int64)."""


@dataclass(frozen=True, slots=True)
class Dataset:
    """A data set: classes, side of a prepared picture in pixels, preparation, augmentation, and where its files lie.

    splits: "train" and "test" -> the names in its files. folders: names tried under the data folder; none: embedded.
    largest: the pixel that is 1.0.
    """

    classes: int
    size: int
    preparation: Preparation
    augmentation: Augmentation
    splits: Mapping[str, tuple[str, ...]]
    folders: tuple[str, ...]
    source: str
    largest: int = 255


_MNIST_MEAN, _MNIST_STD = NORMALISATIONS["mnist"]
_CIFAR10_MEAN, _CIFAR10_STD = NORMALISATIONS["cifar10"]
_IMAGENET_MEAN, _IMAGENET_STD = NORMALISATIONS["imagenet"]

_HELD_OUT = MappingProxyType({"train": ("train",), "test": ("test",)})
_VALIDATED = MappingProxyType({"train": ("train",), "test": ("validation", "val")})

DATASETS: Mapping[str, Dataset] = MappingProxyType(
    {
        "digits": Dataset(
            classes=10,
            size=8,
            preparation=Preparation(channels=1),
            augmentation=Augmentation(pad=1),
            splits=_HELD_OUT,
            folders=(),
            source="scikit-learn load_digits: Alpaydin, Kaynak, UCI, 1998",
            largest=LARGEST_PIXEL,
        ),
        "mnist": Dataset(
            classes=10,
            size=28,
            preparation=Preparation(channels=1, mean=_MNIST_MEAN, std=_MNIST_STD),
            augmentation=Augmentation(pad=2),
            splits=_HELD_OUT,
            folders=("mnist", "MNIST"),
            source="LeCun, Cortes, Burges, The MNIST database of handwritten digits, 1998",
        ),
        "cifar10": Dataset(
            classes=10,
            size=32,
            preparation=Preparation(mean=_CIFAR10_MEAN, std=_CIFAR10_STD),
            augmentation=Augmentation(pad=4, flip=True),
            splits=_HELD_OUT,
            folders=("cifar10", "cifar-10"),
            source="Krizhevsky, Learning Multiple Layers of Features from Tiny Images, 2009",
        ),
        "imagenet": Dataset(
            classes=1000,
            size=224,
            preparation=Preparation(short_side=256, crop=224, mean=_IMAGENET_MEAN, std=_IMAGENET_STD),
            augmentation=Augmentation(resized=True, flip=True),
            splits=_VALIDATED,
            folders=("imagenet", "imagenet-1k", "imagenet-sample", "ILSVRC/Data/CLS-LOC"),  # the last is Kaggle's
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
    """Batches of `batch_size` pictures of a split (the last may have fewer) in the order of its files.

    split: "train" or "test" (ImageNet's test labels are not public: "test" is its validation set).
    data_dir: the folder with its files in any of its layouts, or one that has them in a folder named after the data
    set; None: the cache. preparation: the data set's own where None; give ModelEntry.preparation for a model's.
    Pictures are decoded as they are asked for. Raises UsageError at once for an unknown name or split, a missing
    folder, missing files (all of them) and labels that are no class, and while reading for pictures that are damaged or
    of another data set; MissingTool without the libraries of "data".
    """
    for what, number in (("batch size", batch_size), ("limit", limit)):
        if number is not None and number < 1:
            raise UsageError(
                f"the {what} is {number}", why="at least one picture is read", fix="give a number from 1 on"
            )
    return _stream(open_split(name, split, data_dir), find(name), batch_size, limit, preparation)


def _stream(
    split: Split, dataset: Dataset, batch_size: int, limit: int | None, preparation: Preparation | None
) -> Iterator[Batch]:
    prepared = preparation or dataset.preparation
    n = min(len(split.labels), limit or len(split.labels))
    for start in range(0, n, batch_size):
        rows = range(start, min(start + batch_size, n))
        images = np.stack([picture(split, row, dataset, prepared) for row in rows])
        yield scale(images, prepared, dataset.largest), split.labels[rows.start : rows.stop]


def open_split(name: str, split: str, data_dir: Path | str | None = None) -> Split:
    """The split of data set `name` where it lies; no picture is decoded. Parameters and errors as in `stream`."""
    dataset = find(name)
    if split not in dataset.splits:
        raise UsageError(
            f"data set '{name}' has no split '{split}'",
            why=f"its splits are {', '.join(dataset.splits)}",
            fix="choose one of these",
        )
    wanted = Wanted(name, split, dataset.splits[split], dataset.classes)
    return find_split(_root(name, data_dir), wanted, dataset.folders) if dataset.folders else embedded(wanted)


def picture(
    split: Split, row: int, dataset: Dataset, preparation: Preparation, draws: np.ndarray | None = None
) -> np.ndarray:
    """uint8 (channels, height, width) as `decode` gives it; raises UsageError where the size is another data set's."""
    pixels = decode(split, row, preparation, draws)
    side = preparation.crop or preparation.short_side or dataset.size
    if pixels.shape[1:] != (side, side):
        raise UsageError(
            "the pictures are not those of this data set",
            where=split.place(row),
            why=f"they have {pixels.shape[2]}x{pixels.shape[1]} pixels and not {side}x{side}",
            fix="check --dataset and --data-dir",
        )
    return pixels


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


def data_cache(name: str) -> Path:
    """The folder of a data set in the cache, which need not exist."""
    return settings.cache_dir() / "data" / name


def _root(name: str, data_dir: Path | str | None) -> Path:
    if data_dir is None:
        root = data_cache(name)
        if root.is_dir():
            return root
        raise UsageError(
            f"data set '{name}' needs a data folder",
            where=str(root),
            why="its pictures are not part of arithmos, and the cache has none",
            fix="give --data-dir, a folder with them"
            + (f", or fetch them: arithmos data show {name} --download" if name in REMOTES else ""),
        )
    root = Path(data_dir).expanduser().absolute()
    if not root.is_dir():
        raise UsageError(
            "there is no such data folder" if not root.exists() else "the data folder is not a folder",
            where=str(root),
            why=f"the pictures of '{name}' are read from it",
            fix="check --data-dir",
        )
    return root
