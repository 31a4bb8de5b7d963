"""The pictures of one split where they lie: labels in memory, pictures read one at a time."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from arithmos.errors import UsageError

Read = Callable[[int], bytes | np.ndarray]
"""row -> the encoded picture, or its uint8 pixels (height, width) or (height, width, 3). Can be pickled."""


class CorruptPicture(UsageError):
    """A picture that cannot be read or decoded: the one kind of error that may be skipped."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a layout is asked for: the split, the names it may have in files, and the classes of the data set."""

    dataset: str
    split: str
    names: tuple[str, ...]
    n_classes: int


@dataclass(frozen=True, slots=True)
class Split:
    """The pictures of a split in the order of their files, of which none was decoded yet.

    labels: (n,) int64. place: row -> the file, and the row in it, for messages. listing: sha256 of file names and
    sizes. classes: their names where the files say them. blocks: the first row of each stretch of rows that only comes
    as a whole (empty: every picture can be read alone).
    """

    layout: str
    where: Path
    labels: np.ndarray
    read: Read
    place: Callable[[int], str]
    listing: Callable[[], str]
    classes: tuple[str, ...] = ()
    blocks: tuple[int, ...] = ()


def listing_of(files: Iterable[Path], root: Path) -> str:
    """sha256 over the names (relative to root) and sizes of the files: tells versions apart without reading them."""
    lines = [f"{file.relative_to(root).as_posix()} {file.stat().st_size}\n" for file in sorted(files)]
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def check_labels(split: Split, wanted: Wanted) -> Split:
    """The split as it is. Raises UsageError where a label is no class of the data set: the first ten are named."""
    wrong = np.flatnonzero((split.labels < 0) | (split.labels >= wanted.n_classes))
    if len(wrong):
        named = [f"{split.place(int(row))}: {split.labels[row]}" for row in wrong[:10]]
        raise UsageError(
            f"{len(wrong):,} of {len(split.labels):,} labels are no class of data set '{wanted.dataset}'",
            where=str(split.where),
            why="\n".join([f"its classes are 0 to {wanted.n_classes - 1}", *named, *["…"] * (len(wrong) > 10)]),
            fix="check --dataset and --data-dir; a test split without labels cannot be used",
        )
    return split
