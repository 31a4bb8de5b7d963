"""Activations replaced by polynomials, given which one goes where: the last step from float graph to polynomials."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from arithmos.approx.composite import Composite
from arithmos.errors import UsageError
from arithmos.ir.build import Builder
from arithmos.ir.graph import Graph, Node
from arithmos.ir.ops.polynomial import Form


@dataclass(frozen=True, slots=True)
class Replacement:
    """relu: y = x (1 + p(x / bound)) / 2 + offset * bound, offset the composite's; value: y = gain * p(x / bound).

    bound: |x| <= bound is checked while running; None: p takes x itself, any x.
    """

    composite: Composite
    bound: float | None
    form: Form = "relu"
    gain: float = 1.0


def replace(prepared: Graph, replacements: Mapping[str, Replacement]) -> Graph:
    """The polynomial graph: nodes named in `replacements` by their outputs become polynomials, all else is copied.

    Value names stay. Equal coefficients are stored once. Every op left must be one of the polynomial op set.
    """
    builder = Builder("poly")
    stages: dict[bytes, str] = {}
    for name in prepared.inputs:
        value = prepared.values[name]
        builder.input(name, value.shape, source=value.source)
    for node in prepared.nodes:
        source = prepared.values[node.output].source
        if node.output in replacements:
            chosen = replacements[node.output]
            names = [_stage(builder, stages, node, i, c) for i, c in enumerate(chosen.composite.stages, 1)]
            offset = chosen.composite.offset if chosen.form == "relu" else 0.0
            attrs: dict[str, Any] = {"bound": chosen.bound, "form": chosen.form, "offset": offset, "gain": chosen.gain}
            builder.add("polynomial", node.inputs[0], *names, name=node.output, source=source, **attrs)
            continue
        for name in node.inputs:
            if name in prepared.constants and name not in builder.values:
                builder.constant(name, prepared.constants[name], source=prepared.values[name].source)
        builder.add(node.op, *node.inputs, name=node.output, source=source, **node.attrs)
    return builder.graph(*prepared.outputs)


def _stage(builder: Builder, stages: dict[bytes, str], node: Node, number: int, coefficients: np.ndarray) -> str:
    array = np.asarray(coefficients, dtype=np.float64)
    key = array.tobytes()
    if key not in stages:
        stages[key] = builder.constant(f"{node.output}.stage{number}", array)
    return stages[key]


def with_bounds(graph: Graph, bounds: Mapping[str, float]) -> Graph:
    """The polynomial graph with other bounds, by the polynomial's output.

    Coefficients are relative to B and stay, and so does the function where it scales with B: in the form "relu", and in
    "value" with gain B. Raises UsageError for other polynomials (of gelu, of sigmoid): on a wider range they would be
    those of another function.
    """
    refused = [n.output for n in graph.nodes if n.output in bounds and not _scales(n) and n.attrs["bound"] is not None]
    if refused:
        raise UsageError(
            f"the bounds of {len(refused)} polynomials cannot be raised",
            why="each was made for its own interval, outside it is another function: " + ", ".join(refused),
            fix="approximate again with a larger --margin, or calibrate on more images",
        )
    builder = Builder("poly")
    for name in graph.inputs:
        builder.input(name, graph.values[name].shape, source=graph.values[name].source)
    for name, array in graph.constants.items():
        builder.constant(name, array, source=graph.values[name].source)
    for node in graph.nodes:
        attrs: dict[str, Any] = dict(node.attrs)
        if node.output in bounds:
            bound = float(bounds[node.output])
            attrs |= {"bound": bound} | ({"gain": bound} if attrs["form"] == "value" else {})
        builder.add(node.op, *node.inputs, name=node.output, source=graph.values[node.output].source, **attrs)
    return builder.graph(*graph.outputs)


def _scales(node: Node) -> bool:
    """Whether B f(x / B) is the same function f for every B of this polynomial."""
    return bool(node.attrs["form"] == "relu" or node.attrs["gain"] == node.attrs["bound"])
