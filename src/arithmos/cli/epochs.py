"""A training on stderr: a bar inside every epoch, and a line when it ends."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sized
from typing import Any

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeRemainingColumn

from arithmos.train.task import Epoch


def shown() -> bool:
    """Whether the verb that runs shows its progress: on a terminal, with -v anywhere, with -q nowhere."""
    chosen = click.get_current_context().meta.get("arithmos.verbosity")
    return chosen != "quiet" and (Console(stderr=True).is_terminal or chosen == "verbose")


class Epochs:
    """The epochs of one training, shown as they pass. A class: it knows how many there are and where they go."""

    def __init__(self, total: int, *, visible: bool) -> None:
        self._total, self._visible, self._console = total, visible, Console(stderr=True)

    def watch(self, epoch: int, batches: Iterable[Any]) -> Iterator[Any]:
        """The batches, with a bar that says how far the epoch is and how long it will take."""
        columns = (SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
        live = self._visible and self._console.is_terminal
        n = len(batches) if isinstance(batches, Sized) else None
        with Progress(*columns, TimeRemainingColumn(), console=self._console, transient=True, disable=not live) as bar:
            yield from bar.track(batches, total=n, description=f"epoch {epoch}/{self._total}")

    def report(self, epoch: Epoch) -> None:
        """One line: loss, held-out accuracy, learning rate, speed."""
        if self._visible:
            width = len(str(self._total))
            self._console.print(
                f"epoch {epoch.epoch:{width}}/{self._total}  loss {epoch.loss:.4f}  "
                f"held out {100 * epoch.accuracy:6.2f} %  rate {epoch.learning_rate:.2e}  "
                f"{epoch.images_per_s:9,.0f} images/s  {epoch.wall_s:.1f} s",
                highlight=False,
                soft_wrap=True,
            )
