"""Results on stdout: text for people, or one JSON document."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import click


def answer(document: Any, text: str, *, as_json: bool) -> None:
    """Print the document as JSON, or the text."""
    click.echo(json.dumps(document, indent=1) if as_json else text.rstrip("\n"))


def table(header: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    """Columns aligned by spaces; numbers to the right with thousands separated, everything else to the left."""
    cells = [[_cell(x) for x in row] for row in rows]
    right = [bool(rows) and all(type(row[i]) in (int, float) for row in rows) for i in range(len(header))]
    widths = [max(len(line[i]) for line in [list(header), *cells]) for i in range(len(header))]
    lines = [
        "  ".join(c.rjust(w) if r else c.ljust(w) for c, w, r in zip(line, widths, right, strict=True)).rstrip()
        for line in [list(header), *cells]
    ]
    return "\n".join(lines)


def _cell(x: Any) -> str:
    if isinstance(x, bool) or x is None:
        return {True: "yes", False: "no", None: ""}[x]
    return f"{x:,}" if isinstance(x, int) else f"{x:,.2f}" if isinstance(x, float) else str(x)
