"""The results folder: made, entered again, and refused where it is something else's or another grid's."""

from __future__ import annotations

from pathlib import Path

import pytest

from arithmos.atomic import MARKER
from arithmos.errors import UsageError
from arithmos.sweep.folder import is_sweep, opened, refuse_other


def test_a_new_folder_is_a_sweep_at_once_and_is_entered_again(tmp_path: Path) -> None:
    out = tmp_path / "a" / "sweep"
    with opened(out):
        assert is_sweep(out)
        with pytest.raises(UsageError, match="a sweep is running in this folder"), opened(out):
            pass
    (out / ".arithmos-0123").mkdir()  # what a killed process was writing
    with opened(out):
        assert not (out / ".arithmos-0123").exists()
    assert {"runs.jsonl", "results.csv", "shared/"} <= set((out / MARKER).read_text().split("\n"))


@pytest.mark.parametrize("holds", ["nothing", "notes", "a bundle"])
def test_what_is_no_sweep_is_refused_and_left(tmp_path: Path, holds: str) -> None:
    out = tmp_path / "out"
    out.mkdir()
    if holds == "notes":
        (out / "notes.txt").write_text("mine")
    elif holds == "a bundle":
        (out / MARKER).write_text("graph.json\n")
    before = sorted(p.name for p in out.iterdir())
    with pytest.raises(UsageError) as caught, opened(out):
        pass
    assert str(caught.value) == (
        f"{out} is not the folder of a sweep\n"
        f"  at   {out}\n"
        "  why  it exists, and no sweep was begun in it\n"
        "  fix  name a folder that does not exist yet, or that of a sweep to go on with"
    )
    assert sorted(p.name for p in out.iterdir()) == before


def test_a_grid_may_grow_and_not_change(tmp_path: Path) -> None:
    refuse_other(tmp_path, ["a", "b"], ["a", "b", "c"], [])
    refuse_other(tmp_path, [], ["c"], ["grid bits: 1 there, 2 here"])
    with pytest.raises(UsageError) as caught:
        refuse_other(tmp_path, ["a", "b"], ["b", "c"], ["grid bits: 1, 2 there, 2, 3 here"])
    assert str(caught.value) == (
        "this folder holds another sweep: 1 of its runs is not of this grid\n"
        f"  at   {tmp_path}\n"
        "  why  grid bits: 1, 2 there, 2, 3 here\n"
        "  fix  give the same grid or a larger one, or another folder with --out; --force moves them to "
        "other_runs.jsonl"
    )
    with pytest.raises(UsageError, match="2 of its runs are not of this grid") as caught:
        refuse_other(tmp_path, ["a", "b"], ["c"], [])
    assert caught.value.why == "the weights or the images are others, or the program is"
