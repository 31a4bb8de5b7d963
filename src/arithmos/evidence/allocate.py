"""Allocate: a polynomial for each layer by measured sensitivities, checked on held-out images."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from arithmos.errors import UsageError
from arithmos.evidence.fit_settings import HEADROOM
from arithmos.evidence.held_out import HeldOut, Loss, loss
from arithmos.evidence.sensitivity import Candidates, Sensitivity
from arithmos.ir.graph import Graph
from arithmos.lower import replacement
from arithmos.lower.allocation import Option, Plan, best, front, places
from arithmos.lower.replacement import Replacement

ATTEMPTS = 24
POINTS = 8


@dataclass(frozen=True, slots=True)
class Target:
    """What an allocation keeps to: at most so many levels and multiplications, or an accuracy at the fewest levels.

    points: percentage points of top-1 that may be lost; rms: of the output's deviation. Raises UsageError unless it
    asks for one of the two kinds.
    """

    levels: int | None = None
    multiplications: int | None = None
    points: float | None = None
    rms: float | None = None

    def __post_init__(self) -> None:
        accuracy = (self.points is not None) + (self.rms is not None)
        budget = self.levels is not None or self.multiplications is not None
        if accuracy + budget != 1:
            raise UsageError(
                "an allocation needs one target",
                why="it is a budget (levels, multiplications or both), or an accuracy (points or rms)",
                fix="give for instance levels=95, or points=0.5",
            )
        wrong = {
            name: asked
            for name in ("levels", "multiplications", "points", "rms")
            if (asked := getattr(self, name)) is not None and not (math.isfinite(asked) and asked >= 0)
        }
        if wrong:
            raise UsageError(
                "no allocation can keep to " + ", ".join(f"{name}={asked}" for name, asked in wrong.items()),
                why="targets are finite and not negative",
                fix="give for instance levels=95, or points=0.5",
            )


@dataclass(frozen=True, slots=True)
class Point:
    """A plan and what it loses on held-out images."""

    plan: Plan
    loss: Loss

    @property
    def facts(self) -> dict[str, Any]:
        """As JSON: cost, predicted and measured loss."""
        return {
            "levels": self.plan.levels,
            "multiplications": self.plan.multiplications,
            "predicted_rms": math.sqrt(self.plan.loss),
            **self.loss.facts,
        }


@dataclass(frozen=True, slots=True)
class Allocation:
    """replacements: what `replace` takes. point: the plan that was chosen; front: plans of the Pareto front, measured.

    excluded: options of a layer that were given up because a range escaped, or nearly, on held-out images.
    """

    replacements: Mapping[str, Replacement] = field(repr=False)
    point: Point
    front: tuple[Point, ...]
    excluded: tuple[tuple[str, str], ...]
    n: int

    @property
    def facts(self) -> dict[str, Any]:
        """As JSON: the choice of each layer, its cost and loss, the front."""
        return {
            "images": self.n,
            "choice": dict(self.point.plan.choice),
            **self.point.facts,
            "front": [point.facts for point in self.front],
            "excluded": [list(pair) for pair in self.excluded],
        }

    @property
    def text(self) -> str:
        """Tables of the choice and of the front."""
        width = max(map(len, ("layer", *self.point.plan.choice)))
        lines = [f"{'layer':<{width}}  polynomial"]
        lines += [f"{layer:<{width}}  {name}" for layer, name in self.point.plan.choice.items()]
        lines += ["", "levels  multiplications  predicted rms  measured rms  top-1"]
        for point in sorted({id(p): p for p in (*self.front, self.point)}.values(), key=lambda p: p.plan.levels):
            top1 = "–" if point.loss.top1 is None else f"{100 * point.loss.top1:.1f}"
            measured = f"{point.loss.rms:.4f}" if math.isfinite(point.loss.rms) else "escapes"
            lines.append(
                f"{point.plan.levels:6d}  {point.plan.multiplications:15d}  {math.sqrt(point.plan.loss):13.4f}  "
                f"{measured:>12}  {top1:>5}{'  chosen' if point is self.point else ''}"
            )
        return "\n".join(lines)


def allocated(
    graph: Graph,
    candidates: Candidates,
    seen: Sensitivity,
    held: HeldOut,
    target: Target,
    *,
    points: int = POINTS,
    report: Callable[[str], None] = lambda line: None,
) -> Allocation:
    """The plan of the least predicted loss, sum over layers of S[k][choice], that keeps to the target and its ranges.

    graph: exact, as `prepared_for` makes it; held: images that neither intervals nor sensitivities saw. Whatever is
    returned was run on them with |u| <= HEADROOM * B throughout: where a plan goes further at some layer, the option
    there is excluded if another has a larger B, else the one before it that loses most, and all is planned anew. For
    an accuracy the front is bisected for the fewest levels, as if what is measured fell with what is predicted.
    points: how many plans of the front are measured.
    Raises UsageError for a target that nothing meets, and where no plan keeps inside its intervals.
    """
    search = _Search(graph, candidates, seen, held, report)
    if target.points is None and target.rms is None:
        chosen = search.settled(
            lambda: best(search.options, search.where, levels=target.levels, multiplications=target.multiplications)
        )
    else:
        chosen = search.cheapest(target)
    plans = search.front()
    steps = sorted({round(i * (len(plans) - 1) / max(points - 1, 1)) for i in range(points)}) if points else []
    measured = tuple(search.measured(plans[i]) for i in steps)
    chosen_replacements = {layer: candidates[name][layer] for layer, name in chosen.plan.choice.items()}
    return Allocation(chosen_replacements, chosen, measured, tuple(search.excluded), len(held.images))


class _Search:
    """Plans, measured once each; a class because exclusions and measurements accumulate while it looks."""

    def __init__(
        self, graph: Graph, candidates: Candidates, seen: Sensitivity, held: HeldOut, report: Callable[[str], None]
    ) -> None:
        self.graph, self.candidates, self.seen, self.held, self.report = graph, candidates, seen, held, report
        self.options: dict[str, tuple[Option, ...]] = dict(seen.options)
        self.where = places(graph, self.options)
        self.excluded: list[tuple[str, str]] = []
        self._known: dict[tuple[str, ...], Point] = {}

    def front(self) -> tuple[Plan, ...]:
        return front(self.options, self.where)

    def measured(self, plan: Plan) -> Point:
        key = tuple(plan.choice.values())
        if key not in self._known:
            chosen = {layer: self.candidates[name][layer] for layer, name in plan.choice.items()}
            found = loss(replacement.replace(self.graph, chosen), self.held)
            self.report(f"{plan.levels} levels: rms {found.rms:.4g}")
            self._known[key] = Point(plan, found)
        return self._known[key]

    def settled(self, planned: Callable[[], Plan]) -> Point:
        """The first plan that stays inside its ranges."""
        for _ in range(ATTEMPTS):
            point = self.measured(planned())
            if point.loss.inside(HEADROOM):
                return point
            if not self._excluded(point):
                break
        raise UsageError(
            "no allocation of these candidates keeps every value inside its interval",
            why="\n".join(f"{layer}: {name} was given up" for layer, name in self.excluded)
            or "each layer has one option",
            fix="give candidates with a larger margin, or of higher degrees",
        )

    def cheapest(self, target: Target) -> Point:
        """Fewest levels that meet the accuracy: bisection over the front, which exclusions may change on the way."""
        low, high = 0, len(self.front()) - 1
        found: Point | None = None
        while low <= high:
            middle = (low + high) // 2
            levels = self.front()[min(middle, len(self.front()) - 1)].levels
            point = self.settled(lambda levels=levels: best(self.options, self.where, levels=levels))  # type: ignore[misc]
            if _meets(point.loss, self.held, target):
                found, high = point, middle - 1
            else:
                low = middle + 1
        if found is None:
            most = self.measured(self.front()[-1])
            raise UsageError(
                "no allocation of these candidates is so accurate",
                why=f"the most accurate one, of {most.plan.levels} levels, has the rms {most.loss.rms:.4g}"
                + ("" if most.loss.top1 is None else f" and the top-1 {100 * most.loss.top1:.2f} %"),
                fix="give candidates of higher degrees, or allow a larger loss",
            )
        return found

    def _excluded(self, point: Point) -> bool:
        """Give up one option of the plan for what reached furthest; False if there is none that could go."""
        choice = point.plan.choice
        readers = {node.inputs[0]: node.output for node in self.graph.nodes if node.output in choice}
        there = readers[point.loss.at]
        if any(
            self._bound(there, option.name) > self._bound(there, choice[there])
            for option in self._others(there, choice)
        ):
            layer = there
        else:
            upstream = {
                name: option.loss
                for name in choice
                if self.where[name] < self.where[there] and self._others(name, choice)
                for option in self.options[name]
                if option.name == choice[name]
            }
            if not upstream:
                return False
            layer = max(upstream, key=lambda name: upstream[name])
        self.options[layer] = tuple(
            replace(option, loss=math.inf) if option.name == choice[layer] else option for option in self.options[layer]
        )
        self.excluded.append((layer, choice[layer]))
        self.report(f"{layer}: {choice[layer]} is given up")
        return True

    def _others(self, layer: str, choice: Mapping[str, str]) -> list[Option]:
        return [o for o in self.options[layer] if o.name != choice[layer] and math.isfinite(o.loss)]

    def _bound(self, layer: str, name: str) -> float:
        bound = self.candidates[name][layer].bound
        return math.inf if bound is None else bound


def _meets(found: Loss, held: HeldOut, target: Target) -> bool:
    if target.rms is not None:
        return found.rms <= target.rms
    assert target.points is not None
    if found.top1 is None or held.exact_top1 is None:
        raise UsageError(
            "points of accuracy cannot be measured",
            why="the held-out images have no labels",
            fix="give labels, or ask for an rms",
        )
    return 100 * (held.exact_top1 - found.top1) <= target.points
