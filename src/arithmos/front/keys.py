"""The keys of a network's outputs: what forward calls them in the dictionary that it returns."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from torch.export import ExportedProgram
from torch.utils import _pytree

from arithmos.ir.graph import Graph
from arithmos.passes.rename import rename


def output_keys(program: ExportedProgram) -> list[str]:
    """One text for each output that forward returns: its keys joined by points, "" for one that has none."""
    spec = program.call_spec.out_spec
    if spec is None:
        return []
    return [".".join(path) for path in _paths(_pytree.tree_unflatten(range(spec.num_leaves), spec))]


def keyed(graph: Graph, keys: list[str]) -> Graph:
    """The graph whose outputs have their keys as names; an output without key, or whose key is taken, keeps its own.

    keys: one for each output of the graph. A value that stands under two keys has the first.
    """
    chosen: dict[str, str] = {}
    for name, key in zip(graph.outputs, keys, strict=True):
        if key and key not in graph.values and key not in chosen.values():
            chosen.setdefault(name, key)
    return rename(graph, chosen)


def _paths(returned: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """The keys that lead to each leaf, in order; positions in tuples and lists count only inside dictionaries."""
    if isinstance(returned, Mapping):
        for key, item in returned.items():
            yield from _paths(item, (*path, str(key)))
    elif isinstance(returned, list | tuple):
        for position, item in enumerate(returned):
            yield from _paths(item, (*path, str(position)) if path else path)
    else:
        yield path
