"""WebDataset: tar files whose members share a name a sample: 0001.jpg, 0001.cls (or 0001.json with a label).

Source: Aizman, Maltby, Breuel, "High Performance I/O for Large Scale Deep Learning", arXiv:2001.01858.
"""

from __future__ import annotations

import json
import re
import tarfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np

from arithmos.errors import UsageError
from arithmos.train.data.layouts.tree import is_picture
from arithmos.train.data.split import CorruptPicture, Split, Wanted, listing_of

_NUMBERED = re.compile(r"(\d+)\.tar$")
_LABELS = ("cls", "json")
_LARGEST_LABEL = 1 << 20


class Index(NamedTuple):
    """Where each picture's bytes lie: the number of its file, the offset there, its size; and the sample's name."""

    files: np.ndarray
    offsets: np.ndarray
    sizes: np.ndarray
    names: list[str]


def expected(wanted: Wanted) -> str:
    """The files looked for."""
    return " or ".join(f"*{name}*-0000.tar …, {name}/*.tar" for name in wanted.names)


def find(folder: Path, wanted: Wanted) -> Split | None:
    """The split in the tar files of a folder, None where there are none.

    Nothing is unpacked: only where pictures lie is read. Raises UsageError where shards are missing, a file is cut off,
    or a sample lacks its picture or its label.
    """
    for name in wanted.names:
        named = re.compile(rf"(^|[-_.]){name}([-_.]|$)")
        beside = [file for file in folder.glob("*.tar") if named.search(file.stem) and _is_shard(file, name)]
        files = sorted(beside or (folder / name).glob("*.tar"))
        if files:
            _check_shards(files)
            return _open(files, folder)
    return None


def _is_shard(file: Path, name: str) -> bool:
    """ImageNet's own ILSVRC2012_img_val.tar is none: it holds no labels."""
    return file.stem == name or _NUMBERED.search(file.name) is not None


def _check_shards(files: list[Path]) -> None:
    numbers = [int(found[1]) for file in files if (found := _NUMBERED.search(file.name))]
    missing = sorted(set(range(min(numbers[0], 1), max(numbers) + 1)) - set(numbers)) if numbers else []
    if missing:
        raise UsageError(
            f"the split is incomplete: {len(files)} of at least {max(numbers) + 1 - min(numbers[0], 1)} files",
            where=str(files[0].parent),
            why=f"missing: the numbers {', '.join(map(str, missing[:12]))}{', …' * (len(missing) > 12)}",
            fix="fetch the missing files",
        )


def _open(files: list[Path], folder: Path) -> Split:
    samples = [(k, *sample) for k, file in enumerate(files) for sample in _samples(file)]
    index = Index(
        np.asarray([sample[0] for sample in samples], dtype=np.int32),
        np.asarray([sample[2] for sample in samples], dtype=np.int64),
        np.asarray([sample[3] for sample in samples], dtype=np.int64),
        [sample[1] for sample in samples],
    )
    return Split(
        layout="WebDataset",
        where=folder,
        labels=np.asarray([sample[4] for sample in samples], dtype=np.int64),
        read=partial(_read, files, index),
        place=partial(_place, files, index),
        listing=partial(listing_of, files, folder),
    )


def _samples(file: Path) -> Iterator[tuple[str, int, int, int]]:
    """(name, offset, size, label) of each sample of a tar file, in its order."""
    pictures: dict[str, tuple[int, int]] = {}
    labels: dict[str, int] = {}
    try:
        with tarfile.open(file, "r:") as archive:
            for member in archive:
                folder, _, base = member.name.rpartition("/")
                stem, _, suffix = base.partition(".")
                key = f"{folder}/{stem}" if folder else stem
                if not member.isreg() or not stem:
                    continue
                if is_picture(base):
                    pictures[key] = (member.offset_data, member.size)
                elif suffix in _LABELS and member.size <= _LARGEST_LABEL and (suffix == "cls" or key not in labels):
                    content = archive.extractfile(member)
                    assert content is not None  # of a regular file
                    label = _label(content.read(), suffix, f"{file}, {member.name}")
                    labels.update({} if label is None else {key: label})
        _check_end(file)
    except (tarfile.TarError, EOFError, OSError) as problem:
        raise UsageError(
            "the tar file cannot be read",
            where=str(file),
            why=f"it is cut off or is not tar: {(str(problem) or type(problem).__name__).splitlines()[0]}",
            fix="fetch it again and compare its size with the original",
        ) from problem
    if unmatched := sorted(set(pictures) ^ set(labels)):
        raise UsageError(
            f"{len(unmatched):,} samples lack their picture or their label",
            where=str(file),
            why=f"each needs a picture and .cls, or .json with a label: {', '.join(unmatched[:5])}"
            + ", …" * (len(unmatched) > 5),
            fix="write the shard again; a test split without labels cannot be used",
        )
    return ((key, *pictures[key], labels[key]) for key in pictures)


def _check_end(file: Path) -> None:
    """Tar files end in two empty blocks: one cut between two members would pass for a whole one."""
    with file.open("rb") as stream:
        stream.seek(-1024, 2)
        if stream.read().strip(b"\0"):
            raise tarfile.ReadError("its end is missing")


def _label(content: bytes, suffix: str, where: str) -> int | None:
    """The class in a .cls, or in a .json that has one."""
    try:
        if suffix == "cls":
            return int(content)
        document = json.loads(content)
        found = document.get("label", document.get("cls")) if isinstance(document, dict) else None
        return None if found is None else int(found)
    except (ValueError, TypeError) as problem:
        raise UsageError(
            "a label is no number",
            where=where,
            why=f"it reads {content[:40]!r}",
            fix="write the number of the class, counted from 0",
        ) from problem


def _read(files: list[Path], index: Index, row: int) -> bytes:
    file = files[index.files[row]]
    try:
        with file.open("rb") as stream:
            stream.seek(int(index.offsets[row]))
            content: bytes = stream.read(int(index.sizes[row]))
            return content
    except OSError as problem:
        raise CorruptPicture(
            "a picture cannot be read", where=str(file), why=str(problem.strerror), fix="check the disk and the file"
        ) from problem


def _place(files: list[Path], index: Index, row: int) -> str:
    return f"{files[index.files[row]]}, {index.names[row]}"
