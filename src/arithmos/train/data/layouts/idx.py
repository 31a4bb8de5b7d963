"""MNIST's original files: an IDX array of pictures and one of labels, each as it is or gzipped.

IDX: two zero bytes, a type (8: uint8), the number of axes, each extent as 4 bytes big-endian, the values.
Source: Y. LeCun, C. Cortes, C. J. C. Burges, "The MNIST database of handwritten digits", 1998.
"""

from __future__ import annotations

import gzip
import struct
import zlib
from functools import partial
from pathlib import Path

import numpy as np

from arithmos.errors import UsageError
from arithmos.train.data.split import Split, Wanted, listing_of

STEMS = {"train": "train", "test": "t10k"}
PARTS = ("images-idx3-ubyte", "labels-idx1-ubyte")

_UINT8 = 8


def expected(wanted: Wanted) -> str:
    """The files looked for."""
    return " and ".join(f"{STEMS[wanted.split]}-{part}[.gz]" for part in PARTS)


def find(folder: Path, wanted: Wanted) -> Split | None:
    """The split in a folder of IDX files, None where neither of its two files is there.

    Raises UsageError where one of them is missing, cut off, longer than it says, or no IDX of bytes.
    """
    stem = STEMS[wanted.split]
    found = [_file(folder, stem, part) for part in PARTS]
    if not any(found):
        return None
    if missing := [f"{stem}-{part}" for part, file in zip(PARTS, found, strict=True) if file is None]:
        raise UsageError(
            "the split is incomplete: 1 of 2 files",
            where=str(folder),
            why=f"missing: {missing[0]}, with or without .gz",
            fix="fetch the missing file",
        )
    files = [file for file in found if file is not None]
    pictures, labels = (_read(file, axes) for file, axes in zip(files, (3, 1), strict=True))
    if len(pictures) != len(labels):
        raise UsageError(
            f"{len(pictures):,} pictures and {len(labels):,} labels",
            where=str(folder),
            why=f"{files[0].name} and {files[1].name} are not of one split",
            fix="fetch both files again",
        )
    return Split(
        layout="IDX",
        where=folder,
        labels=labels.astype(np.int64),
        read=pictures.__getitem__,
        place=f"{files[0]}, picture {{}}".format,
        listing=partial(listing_of, files, folder),
    )


def _file(folder: Path, stem: str, part: str) -> Path | None:
    # Both spellings are in use: the dash is the original's, the dot comes from some archives.
    names = [
        name
        for dashed in (f"{stem}-{part}", f"{stem}-{part.replace('-idx', '.idx')}")
        for name in (dashed, f"{dashed}.gz")
    ]
    return next((folder / name for name in names if (folder / name).is_file()), None)


def _read(file: Path, axes: int) -> np.ndarray:
    """The uint8 array in an IDX file of so many axes."""
    try:
        data = gzip.decompress(file.read_bytes()) if file.suffix == ".gz" else file.read_bytes()
    except (EOFError, OSError, zlib.error) as problem:
        raise _damaged(file, f"it is cut off or damaged: {problem}") from problem
    head = 4 + 4 * axes
    if len(data) < head or data[:2] != b"\0\0":
        raise _damaged(file, "it does not begin as an IDX file does")
    if data[2] != _UINT8 or data[3] != axes:
        raise _damaged(file, f"its values are of type {data[2]} on {data[3]} axes, and not bytes on {axes}")
    shape = struct.unpack(f">{axes}I", data[4:head])
    size = int(np.prod(shape, dtype=object))
    if len(data) - head != size:
        raise _damaged(file, f"it has {len(data) - head:,} values and says {size:,}: it is cut off or damaged")
    return np.frombuffer(data, np.uint8, offset=head).reshape(shape)


def _damaged(file: Path, why: str) -> UsageError:
    return UsageError("the IDX file cannot be read", where=str(file), why=why, fix="fetch it again")
