"""CIFAR-10's official Python archive, cifar-10-python.tar.gz, or the folder cifar-10-batches-py unpacked from it."""

from __future__ import annotations

import gzip
import tarfile
import zlib
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from arithmos.errors import UsageError
from arithmos.train.data.plain_pickle import read_plain
from arithmos.train.data.split import Split, Wanted, listing_of

ARCHIVE = "cifar-10-python.tar.gz"
FOLDER = "cifar-10-batches-py"
BATCHES = {"train": tuple(f"data_batch_{k}" for k in range(1, 6)), "test": ("test_batch",)}
META = "batches.meta"

_PIXELS = (3, 32, 32)
_LARGEST = 1 << 26
"""Bytes of a batch at most (an original one has 31 million): a small archive can hold a very large file."""


def expected(_: Wanted) -> str:
    """The file looked for."""
    return ARCHIVE


def expected_files(wanted: Wanted) -> str:
    """The files looked for."""
    return ", ".join(BATCHES[wanted.split])


def find_folder(folder: Path, wanted: Wanted) -> Split | None:
    """The split in an unpacked archive, None where there is no batch of either split.

    Raises UsageError where batches are missing, damaged, or hold anything but pixels and labels.
    """
    names = BATCHES[wanted.split]
    there = {path.name: path for path in folder.glob("*_batch*") if path.is_file()}
    if not set(there) & set(sum(BATCHES.values(), ())):
        return None
    _check_batches(names, set(there), folder)
    files = [there[name] for name in names]
    meta = folder / META
    data = {file.name: file.read_bytes() for file in (*files, *[meta] * meta.is_file())}
    return _split("CIFAR-10 batches", folder, data, names, files)


def find_archive(folder: Path, wanted: Wanted) -> Split | None:
    """The split in the archive, None where there is no such file. Raises UsageError as `find_folder`."""
    file = folder / ARCHIVE
    if not file.is_file():
        return None
    names, data = BATCHES[wanted.split], dict[str, bytes]()
    try:
        with gzip.open(file) as unpacked, tarfile.open(fileobj=unpacked) as archive:
            for member in archive:
                name = member.name.rpartition("/")[2]
                if member.isreg() and name in (*names, META) and member.size <= _LARGEST:
                    content = archive.extractfile(member)
                    assert content is not None  # of a regular file
                    data[name] = content.read()
            while unpacked.read(1 << 20):  # to its end, where its checksum is
                pass
    except (tarfile.TarError, EOFError, OSError, zlib.error) as problem:
        raise UsageError(
            "the archive cannot be read",
            where=str(file),
            why=f"it is cut off or damaged: {(str(problem) or type(problem).__name__).splitlines()[0]}",
            fix="fetch it again: a download that broke off leaves a part of it",
        ) from problem
    _check_batches(names, set(data), file)
    return _split("CIFAR-10 archive", file, data, names, [file])


def _check_batches(names: tuple[str, ...], there: set[str], where: Path) -> None:
    if missing := [name for name in names if name not in there]:
        raise UsageError(
            f"the split is incomplete: {len(names) - len(missing)} of {len(names)} files",
            where=str(where),
            why=f"missing: {', '.join(missing)}",
            fix=f"fetch and unpack {ARCHIVE} again",
        )


def _split(layout: str, where: Path, data: dict[str, bytes], names: tuple[str, ...], files: list[Path]) -> Split:
    batches = [_batch(read_plain(data[name], f"{where}, {name}"), f"{where}, {name}") for name in names]
    pixels = np.concatenate([images for images, _ in batches]).transpose(0, 2, 3, 1)
    sizes = np.cumsum([0, *(len(labels) for _, labels in batches)])
    return Split(
        layout=layout,
        where=where,
        labels=np.concatenate([labels for _, labels in batches]),
        read=pixels.__getitem__,
        place=partial(_place, where, names, sizes),
        listing=partial(listing_of, files, where if where.is_dir() else where.parent),
        classes=_class_names(data, f"{where}, {META}"),
    )


def _batch(content: dict[str, Any], where: str) -> tuple[np.ndarray, np.ndarray]:
    """(uint8 (n, 3, 32, 32), int64 (n,)): rows of 1,024 red, then green, then blue values."""
    pixels, labels = content.get("data"), content.get("labels")
    right = isinstance(pixels, np.ndarray) and pixels.dtype == np.uint8 and pixels.shape[1:] == (3072,)
    numbers = isinstance(labels, list) and all(type(label) is int for label in labels)
    if not right or not numbers or len(pixels) != len(labels):  # type: ignore[arg-type]
        raise UsageError(
            "this is no batch of CIFAR-10",
            where=where,
            why=f"'data' must be bytes of shape (n, 3072) and 'labels' n integers; it holds {', '.join(content)}",
            fix="give the Python version of CIFAR-10; CIFAR-100 is another data set",
        )
    assert isinstance(pixels, np.ndarray)
    return pixels.reshape(-1, *_PIXELS), np.asarray(labels, dtype=np.int64)


def _class_names(data: dict[str, bytes], where: str) -> tuple[str, ...]:
    names = read_plain(data[META], where).get("label_names") if META in data else None
    return tuple(map(str, names)) if isinstance(names, list) else ()


def _place(where: Path, names: tuple[str, ...], sizes: np.ndarray, row: int) -> str:
    k = int(np.searchsorted(sizes, row, side="right")) - 1
    return f"{where}, {names[k]}, row {row - sizes[k]}"
