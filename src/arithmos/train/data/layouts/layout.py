"""A layout: how the files of a data set lie in a folder."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from arithmos.train.data.split import Split, Wanted


@dataclass(frozen=True, slots=True)
class Layout:
    """find(folder, wanted): the split, or None where the folder holds none in this layout.

    expects: the files looked for, for messages. subfolders: where they may lie under the folder ("": there itself).
    datasets: the data sets that come in it; none: any.
    """

    name: str
    find: Callable[[Path, Wanted], Split | None]
    expects: Callable[[Wanted], str]
    subfolders: tuple[str, ...] = ("",)
    datasets: tuple[str, ...] = ()
