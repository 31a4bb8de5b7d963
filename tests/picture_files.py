"""Small data sets on the disk in every layout, with pixels drawn from a seed."""

from __future__ import annotations

import gzip
import io
import struct
import tarfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest


def pixels(n: int, side: int = 32, channels: int = 3, seed: int = 0) -> np.ndarray:
    """uint8 (n, side, side, channels), or (n, side, side) for one channel."""
    shape = (n, side, side, channels) if channels > 1 else (n, side, side)
    return np.random.default_rng(seed).integers(0, 256, shape).astype(np.uint8)


def encoded(picture: np.ndarray, kind: str = "png", mode: str | None = None) -> bytes:
    """The picture as the bytes of a file; mode: converted to it first ("CMYK", "L")."""
    pillow = pytest.importorskip("PIL.Image", reason='pip install "arithmos[data]"')
    buffer, image = io.BytesIO(), pillow.fromarray(picture)
    (image.convert(mode) if mode else image).save(buffer, kind)
    return buffer.getvalue()


def write_parquet(
    file: Path, pictures: Sequence[bytes | None], labels: Sequence[int | None], column: str = "img", **options: int
) -> None:
    """As Hugging Face lays it out; options go to pyarrow."""
    arrow = pytest.importorskip("pyarrow", reason='pip install "arithmos[data]"')
    parquet = pytest.importorskip("pyarrow.parquet")
    file.parent.mkdir(parents=True, exist_ok=True)
    rows = [{"bytes": picture, "path": None} for picture in pictures]
    kind = arrow.struct([("bytes", arrow.binary()), ("path", arrow.string())])
    table = arrow.table({column: arrow.array(rows, kind), "label": arrow.array(labels, arrow.int64())})
    parquet.write_table(table, file, **options)


def write_tree(root: Path, pictures: Sequence[bytes], classes: Sequence[str], suffix: str = ".png") -> None:
    """root/<class>/<number><suffix>."""
    for number, (picture, name) in enumerate(zip(pictures, classes, strict=True)):
        file = root / name / f"{number:04d}{suffix}"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(picture)


def write_tar(file: Path, members: dict[str, bytes], mode: str = "w") -> None:
    """A tar file of these members, in this order."""
    file.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(file, mode) as archive:  # type: ignore[call-overload]
        for name, content in members.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))


def write_idx(file: Path, array: np.ndarray) -> None:
    """An IDX file of bytes, gzipped where its name ends in .gz."""
    head = struct.pack(f">BBBB{array.ndim}I", 0, 0, 8, array.ndim, *array.shape)
    content = head + array.astype(np.uint8).tobytes()
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(gzip.compress(content) if file.suffix == ".gz" else content)


def cifar_batch(pictures: np.ndarray, labels: Sequence[int]) -> bytes:
    """A batch as Python 2 pickled it: protocol 2, byte strings, numpy under its old name. pictures: (n, 32, 32, 3)."""
    data = np.ascontiguousarray(pictures.transpose(0, 3, 1, 2)).tobytes()
    n = struct.pack("<i", len(pictures))
    array = (
        b"cnumpy.core.multiarray\n_reconstruct\nq\x06cnumpy\nndarray\nq\x07K\x00\x85U\x01b\x87Rq\x08"
        + b"(K\x01J" + n + b"M\x00\x0c\x86"
        + b"cnumpy\ndtype\nq\x09U\x02u1K\x00K\x01\x87Rq\x0a(K\x03U\x01|NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb"
        + b"\x89T" + struct.pack("<i", len(data)) + data + b"tb"
    )  # fmt: skip
    numbers = b"]q\x05(" + b"".join(b"K" + bytes([label]) for label in labels) + b"e"
    return (
        b"\x80\x02}q\x01(U\x0bbatch_labelq\x02U\x04testq\x03U\x06labelsq\x04" + numbers + b"U\x04data" + array + b"u."
    )


def cifar_meta(names: Sequence[str]) -> bytes:
    """batches.meta as Python 2 pickled it."""
    strings = b"".join(b"U" + bytes([len(name)]) + name.encode() for name in names)
    return b"\x80\x02}q\x01(U\x0blabel_namesq\x02](" + strings + b"eu."
