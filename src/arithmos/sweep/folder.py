"""The results folder: made or entered again, held by one sweep at a time, and refused where it is another grid's."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from arithmos.atomic import MARKER, expect, output_dir, remove_scratch
from arithmos.errors import UsageError
from arithmos.sweep.definition import FILE
from arithmos.sweep.lock import LOCK, locked
from arithmos.sweep.store import OTHER_RUNS, RUNS
from arithmos.sweep.table import CSV, PARQUET

BEST, SHARED = "best.toml", "shared"
FILES = (RUNS, OTHER_RUNS, CSV, PARQUET, FILE, BEST, LOCK, "index.html", "figures/", f"{SHARED}/")


@contextmanager
def opened(out: Path) -> Iterator[None]:
    """The folder of a new sweep, or of one that was begun, held within the block.

    Raises UsageError where something else is there, and where another process works in it.
    """
    if not out.exists():
        with output_dir(out) as folder:
            expect(folder, FILES)
    elif not is_sweep(out):
        raise UsageError(
            f"{out} is not the folder of a sweep",
            where=str(out.absolute()),
            why="it exists, and no sweep was begun in it",
            fix="name a folder that does not exist yet, or that of a sweep to go on with",
        )
    with locked(out):
        remove_scratch(out)  # of a process that was killed: nobody else writes here now
        yield


def is_sweep(out: Path) -> bool:
    """Whether a sweep was begun there."""
    marker = out / MARKER
    return marker.is_file() and RUNS in marker.read_text(errors="replace").split("\n")


def refuse_other(folder: Path, rows: Iterable[str], wanted: Iterable[str], differences: Iterable[str]) -> None:
    """Raise UsageError where the folder has runs that are not wanted: it is that of another grid.

    A grid that has only grown wants them all. rows, wanted: digests; differences: lines that say how the grids differ.
    """
    if foreign := set(rows) - set(wanted):
        raise UsageError(
            f"this folder holds another sweep: {len(foreign):,} of its runs {'are' if len(foreign) > 1 else 'is'} not "
            "of this grid",
            where=str(folder),
            why="\n".join(differences) or "the weights or the images are others, or the program is",
            fix=f"give the same grid or a larger one, or another folder with --out; --force moves them to {OTHER_RUNS}",
        )
