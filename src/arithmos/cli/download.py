"""`--download`: the data set is fetched first where it is not there yet, with a bar for every file."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import click
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn

from arithmos.train.data.datasets import data_cache, find
from arithmos.train.data.fetch import fetch


def download(dataset: str, data_dir: Path | None) -> list[Path]:
    """The files of the data set, in --data-dir or the cache. Raises UsageError as `fetch`, and for an unknown name."""
    find(dataset)
    try:
        return fetch(dataset, data_dir or data_cache(dataset), bar=_bar)
    except KeyboardInterrupt as stop:
        raise KeyboardInterrupt("interrupted; what was fetched is kept, and the same command goes on") from stop


@contextmanager
def _bar(name: str, there: int, total: int) -> Iterator[Callable[[int], None]]:
    """A bar on stderr: on a terminal, with -v anywhere, with -q nowhere."""
    chosen = click.get_current_context().meta.get("arithmos.verbosity")
    console = Console(stderr=True)
    shown = chosen != "quiet" and (console.is_terminal or chosen == "verbose")
    columns = (
        *(TextColumn("{task.description}"), BarColumn(), DownloadColumn()),
        *(TransferSpeedColumn(), TimeRemainingColumn()),
    )
    with Progress(*columns, console=console, disable=not shown) as bar:
        task = bar.add_task(name, total=total, completed=there)
        yield lambda n: bar.advance(task, n)
