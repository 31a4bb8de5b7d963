"""The results on disk: one line of JSON a finished run, appended and synced; every table is made from these lines."""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from arithmos.atomic import output_file
from arithmos.errors import UsageError
from arithmos.sweep.columns import COLUMNS, NAMES, Column

RUNS, OTHER_RUNS = "runs.jsonl", "other_runs.jsonl"
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


def read_rows(folder: Path) -> dict[str, dict[str, Any]]:
    """{digest: row} of every run that was written there; of a run that was made twice, the last row.

    A last line without an end is that of a process that was killed while it wrote, and is left out. Raises UsageError
    for any other line that is no row: the file was changed by something else.
    """
    file = folder / RUNS
    if not file.exists():
        return {}
    *lines, _torn = file.read_bytes().split(b"\n")
    rows = {}
    for number, line in enumerate(lines, 1):
        try:
            row = json.loads(line)
            if row.keys() != set(NAMES):
                raise ValueError("its columns are others")
            if bad := [column.name for column in COLUMNS if not _fits(column, row[column.name])]:
                raise ValueError(f"{', '.join(bad)} cannot be so")
            rows[str(row["Digest"])] = row
        except (ValueError, AttributeError) as error:
            raise UsageError(
                "a line of the results cannot be read",
                where=f"{file}, line {number}",
                why=f"{error}; it was not written so",
                fix="remove that line, and its run is made again",
            ) from error
    return rows


def _fits(column: Column, value: Any) -> bool:
    """Whether a value can stand in the column: of its kind, shares from 0 to 1."""
    if value is None:
        return True
    if type(value) is not column.kind and (type(value), column.kind) != (int, float):
        return False
    return not column.name.endswith(("Accuracy", "Sparsity")) or 0 <= value <= 1


def set_aside(folder: Path, wanted: Collection[str]) -> None:
    """Move the rows of all other digests to other_runs.jsonl. Ended in the middle, it loses none: they are in both."""
    rows = read_rows(folder)
    others = [row for name, row in rows.items() if name not in wanted]
    for row in others:
        append(folder, row, OTHER_RUNS)
    if others:
        with output_file(folder / RUNS, force=True) as draft:
            draft.write_bytes(b"".join(_line(row) for name, row in rows.items() if name in wanted))


def append(folder: Path, row: Mapping[str, Any], name: str = RUNS) -> None:
    """Add a row: on the disk when this returns. What an earlier process left half written goes first.

    Raises UsageError where the disk is full; the rows before stay whole.
    """
    file = folder / name
    descriptor = os.open(file, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o666)
    try:
        end = _whole(descriptor)
        os.ftruncate(descriptor, end)
        try:
            _write(descriptor, _line(row))
            os.fsync(descriptor)
        except BaseException:
            os.ftruncate(descriptor, end)  # frees space, so it works on a full disk too
            raise
    except OSError as error:
        if error.errno not in _FULL:
            raise
        raise UsageError(
            "the disk is full",
            where=str(file),
            why="the row of a run that had just ended does not fit on it; those of all runs before are kept",
            fix="free some space and give the same command again: it goes on from there",
        ) from error
    finally:
        os.close(descriptor)


def _line(row: Mapping[str, Any]) -> bytes:
    return json.dumps(row, allow_nan=False).encode() + b"\n"


def _whole(descriptor: int) -> int:
    """The length of the file up to the end of its last whole line."""
    size = os.fstat(descriptor).st_size
    position = size
    while position > 0:
        start = max(0, position - 65536)
        found = os.pread(descriptor, position - start, start).rfind(b"\n")
        if found >= 0:
            return start + found + 1
        position = start
    return 0


def _write(descriptor: int, data: bytes) -> None:
    while data:
        data = data[os.write(descriptor, data) :]
