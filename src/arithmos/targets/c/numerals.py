"""Integer arrays as C initialisers: aligned columns, written in pieces, fast enough for tens of millions of weights."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from arithmos.targets.c.ctype import literal

PIECE = 1 << 18
"""Numbers formatted at a time: the memory is that of one piece, not of the array."""

WIDTH = 108
"""Characters of numbers in a line, about."""


def numerals(array: np.ndarray, row: int = 0) -> Iterator[bytes]:
    """The numbers of an array in C order, between { and }; the lines divide rows of `row` evenly if they can."""
    flat = np.ascontiguousarray(array).ravel()
    # The ends of the range have the longest literals, the comma and a space come on top.
    width = max(len(literal(int(end)).text) for end in (flat.min(initial=0), flat.max(initial=0))) + 2
    fit = max(1, WIDTH // width)
    line = max((n for n in range(fit // 2, fit + 1) if n and row % n == 0), default=fit) if row > fit // 2 else fit
    piece = max(1, PIECE // line) * line
    for start in range(0, flat.size, piece):
        yield _lines(flat[start : start + piece], width, line)


def _lines(flat: np.ndarray, width: int, line: int) -> bytes:
    lowest, highest = int(flat.min()), int(flat.max())
    if highest - lowest >= flat.size:
        cells = [f"{literal(int(n)).text + ',':>{width}}" for n in flat]
        return "".join("   " + "".join(cells[i : i + line]) + "\n" for i in range(0, len(cells), line)).encode()
    # A list of every number in the range as text of one width turns formatting into one indexed copy.
    known = np.array([f"{literal(n).text},".rjust(width) for n in range(lowest, highest + 1)], dtype=f"S{width}")
    whole = flat.size // line * line
    text = np.full((flat.size // line, 3 + line * width + 1), ord(" "), dtype=np.uint8)
    picked = known[flat.astype(np.int64) - lowest]
    text[:, 3:-1] = picked[:whole].view(np.uint8).reshape(-1, line * width)
    text[:, -1] = ord("\n")
    rest = b"   " + b"".join(picked[whole:].tolist()) + b"\n" if whole < flat.size else b""
    return text.tobytes() + rest
