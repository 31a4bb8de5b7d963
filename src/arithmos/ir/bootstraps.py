"""Where a polynomial network runs out of levels: the bootstraps it needs, for a given chain of levels."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from arithmos.errors import UsageError
from arithmos.ir.depth import SCALED, activation
from arithmos.ir.graph import Graph, Node


@dataclass(frozen=True, slots=True)
class LevelBudget:
    """Levels of an encryption's chain, which has between + bootstrap of them; a fresh ciphertext has them all.

    between: what a bootstrapped ciphertext has left to compute with; bootstrap: what bootstrapping itself takes.

    The defaults are of the size that is usual for rings of dimension 2^16; the parameters of a library decide.
    Raises UsageError for numbers that are none.
    """

    between: int = 16
    bootstrap: int = 14

    def __post_init__(self) -> None:
        wrong = []
        for name, number, least in (("between", self.between, 1), ("bootstrap", self.bootstrap, 0)):
            if isinstance(number, bool) or not isinstance(number, int) or number < least:
                wrong.append(f"{name} must be an integer of at least {least}, got {number!r}")
        if wrong:
            raise UsageError(
                "this is no chain of levels", why="\n".join(wrong), fix="for instance between=16, bootstrap=14"
            )


@dataclass(frozen=True, slots=True)
class Bootstraps:
    """values: those that are bootstrapped, in graph order, once each; on_path: the most on any path to an output.

    levels: what the network takes on the path where that is most, without bootstraps; chain: levels of the chain.
    """

    values: tuple[str, ...] = field(repr=False)
    on_path: int
    levels: int
    chain: int

    @property
    def facts(self) -> dict[str, Any]:
        """As JSON."""
        return {
            "bootstraps": len(self.values),
            "on_path": self.on_path,
            "levels": self.levels,
            "chain": self.chain,
            "values": list(self.values),
        }

    @property
    def text(self) -> str:
        """One line."""
        return (
            f"{len(self.values)} bootstraps, {self.on_path} of them on one path of {self.levels} levels; "
            f"the chain has {self.chain} levels"
        )


def bootstraps(graph: Graph, budget: LevelBudget = LevelBudget()) -> Bootstraps:
    """As late as possible: a value is bootstrapped when the next op needs more levels than it has left.

    An input has between + bootstrap levels; an op of cost c leaves min over its operands - c, a bootstrap leaves
    `between`. Costs: of a polynomial its levels, of an op that multiplies 1, of all else 0. On one path of costs c_1,
    c_2, … that is the least number of bootstraps there can be; where paths meet, it need not be. An activation is not
    divided.
    Raises UsageError listing every activation that takes more levels than a bootstrap leaves.
    """
    costs = {node.output: _cost(graph, node) for node in graph.nodes}
    _require_room(costs, budget)
    left = dict.fromkeys(graph.inputs, budget.between + budget.bootstrap)
    before, taken = dict.fromkeys(graph.inputs, 0), dict.fromkeys(graph.inputs, 0)
    refreshed = []
    for node in graph.nodes:
        cost, operands = costs[node.output], [name for name in dict.fromkeys(node.inputs) if name in left]
        for name in operands:
            if left[name] < cost:
                refreshed.append(name)
                left[name], before[name] = budget.between, before[name] + 1
        if operands:
            left[node.output] = min(left[name] for name in operands) - cost
            before[node.output] = max(before[name] for name in operands)
            taken[node.output] = max(taken[name] for name in operands) + cost
    return Bootstraps(
        tuple(refreshed),
        max((before.get(name, 0) for name in graph.outputs), default=0),
        max((taken.get(name, 0) for name in graph.outputs), default=0),
        budget.between + budget.bootstrap,
    )


def _cost(graph: Graph, node: Node) -> int:
    return activation(graph, node).levels if node.op == "polynomial" else int(node.op in SCALED)


def _require_room(costs: Mapping[str, int], budget: LevelBudget) -> None:
    tall = [f"{name} takes {cost} levels" for name, cost in costs.items() if cost > budget.between]
    if tall:
        raise UsageError(
            f"{len(tall)} activations do not fit between two bootstraps",
            why="\n".join([f"{budget.between} levels are left after a bootstrap", *tall]),
            fix="give more levels between bootstraps, or polynomials of fewer levels",
        )
