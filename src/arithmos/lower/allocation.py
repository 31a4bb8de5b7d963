"""Allocation: one polynomial for each layer, of the least loss that a budget of levels or multiplications allows."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from arithmos.errors import UsageError
from arithmos.ir.graph import Graph

Layers = Mapping[str, Sequence["Option"]]


@dataclass(frozen=True, slots=True)
class Option:
    """One polynomial for one layer: what it costs and what it loses; infinite where ranges escape: never chosen."""

    name: str
    levels: int
    multiplications: int
    loss: float


@dataclass(frozen=True, slots=True)
class Plan:
    """choice: {layer: name of its option}. levels: sum over places of the largest of its layers; loss: sum of all."""

    choice: Mapping[str, str]
    levels: int
    multiplications: int
    loss: float


def places(graph: Graph, layers: Iterable[str]) -> dict[str, int]:
    """How many of the layers lie before each on its longest path: layers of one place run beside each other.

    The levels of any path are at most the sum over places of the largest of the place; where one layer follows the
    other, as in plain and residual networks, they are that sum.
    """
    wanted, before = set(layers), dict.fromkeys(graph.inputs, 0)
    found = {}
    for node in graph.nodes:
        before[node.output] = max((before.get(name, 0) for name in node.inputs), default=0)
        if node.output in wanted:
            found[node.output] = before[node.output]
            before[node.output] += 1
    return found


def best(
    layers: Layers, where: Mapping[str, int], *, levels: int | None = None, multiplications: int | None = None
) -> Plan:
    """The plan of the least total loss with at most so many levels and multiplications in all; None is no limit.

    Dynamic programming over places, then over the layers of one place: T'(l, m) = min over a cap c and options of at
    most c levels of T(l - c, m - sum of multiplications) + their losses. Ties go to the option of fewer levels, then of
    fewer multiplications. Raises UsageError naming the least that would do, where nothing fits.
    """
    tables = _Tables(layers, where, levels, multiplications)
    corner = tuple(extent - 1 for extent in tables.loss.shape)
    if not math.isfinite(tables.loss[corner]):
        raise UsageError(
            "no allocation keeps to this budget",
            why=_least(layers, where, levels, multiplications),
            fix="allow more, or give candidates that cost less",
        )
    return tables.plan(*corner)


def front(layers: Layers, where: Mapping[str, int], *, by: str = "levels") -> tuple[Plan, ...]:
    """Every plan that no other beats in both cost and loss, cheapest first; by: "levels" or "multiplications"."""
    in_levels = by == "levels"
    groups = _by_place(layers, where)
    if in_levels:
        most = sum(max(o.levels for name in members for o in layers[name]) for members in groups)
    else:
        most = sum(max(o.multiplications for o in row) for row in layers.values())
    tables = _Tables(layers, where, most if in_levels else None, None if in_levels else most)
    losses = tables.loss.ravel()
    steps = [i for i in range(len(losses)) if math.isfinite(losses[i]) and (i == 0 or losses[i] < losses[i - 1])]
    return tuple(tables.plan(i, 0) if in_levels else tables.plan(0, i) for i in steps)


class _Tables:
    """loss[l, m]: the least loss with at most l levels and m multiplications. An axis without a limit has length 1.

    A class because the choices behind every entry live as long as plans are read from it.
    """

    def __init__(
        self, layers: Layers, where: Mapping[str, int], levels: int | None, multiplications: int | None
    ) -> None:
        self.in_levels, self.in_products = levels is not None, multiplications is not None
        self.loss = np.zeros((max(levels or 0, 0) + 1, max(multiplications or 0, 0) + 1))
        self.options = {name: sorted(row, key=_cost) for name, row in layers.items()}
        self.steps: list[tuple[list[str], dict[int, list[np.ndarray]], np.ndarray]] = []
        for members in _by_place(layers, where):
            self._add(members)

    def _add(self, members: list[str]) -> None:
        caps = sorted({o.levels for name in members for o in self.options[name]})
        least, chosen = np.full(self.loss.shape, np.inf), np.zeros(self.loss.shape, dtype=np.int64)
        picks: dict[int, list[np.ndarray]] = {}
        for cap in caps if self.in_levels else caps[-1:]:
            table, picks[cap] = _shifted(self.loss, cap if self.in_levels else 0, 0), []
            for name in members:
                rows = [
                    _shifted(table, 0, o.multiplications if self.in_products else 0)
                    + (o.loss if o.levels <= cap else math.inf)
                    for o in self.options[name]
                ]
                index = np.argmin(rows, axis=0)
                picks[cap].append(index)
                table = np.min(rows, axis=0)
            better = (table < least) | (chosen == 0)
            least, chosen = np.where(better, table, least), np.where(better, cap, chosen)
        self.steps.append((members, picks, chosen))
        self.loss = least

    def plan(self, level: int, product: int) -> Plan:
        choice: dict[str, Option] = {}
        for members, picks, chosen in reversed(self.steps):
            cap = int(chosen[level, product])
            for name, index in zip(reversed(members), reversed(picks[cap]), strict=True):
                choice[name] = self.options[name][int(index[level, product])]
                product -= choice[name].multiplications if self.in_products else 0
            level -= cap if self.in_levels else 0
        return _planned(choice, [members for members, _, _ in self.steps])


def planned(layers: Layers, where: Mapping[str, int], choice: Mapping[str, str]) -> Plan:
    """The plan of a given choice, such as one option for all layers."""
    chosen = {name: next(o for o in layers[name] if o.name == option) for name, option in choice.items()}
    return _planned(chosen, _by_place(layers, where))


def _planned(choice: Mapping[str, Option], groups: Sequence[Sequence[str]]) -> Plan:
    order = [name for members in groups for name in members]
    return Plan(
        {name: choice[name].name for name in order},
        sum(max(choice[name].levels for name in members) for members in groups),
        sum(option.multiplications for option in choice.values()),
        math.fsum(option.loss for option in choice.values()),
    )


def _by_place(layers: Layers, where: Mapping[str, int]) -> list[list[str]]:
    groups: dict[int, list[str]] = {}
    for name in layers:
        groups.setdefault(where[name], []).append(name)
    return [groups[place] for place in sorted(groups)]


def _cost(option: Option) -> tuple[int, int]:
    return option.levels, option.multiplications


def _shifted(table: np.ndarray, levels: int, products: int) -> np.ndarray:
    moved = np.full(table.shape, np.inf)
    rows, columns = table.shape
    if levels < rows and products < columns:
        moved[levels:, products:] = table[: rows - levels, : columns - products]
    return moved


def _least(layers: Layers, where: Mapping[str, int], levels: int | None, multiplications: int | None) -> str:
    """Why nothing fits: layers of which every option escapes, else the least levels and products there can be."""
    hopeless = [name for name, row in layers.items() if not any(math.isfinite(o.loss) for o in row)]
    if hopeless:
        return "\n".join(f"{name}: every candidate lets a range escape" for name in hopeless)
    lines = []
    for what, limit in (("levels", levels), ("multiplications", multiplications)):
        if limit is not None:
            least = getattr(front(layers, where, by=what)[0], what)
            lines.append(f"{limit} {what} are allowed, the least that is possible is {least}")
    return "\n".join(lines)
