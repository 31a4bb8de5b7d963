"""The float graph as it is approximated, and what calibration saw of every value that an interval is needed for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from arithmos.errors import UsageError
from arithmos.ir.graph import Graph
from arithmos.lower.calibrate import Stats, calibrate
from arithmos.lower.expand import Expanded, expand
from arithmos.lower.quantize import prepare
from arithmos.passes.rewrite import prune
from arithmos.quant.observe import Observation


@dataclass(frozen=True, slots=True)
class Prepared:
    """graph: float, exact; its only ops beyond sums and products are relu, smooth functions and what has no polynomial.

    observations: by value, of the original network and of the differences. differences: the values a - b of maxima.
    """

    graph: Graph
    observations: Mapping[str, Observation]
    differences: frozenset[str]


def prepared_by(graph: Graph, stats: Stats, *, exact_maxima: bool = False) -> Prepared:
    """Constants and batch norms folded, maxima as differences, whose distribution the kept samples show.

    Raises UsageError for statistics of another network and for constant calibration inputs.
    """
    expanded = expand(prepare(graph), exact_maxima=exact_maxima)
    refuse_foreign(expanded, stats)
    refuse_constant(expanded.graph, stats)
    found = {**stats.observations, **_missing(expanded, stats)}
    return Prepared(expanded.graph, found, frozenset(expanded.compared))


def refuse_foreign(expanded: Expanded, stats: Stats) -> None:
    """Raise UsageError unless every value that maxima compare and every input was observed."""
    needed = {*expanded.compared.values(), *expanded.graph.inputs}
    if absent := sorted(needed - stats.observations.keys()):
        raise UsageError(
            "the statistics are of another network",
            why=f"they lack {', '.join(absent[:4])}{' …' if len(absent) > 4 else ''}",
            fix="calibrate the graph that is approximated",
        )


def refuse_constant(graph: Graph, stats: Stats) -> None:
    """Raise UsageError if an input is one number throughout."""
    constant = [name for name in graph.inputs if stats.observations[name].lo == stats.observations[name].hi]
    if constant:
        raise UsageError(
            "the calibration inputs are constant",
            why="\n".join(f"'{name}' is {stats.observations[name].lo:.6g} everywhere" for name in constant),
            fix="calibrate on typical images; 256 training images are a good choice",
        )


def _missing(expanded: Expanded, stats: Stats) -> dict[str, Observation]:
    """What relu and its like read and calibration did not see, measured on the kept samples.

    All samples reach further than the kept ones. Differences are widened by as much as the values that they compare.
    """
    readers = [node.inputs[0] for node in expanded.graph.nodes if node.op not in ("conv", "linear")]
    wanted = {name for name in readers if name not in stats.observations and name not in expanded.graph.constants}
    activations = {node.inputs[0] for node in expanded.graph.nodes if node.op == "relu"}
    wanted &= activations
    if not wanted:
        return {}
    partial = replace(expanded.graph, outputs=tuple(sorted(wanted | set(expanded.compared.values()))))
    seen = calibrate(prune(partial), stats.samples).observations
    return {name: _widened(seen, stats, name, expanded.compared.get(name)) for name in sorted(wanted)}


def _widened(seen: Mapping[str, Observation], stats: Stats, name: str, compared: str | None) -> Observation:
    observation = seen[name]
    if compared is None:
        return observation
    on_all, on_kept = stats.observations[compared], seen[compared]
    kept = on_kept.hi - on_kept.lo
    factor = max((on_all.hi - on_all.lo) / kept, 1.0) if kept > 0 else 1.0
    return replace(
        observation, lo=observation.lo * factor, hi=observation.hi * factor, width=observation.width * factor
    )
