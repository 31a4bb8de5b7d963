"""Parquet as Hugging Face lays it out: `img` or `image` = struct{bytes, path} or plain bytes, `label` = class."""

from __future__ import annotations

import json
import re
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from arithmos.errors import UsageError
from arithmos.extras import require
from arithmos.train.data.split import CorruptPicture, Split, Wanted, listing_of

IMAGE_COLUMNS = ("img", "image")
LABEL_COLUMN = "label"

N_KEPT = 8
"""Row groups a reader keeps: what `order` shuffles together, so that none is read twice for its neighbours."""

_SHARD = re.compile(r"-(\d{5})-of-(\d{5})(?:-[0-9a-f]+)?\.parquet$")


def expected(wanted: Wanted) -> str:
    """The files looked for."""
    return " or ".join(f"{name}-*.parquet, {name}.parquet, {name}/*.parquet" for name in wanted.names)


def find(folder: Path, wanted: Wanted) -> Split | None:
    """The split in the Parquet files of a folder, None where there are none.

    Raises UsageError for missing files of a numbered split, a file that is not Parquet or is cut off, and other
    columns; MissingTool without pyarrow.
    """
    for name in wanted.names:
        patterns = (f"{name}-*.parquet", f"{name}.parquet", f"{name}/*.parquet")
        if files := sorted(file for pattern in patterns for file in folder.glob(pattern)):
            _check_shards(files)
            return _open(files, folder)
    return None


class Group(NamedTuple):
    """A row group: its file, its number there, the row of the split it starts with, and the row of its file."""

    file: Path
    number: int
    start: int
    first: int


class Rows:
    """row -> the bytes of its picture. A class: it keeps the last row groups it has read, each process its own."""

    def __init__(self, groups: Sequence[Group], column: str) -> None:
        self._groups, self._column = groups, column
        self._kept: dict[int, Any] = {}

    def __call__(self, row: int) -> bytes:
        """The encoded picture. Raises UsageError where the row has none, or the file is damaged there."""
        block = bisect_right(self._groups, row, key=lambda group: group.start) - 1
        if block not in self._kept:
            while len(self._kept) >= N_KEPT:
                self._kept.pop(next(iter(self._kept)))
            self._kept[block] = _pictures(self._groups[block], self._column)
        data = self._kept[block][row - self._groups[block].start].as_py()
        if not isinstance(data, bytes):
            raise CorruptPicture(
                "a row holds no picture",
                where=_place(self._groups, row),
                why="its `bytes` are empty: the file refers to pictures stored elsewhere",
                fix="save the data set with the pictures embedded",
            )
        return data

    def __reduce__(self) -> tuple[Any, ...]:
        return Rows, (self._groups, self._column)


def _open(files: list[Path], folder: Path) -> Split:
    groups: list[Group] = []
    labels: list[np.ndarray] = []
    n, column, classes = 0, "", tuple[str, ...]()
    for file in files:
        first = n
        with _reading(file), closing(_table(file)) as table:
            column = _image_column(table.schema_arrow.names, file)
            classes = classes or _class_names(table.schema_arrow.metadata or {})
            for number in range(table.metadata.num_row_groups):
                groups.append(Group(file, number, n, n - first))
                n += table.metadata.row_group(number).num_rows
            labels.append(_labels(table, file))
    return Split(
        layout="Parquet",
        where=folder,
        labels=np.concatenate(labels),
        read=Rows(groups, column),
        place=partial(_place, groups),
        listing=partial(listing_of, files, folder),
        classes=classes,
        blocks=tuple(group.start for group in groups),
    )


def _table(file: Path) -> Any:
    return require("pyarrow.parquet", "data").ParquetFile(file, pre_buffer=False)


def _labels(table: Any, file: Path) -> np.ndarray:
    column = table.read([LABEL_COLUMN], use_threads=False).column(0)
    if column.null_count or not require("pyarrow", "data").types.is_integer(column.type):
        raise UsageError(
            f"column '{LABEL_COLUMN}' holds no classes",
            where=str(file),
            why=f"{column.null_count} of its {len(column)} rows are empty" if column.null_count else f"{column.type}",
            fix="write the number of the class, counted from 0, for every picture",
        )
    return np.asarray(column.to_numpy(), dtype=np.int64)


def _pictures(group: Group, column: str) -> Any:
    """The encoded pictures of one row group, a chunked array."""
    arrow, compute = require("pyarrow", "data"), require("pyarrow.compute", "data")
    with _reading(group.file), closing(_table(group.file)) as table:
        found = table.read_row_group(group.number, [column], use_threads=False).column(0)
    return compute.struct_field(found, "bytes") if arrow.types.is_struct(found.type) else found


def _image_column(columns: Sequence[str], file: Path) -> str:
    found = next((name for name in IMAGE_COLUMNS if name in columns), None)
    if found is None or LABEL_COLUMN not in columns:
        raise UsageError(
            f"the columns are {', '.join(columns)}",
            where=str(file),
            why=f"pictures are looked for in column {' or '.join(IMAGE_COLUMNS)}, classes in {LABEL_COLUMN}",
            fix="rename the columns, or give the images as .npy with --input",
        )
    return found


def _class_names(metadata: dict[bytes, bytes]) -> tuple[str, ...]:
    """The names that Hugging Face's own metadata give the labels; none where there are none."""
    try:
        names = json.loads(metadata[b"huggingface"])["info"]["features"][LABEL_COLUMN]["names"]
        return tuple(str(name) for name in names)
    except (KeyError, TypeError, ValueError):
        return ()


@contextmanager
def _reading(file: Path) -> Iterator[None]:
    arrow = require("pyarrow", "data")
    try:
        yield
    except (arrow.ArrowException, OSError, ValueError) as problem:
        reason = (str(problem).strip() or type(problem).__name__).splitlines()[0]
        raise UsageError(
            "the Parquet file cannot be read",
            where=str(file),
            why=f"it is cut off or is not Parquet: {reason}",
            fix="fetch it again and compare its size with the original",
        ) from problem


def _place(groups: Sequence[Group], row: int) -> str:
    group = groups[bisect_right(groups, row, key=lambda g: g.start) - 1]
    return f"{group.file}, row {row - group.start + group.first}"


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
