"""One block of memory for all intermediate values: those that never live at the same time share bytes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Life:
    """A piece of memory: how large, and the first and last step (both included) that touch it."""

    nbytes: int
    first: int
    last: int


def offsets(lives: Sequence[Life], alignment: int) -> tuple[list[int], int]:
    """(start of each piece, size of the block): no two pieces that live at the same step overlap.

    alignment: starts and size are its multiples, in bytes.

    Greedy by size: the largest piece first, each at the lowest start that is free during its whole life. Optimal
    placement is NP-hard; for chains of layers the result is the largest sum of neighbours, which is the optimum.
    """
    starts = [0] * len(lives)
    placed: list[int] = []
    for i in sorted(range(len(lives)), key=lambda i: (-lives[i].nbytes, i)):
        life, start = lives[i], 0
        rivals = (j for j in placed if lives[j].first <= life.last and life.first <= lives[j].last)
        for j in sorted(rivals, key=lambda j: starts[j]):
            if start + life.nbytes <= starts[j]:
                break
            start = max(start, _rounded(starts[j] + lives[j].nbytes, alignment))
        starts[i] = start
        placed.append(i)
    return starts, _rounded(max((starts[i] + life.nbytes for i, life in enumerate(lives)), default=0), alignment)


def _rounded(nbytes: int, alignment: int) -> int:
    return -(-nbytes // alignment) * alignment
