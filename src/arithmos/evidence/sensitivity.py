"""Sensitivity: what the output loses when one layer alone becomes a polynomial, measured for every candidate."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from arithmos.errors import UsageError
from arithmos.extras import require
from arithmos.ir.border import admit, named_inputs
from arithmos.ir.graph import Graph, Node
from arithmos.ir.ops.polynomial import levels, multiplications
from arithmos.lower.allocation import Option
from arithmos.lower.replacement import Replacement
from arithmos.targets.clear.kernel import Kernel, evaluate, kernel_of

Candidates = Mapping[str, Mapping[str, Replacement]]
"""{name of a candidate: {output of an activation: its polynomial}}, the same activations for all."""


@dataclass(frozen=True, slots=True)
class Sensitivity:
    """options: {layer: its candidates}, the loss the mean squared error of the output over n images, infinite where a
    value left its interval. reach: {layer: {candidate: largest |u| / B of any layer after it}}, 1 is the limit."""

    options: Mapping[str, tuple[Option, ...]]
    reach: Mapping[str, Mapping[str, float]] = field(repr=False)
    n: int

    @property
    def facts(self) -> dict[str, Any]:
        """As JSON: images, and for each layer and candidate its levels, multiplications, rms (None: escaped), reach."""
        return {
            "images": self.n,
            "layers": {
                layer: {
                    o.name: {
                        "levels": o.levels,
                        "multiplications": o.multiplications,
                        "rms": math.sqrt(o.loss) if math.isfinite(o.loss) else None,
                        "reach": self.reach[layer][o.name],
                    }
                    for o in row
                }
                for layer, row in self.options.items()
            },
        }

    @property
    def text(self) -> str:
        """A table: layers down, candidates across, root mean square error of the output; a dash where one escapes."""
        names = [option.name for option in next(iter(self.options.values()), ())]
        lines = [["layer", *names]]
        for layer, row in self.options.items():
            lines.append([layer, *(f"{math.sqrt(o.loss):.3g}" if math.isfinite(o.loss) else "–" for o in row)])
        first, *rest = (max(map(len, column)) for column in zip(*lines, strict=True))
        return "\n".join("  ".join([line[0].ljust(first), *map(str.rjust, line[1:], rest)]) for line in lines)


def sensitivity(
    graph: Graph,
    candidates: Candidates,
    batches: Iterable[Any],
    *,
    device: str = "cpu",
    report: Callable[[str], None] = lambda line: None,
) -> Sensitivity:
    """S[k][c] = mean over images and outputs of (F(x) with layer k replaced by candidate c - F(x))^2.

    graph: exact, as `prepared_for` makes it; batches: images as ar.run takes them, streamed; memory is all values of
    one batch. The exact values are computed once a batch, then only what depends on the replaced one. A candidate
    escapes where |u| > B of its own layer, or of every candidate of a later one that its error reaches. Float32.
    Raises UsageError for no candidates, no images, MissingTool without torch.
    """
    trials = _trials(graph, candidates)
    clear = require("arithmos.targets.clear.network", "torch")
    changed = require("arithmos.targets.clear.changed", "torch").changed
    network = clear.Network(graph, device)
    bounds = _bounds(graph, candidates)
    squares = {(layer, name): 0.0 for layer, row in trials.items() for name in row}
    reach = dict.fromkeys(squares, 0.0)
    n = numbers = 0
    for batch in batches:
        values = dict(network.values(admit(graph, named_inputs(graph, batch))))
        exact = {name: values[name] for name in graph.outputs}
        size = next(iter(exact.values())).shape[0]
        for layer, row in trials.items():
            source = values[_node(graph, layer).inputs[0]].contiguous()
            for name, kernel in row.items():
                out = source.new_empty(source.shape)
                own = evaluate(kernel, source, out) / _bound(candidates[name][layer])
                total, furthest = _effect(changed(network, values, layer, out), exact, bounds)
                squares[layer, name] += total
                reach[layer, name] = max(reach[layer, name], own if own > 1 else 0.0, furthest)
        n, numbers = n + size, numbers + sum(tensor.numel() for tensor in exact.values())
        report(f"{n} images")
    if n == 0:
        raise UsageError(
            "there are no images to measure sensitivities on",
            why="the iterable of batches was empty",
            fix="give training images; 256 are a good choice",
        )
    losses = {key: square / numbers if reach[key] <= 1 else math.inf for key, square in squares.items()}
    return Sensitivity(
        {
            layer: tuple(option(name, candidates[name][layer], losses[layer, name]) for name in row)
            for layer, row in trials.items()
        },
        {layer: {name: reach[layer, name] for name in row} for layer, row in trials.items()},
        n,
    )


def option(name: str, chosen: Replacement, loss: float) -> Option:
    """A polynomial as an option: its levels and multiplications with the product x (1 + p) / 2."""
    product = int(chosen.form == "relu")
    degrees = chosen.composite.degrees
    return Option(name, levels(degrees) + product, multiplications(degrees) + product, loss)


def _effect(
    values: Iterable[tuple[str, Any]], exact: Mapping[str, Any], bounds: Mapping[str, float]
) -> tuple[float, float]:
    """(sum of squared differences of the outputs, largest |u| / B of a layer); infinite for what is no number."""
    total, furthest = 0.0, 0.0
    for name, tensor in values:
        if name in bounds:
            furthest = max(furthest, _number(tensor.abs().max()) / bounds[name])
        if name in exact:
            total += _number((tensor - exact[name]).double().square().sum())
    return total, furthest


def _number(tensor: Any) -> float:
    value = float(tensor)
    return value if math.isfinite(value) else math.inf


def _trials(graph: Graph, candidates: Candidates) -> dict[str, dict[str, Kernel]]:
    layers = list(dict.fromkeys(layer for row in candidates.values() for layer in row))
    lacking = [
        f"{name} has none for {layer}" for name, row in candidates.items() for layer in layers if layer not in row
    ]
    if lacking or not layers:
        raise UsageError(
            "these candidates cannot be compared",
            why="\n".join(lacking) or "there is no candidate for any layer",
            fix="give every candidate a polynomial for every activation",
        )
    return {layer: {name: _kernel(row[layer]) for name, row in candidates.items()} for layer in layers}


def _kernel(chosen: Replacement) -> Kernel:
    offset = chosen.composite.offset if chosen.form == "relu" else 0.0
    return kernel_of(chosen.composite.stages, bound=chosen.bound, form=chosen.form, offset=offset, gain=chosen.gain)


def _bounds(graph: Graph, candidates: Candidates) -> dict[str, float]:
    """{what an activation reads: the largest interval that a candidate has there}."""
    found: dict[str, float] = {}
    for row in candidates.values():
        for layer, chosen in row.items():
            source = _node(graph, layer).inputs[0]
            found[source] = max(found.get(source, 0.0), _bound(chosen))
    return found


def _bound(chosen: Replacement) -> float:
    return math.inf if chosen.bound is None else chosen.bound


def _node(graph: Graph, layer: str) -> Node:
    return next(node for node in graph.nodes if node.output == layer)
