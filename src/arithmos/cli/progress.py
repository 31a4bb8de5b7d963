"""Progress on stderr: one line a step with its time and the peak memory, and bars inside a step."""

from __future__ import annotations

import resource
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import Any

import click
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    SpinnerColumn,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

Watch = Callable[[Iterable[Any]], Iterator[Any]]


@dataclass(frozen=True, slots=True)
class Step:
    """A finished step: wall time in seconds, and the peak memory of the process so far in megabytes."""

    step: str
    wall_s: float
    peak_mb: int


class Steps:
    """The steps of one verb, shown while they run and kept for report.json. A class: it lives as long as the verb."""

    def __init__(self, console: Console, shown: bool, verbose: bool = False) -> None:
        self.done: list[Step] = []
        self._console = console
        self._shown = shown
        self._verbose = verbose

    @contextmanager
    def step(self, name: str, total: int | None = None) -> Iterator[Watch]:
        """Time what runs inside; the line appears when it ends well. Yields `watch`, which shows how far a loop is."""
        start = time.perf_counter()
        bars = (BarColumn(), MofNCompleteColumn()) if total else ()
        left = (TextColumn("left"), TimeRemainingColumn()) if total else ()
        columns = (SpinnerColumn(), TextColumn("{task.description}"), *bars, TimeElapsedColumn(), *left)
        live = self._shown and self._console.is_terminal
        with Progress(*columns, console=self._console, transient=True, disable=not live) as bar:
            task = bar.add_task(name, total=total)

            def watch(items: Iterable[Any]) -> Iterator[Any]:
                for item in items:
                    yield item
                    bar.advance(task)

            yield watch
        self.done.append(Step(name, round(time.perf_counter() - start, 3), peak_mb()))
        if self._shown:
            self._console.print(
                f"{name:<28} {self.done[-1].wall_s:8.2f} s {self.done[-1].peak_mb:7,} MB", highlight=False
            )

    def note(self, text: str) -> None:
        """A line about what has just happened inside a step, for those who asked for it with -v."""
        if self._verbose:
            self._console.print(text, highlight=False, markup=False, soft_wrap=True)

    def facts(self) -> list[dict[str, Any]]:
        """The finished steps as plain data."""
        return [asdict(step) for step in self.done]


def steps() -> Steps:
    """The steps of the verb that runs: shown on a terminal, with -v anywhere, with -q nowhere."""
    chosen = click.get_current_context().meta.get("arithmos.verbosity")
    console = Console(stderr=True)
    verbose = chosen == "verbose"
    return Steps(console, chosen != "quiet" and (console.is_terminal or verbose), verbose)


def peak_mb() -> int:
    """The largest resident memory of this process so far."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return int(peak / (1 << 20 if sys.platform == "darwin" else 1 << 10))
