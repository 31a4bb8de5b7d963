"""The rows on disk: appended whole or not at all, a torn end is mended, a full disk loses nothing."""

from __future__ import annotations

import errno
import json
import os
from pathlib import Path
from typing import Any

import pytest

from arithmos.errors import UsageError
from arithmos.sweep.columns import NAMES
from arithmos.sweep.store import OTHER_RUNS, RUNS, append, read_rows, set_aside


def row(digest: str, **known: Any) -> dict[str, Any]:
    return {**dict.fromkeys(NAMES), "Digest": digest, "Status": "done", **known}


def test_rows_come_back_as_they_were(tmp_path: Path) -> None:
    assert read_rows(tmp_path) == {}
    rows = [row("a", **{"Bits": 3, "CNN_Alphabet_Scalar": 1.05, "Fusion": True}), row("b", **{"Layer Errors": "ä=1"})]
    for one in rows:
        append(tmp_path, one)
    assert list(read_rows(tmp_path).values()) == rows
    assert (tmp_path / RUNS).read_bytes().count(b"\n") == 2


def test_the_last_row_of_a_run_counts(tmp_path: Path) -> None:
    append(tmp_path, row("a", Status="it failed"))
    append(tmp_path, row("a"))
    assert read_rows(tmp_path)["a"]["Status"] == "done"


@pytest.mark.parametrize("torn", [b"{", b'{"Digest": "b", "Status": "done"}', b"\x00" * 70000, b"\xff"])
def test_a_torn_last_line_is_left_out_and_then_written_over(tmp_path: Path, torn: bytes) -> None:
    append(tmp_path, row("a"))
    whole = (tmp_path / RUNS).read_bytes()
    (tmp_path / RUNS).write_bytes(whole + torn)
    assert list(read_rows(tmp_path)) == ["a"]
    append(tmp_path, row("b"))
    assert list(read_rows(tmp_path)) == ["a", "b"] and (tmp_path / RUNS).read_bytes().startswith(whole + b"{")


def test_a_file_that_is_one_torn_line_begins_anew(tmp_path: Path) -> None:
    (tmp_path / RUNS).write_bytes(b'{"Digest": "a"')
    append(tmp_path, row("b"))
    assert list(read_rows(tmp_path)) == ["b"]


@pytest.mark.parametrize(
    ("line", "why"),
    [
        (b"not json", "Expecting value"),
        (b'{"Digest": "a"}', "its columns are others"),
        (b"[1]", "'list' object has no attribute 'keys'"),
        (b"\xff\xff", "codec can't decode"),
        (json.dumps(row("a", **{"Quantized Top1 Accuracy": 7.5})).encode(), "Quantized Top1 Accuracy cannot be so"),
        (json.dumps(row("a", Bits="abc", Fusion=1)).encode(), "Bits, Fusion cannot be so"),
    ],
)
def test_any_other_line_that_is_no_row_is_refused(tmp_path: Path, line: bytes, why: str) -> None:
    append(tmp_path, row("a"))
    append(tmp_path, row("b"))
    first, second, _ = (tmp_path / RUNS).read_bytes().split(b"\n")
    (tmp_path / RUNS).write_bytes(b"\n".join([first, line, second, b""]))
    with pytest.raises(UsageError, match="a line of the results cannot be read") as caught:
        read_rows(tmp_path)
    assert why in caught.value.why and caught.value.where == f"{tmp_path / RUNS}, line 2"


@pytest.mark.parametrize("failing", ["write", "fsync"])
def test_a_full_disk_keeps_every_row_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failing: str) -> None:
    append(tmp_path, row("a"))
    before = (tmp_path / RUNS).read_bytes()

    def full(*_: Any) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    real_write = os.write
    if failing == "write":  # half of the line still fits
        calls = iter([lambda d, data: real_write(d, data[: len(data) // 2]), full])
        monkeypatch.setattr(os, "write", lambda d, data: next(calls)(d, data))
    else:
        monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(UsageError) as caught:
        append(tmp_path, row("b"))
    monkeypatch.undo()
    assert str(caught.value) == (
        "the disk is full\n"
        f"  at   {tmp_path / RUNS}\n"
        "  why  the row of a run that had just ended does not fit on it; those of all runs before are kept\n"
        "  fix  free some space and give the same command again: it goes on from there"
    )
    assert (tmp_path / RUNS).read_bytes() == before
    append(tmp_path, row("b"))
    assert list(read_rows(tmp_path)) == ["a", "b"]


def test_writes_that_the_system_cuts_short_are_gone_on_with(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = os.write
    monkeypatch.setattr(os, "write", lambda descriptor, data: real(descriptor, data[:7]))
    append(tmp_path, row("a"))
    assert json.loads((tmp_path / RUNS).read_text()) == row("a")


def test_other_errors_of_the_system_are_not_taken_for_a_full_disk(tmp_path: Path) -> None:
    (tmp_path / RUNS).mkdir()
    with pytest.raises(IsADirectoryError):
        append(tmp_path, row("a"))


def test_rows_of_another_grid_are_set_aside_and_none_is_lost(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in "abc":
        append(tmp_path, row(name))
    set_aside(tmp_path, {"a", "b", "c", "d"})
    assert not (tmp_path / OTHER_RUNS).exists()
    monkeypatch.setattr(os, "replace", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        set_aside(tmp_path, {"b"})
    assert list(read_rows(tmp_path)) == ["a", "b", "c"]
    monkeypatch.undo()
    set_aside(tmp_path, {"b"})
    assert list(read_rows(tmp_path)) == ["b"]
    others = [json.loads(line)["Digest"] for line in (tmp_path / OTHER_RUNS).read_text().splitlines()]
    assert set(others) == {"a", "c"}
