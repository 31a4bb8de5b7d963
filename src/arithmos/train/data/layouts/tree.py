"""A folder tree, one folder a class: train/<class>/…, val/<class>/…; a class is a name, a number or a wnid."""

from __future__ import annotations

import os
from functools import partial
from pathlib import Path

import numpy as np

from arithmos.errors import UsageError
from arithmos.train.data.classes import names_by_number, numbers_of
from arithmos.train.data.split import CorruptPicture, Split, Wanted, listing_of

SUFFIXES = (".jpeg", ".jpg", ".png", ".bmp", ".webp", ".ppm", ".pgm", ".tif", ".tiff")
"""Files that are pictures, in any case; others are left alone."""


def expected(wanted: Wanted) -> str:
    """The folders looked for."""
    return " or ".join(f"{name}/<class>/*.jpg, .png …" for name in wanted.names)


def find(folder: Path, wanted: Wanted) -> Split | None:
    """The split in a tree of class folders, None where there is none.

    Rows go class by class, in each by name. Raises UsageError where classes are missing, foreign or empty.
    """
    for name in wanted.names:
        root = folder / name
        classes = sorted(entry.name for entry in os.scandir(root) if _is_class(entry)) if root.is_dir() else []
        pictures = {found: _pictures(root / found) for found in classes}
        if any(pictures.values()):
            return _open(root, pictures, wanted)
    return None


def is_picture(name: str) -> bool:
    """Whether a file name is a picture's; hidden files (a Mac leaves some in archives) are none."""
    return name.lower().endswith(SUFFIXES) and not name.startswith(".")


def files_split(layout: str, root: Path, files: list[str], labels: np.ndarray, classes: tuple[str, ...]) -> Split:
    """A split of one file a picture, their paths relative to root."""
    return Split(
        layout=layout,
        where=root,
        labels=labels,
        read=partial(_read, root, files),
        place=partial(_place, root, files),
        listing=partial(_listing, root, files),
        classes=classes,
    )


def _open(root: Path, pictures: dict[str, list[str]], wanted: Wanted) -> Split:
    numbers = numbers_of(list(pictures), wanted, [root.parent, root])
    if empty := [name for name, files in pictures.items() if not files]:
        raise UsageError(
            f"{len(empty)} of {len(pictures)} class folders have no pictures",
            where=str(root),
            why=f"empty: {', '.join(empty[:8])}{', …' * (len(empty) > 8)}",
            fix="fetch or unpack the split again",
        )
    by_number = sorted(pictures, key=lambda name: (numbers[name], name))
    labels = np.repeat([numbers[name] for name in by_number], [len(pictures[name]) for name in by_number])
    files = [f"{name}/{file}" for name in by_number for file in pictures[name]]
    classes = names_by_number(numbers, wanted.n_classes)
    return files_split("folder tree", root, files, labels.astype(np.int64), classes)


def _is_class(entry: os.DirEntry[str]) -> bool:
    return entry.is_dir() and not entry.name.startswith(".")


def _pictures(folder: Path) -> list[str]:
    """Paths relative to the folder, at any depth (Tiny ImageNet has a folder `images` in each), sorted."""
    found = []
    for where, _, names in os.walk(folder):
        inside = os.path.relpath(where, folder)
        found += [os.path.normpath(os.path.join(inside, name)) for name in names if is_picture(name)]
    return sorted(found)


def _read(root: Path, files: list[str], row: int) -> bytes:
    file = root / files[row]
    try:
        return file.read_bytes()
    except OSError as problem:
        raise CorruptPicture(
            "a picture cannot be read", where=str(file), why=str(problem.strerror), fix="check the disk and the file"
        ) from problem


def _place(root: Path, files: list[str], row: int) -> str:
    return str(root / files[row])


def _listing(root: Path, files: list[str]) -> str:
    return listing_of([root / file for file in files], root)
