"""Write an integer network in a target's own format."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from arithmos.atomic import output_dir
from arithmos.ir.graph import Graph, require_graph
from arithmos.targets.target import find, write


def export(graph: Graph, target: str, path: str | Path, *, force: bool = False, **options: Any) -> Path:
    """Write the target's files into the new directory `path` and return it; nothing exists there until all of it does.

    Raises UsageError for an unknown target, one without files, or an existing directory (unless force);
    UnsupportedNetwork listing every node the target lacks.
    """
    require_graph(graph)
    found = find(target)
    with output_dir(Path(path), force=force) as folder:
        write(graph, found, folder, **options)
    return Path(path)
