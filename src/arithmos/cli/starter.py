"""The starter recipe: every field with its default, and every node as a commented override to fill in."""

from __future__ import annotations

import arithmos
from arithmos.cli.subject import Subject
from arithmos.lower.quantize import prepare
from arithmos.lower.recipe import Recipe, as_toml


def starter_recipe(subject: Subject, recipe: Recipe) -> str:
    """The text of recipe.toml; a node is named by its module path, or by its value where it comes from no module."""
    graph = prepare(arithmos.trace(subject.network, subject.example))
    nodes: dict[str, str] = {}
    for node in graph.nodes:
        name = graph.values[node.output].source.module or node.output
        nodes[name] = f"{nodes[name]}, {node.op}" if name in nodes else node.op
    return as_toml(recipe, nodes)
