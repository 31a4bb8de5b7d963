"""`arithmos show`: a bundle's graph as text, Mermaid or JSON."""

from __future__ import annotations

from fnmatch import fnmatchcase
from pathlib import Path

import click

from arithmos.cli import flags
from arithmos.cli.output import answer, table
from arithmos.errors import UsageError
from arithmos.ir.codec import encode, load
from arithmos.ir.graph import Graph
from arithmos.ir.show import COLUMNS, as_mermaid, as_text, rows


@click.command("show")
@flags.bundle
@click.option("--mermaid", is_flag=True, help="A Mermaid flowchart.")
@click.option("--layer", metavar="GLOB", help="Only values whose name or module path matches.")
@flags.as_json
@flags.verbosity
def command(bundle: Path, mermaid: bool, layer: str | None, as_json: bool) -> None:
    """Print every value of BUNDLE: operation, shape, proven range, bits, scale, cost, source."""
    net = load(bundle)
    if mermaid:
        if layer or as_json:
            raise click.UsageError("--mermaid draws the whole graph: leave --layer and --json out.")
        answer(None, as_mermaid(net), as_json=False)
    elif layer is None:
        answer(encode(net) if as_json else None, "" if as_json else as_text(net), as_json=as_json)
    else:
        chosen = _matching(net, layer)
        document = [dict(zip(COLUMNS, row, strict=True)) for row in rows(net) if row[0] in chosen]
        answer(document, table(COLUMNS, [row for row in rows(net) if row[0] in chosen]), as_json=as_json)


def _matching(net: Graph, glob: str) -> set[str]:
    names = [*net.inputs, *(node.output for node in net.nodes)]
    chosen = {n for n in names if fnmatchcase(n, glob) or fnmatchcase(net.values[n].source.module, glob)}
    if not chosen:
        raise UsageError(
            f"no value matches '{glob}'",
            why=f"the values are {', '.join(names[:12])}{' …' * (len(names) > 12)}",
            fix="quote the glob: --layer 'layer1.*'",
        )
    return chosen
