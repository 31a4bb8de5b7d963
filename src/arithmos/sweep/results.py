"""The results of a sweep: runs that are still to be made, made one by one and kept, and all rows in grid order."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from arithmos.sweep.columns import DONE, row_of
from arithmos.sweep.configuration import Configuration
from arithmos.sweep.digest import digest
from arithmos.sweep.execute import outcomes
from arithmos.sweep.outcome import Failure, Work
from arithmos.sweep.store import append, read_rows

Row = dict[str, Any]


def by_digest(configurations: Sequence[Configuration]) -> dict[str, Configuration]:
    """{digest: configuration} in grid order; points of the same recipe are one run, that of the first."""
    found: dict[str, Configuration] = {}
    for configuration in configurations:
        found.setdefault(digest(configuration), configuration)
    return found


def pending(rows: Mapping[str, Row], wanted: Mapping[str, Configuration]) -> list[Configuration]:
    """The runs that have not ended well yet; those that failed are tried again."""
    return [c for name, c in wanted.items() if name not in rows or rows[name]["Status"] != DONE]


def made(
    folder: Path, tasks: Sequence[Configuration], work: Work, executor: str, workers: int | None
) -> Iterator[tuple[Configuration, Row]]:
    """Each run as it ends, its row on the disk. Closing the generator stops the others; what has ended is kept."""
    running = outcomes(work, tasks, executor, workers=workers)
    try:
        for task, outcome in running:
            row = row_of(task, {}, outcome.sentence) if isinstance(outcome, Failure) else row_of(task, outcome)
            append(folder, row)
            yield task, row
    finally:
        running.close()


def ordered(folder: Path, wanted: Mapping[str, Configuration]) -> list[Row]:
    """The rows of the folder in grid order, whatever order they were made in."""
    rows = read_rows(folder)
    return [rows[name] for name in wanted if name in rows]
