"""Renaming of values: integers and structure stay, names change."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from itertools import count

from arithmos.ir.graph import Graph


def rename(graph: Graph, names: Mapping[str, str]) -> Graph:
    """The graph with names[old] for old; a value that had the new name becomes NAME.rounded. Inputs keep theirs."""
    chosen = {old: new for old, new in names.items() if old != new and {old, new}.isdisjoint(graph.inputs)}
    for name in {new for new in chosen.values() if new in graph.values and new not in chosen}:
        chosen[name] = next(free for free in _numbered(f"{name}.rounded") if free not in graph.values)

    def new(name: str) -> str:
        return chosen.get(name, name)

    return Graph(
        graph.op_set,
        tuple(replace(n, inputs=tuple(map(new, n.inputs)), output=new(n.output)) for n in graph.nodes),
        {new(name): replace(value, name=new(name)) for name, value in graph.values.items()},
        {new(name): array for name, array in graph.constants.items()},
        graph.inputs,
        tuple(map(new, graph.outputs)),
    )


def _numbered(name: str) -> Iterator[str]:
    yield name
    yield from (f"{name}.{number}" for number in count(1))
