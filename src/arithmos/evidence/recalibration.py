"""Recalibration: intervals and distributions as the approximate network has them, not as the exact one had."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any

from arithmos.errors import RangeEscape
from arithmos.ir.border import admit, named_inputs
from arithmos.ir.graph import Graph
from arithmos.lower.polynomial_recipe import PolynomialRecipe
from arithmos.lower.polynomials import choose
from arithmos.lower.prepared import Prepared
from arithmos.lower.replacement import Replacement, with_bounds
from arithmos.lower.replacement import replace as replaced
from arithmos.quant.observe import Observation, Observer
from arithmos.targets.clear import stream


def recalibrated(
    prepared: Prepared, recipe: PolynomialRecipe, batches: Callable[[], Iterable[Any]], *, rounds: int = 1
) -> dict[str, Replacement]:
    """{activation: polynomial} whose intervals and fits are those of the approximate network, after so many rounds.

    Each round runs the network of the last one over all batches and chooses every polynomial anew. What a layer reads
    depends on the layers before it alone, so after k rounds the first k + 1 are settled; the others are so to first
    order. batches: () -> calibration batches. Raises RangeEscape where a value of that network is not finite.
    """
    chosen = choose(prepared, recipe)
    for _ in range(rounds):
        seen = observed(replaced(prepared.graph, chosen), batches())
        prepared = replace(prepared, observations={**prepared.observations, **seen})
        chosen = choose(prepared, recipe)
    return chosen


def observed(net: Graph, batches: Iterable[Any]) -> dict[str, Observation]:
    """What the polynomials of a network read over the batches; bounds that are left are raised, silently."""
    read = {node.inputs[0]: node.output for node in net.nodes if node.op == "polynomial"}
    observers = {name: Observer() for name in read}
    for batch in batches:
        images = batch[0] if isinstance(batch, tuple) and len(net.inputs) == 1 else batch
        arrays = admit(net, named_inputs(net, images))
        seen: dict[str, Any] = {}
        while not seen.keys() >= read.keys():
            try:
                seen |= {name: array for name, array in stream(net, arrays) if name in read}
            except RangeEscape as escape:
                if not math.isfinite(escape.enough):
                    raise
                readers = [n.output for n in net.nodes if n.op == "polynomial" and n.inputs[0] == escape.value_name]
                net = with_bounds(net, dict.fromkeys(readers, escape.enough))
        for name, array in seen.items():
            observers[name].update(array)
    return {name: observer.observation() for name, observer in observers.items()}
