"""Which polynomial goes where, as the flags say: by the recipe, on held-out images, or by an allocation."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import Any

import click
import numpy as np

from arithmos.cli.comparison_images import Images
from arithmos.cli.progress import Steps
from arithmos.errors import UsageError
from arithmos.evidence.allocate import Target, allocated
from arithmos.evidence.fit_settings import chosen_fit
from arithmos.evidence.held_out import HeldOut, held_out
from arithmos.evidence.recalibration import recalibrated
from arithmos.evidence.sensitivity import sensitivity
from arithmos.ir.graph import Graph
from arithmos.lower.approximate import prepared_for
from arithmos.lower.calibrate import Stats
from arithmos.lower.polynomial_recipe import PolynomialRecipe
from arithmos.lower.polynomials import choose
from arithmos.lower.prepared import Prepared
from arithmos.lower.replacement import Replacement

CANDIDATES = ((3,), (5,), (7,), (13,), (15,), (31,), (7, 3), (7, 7), (7, 15), (15, 15))
"""Degrees of the fitted polynomials that an allocation chooses from: 3 to 9 levels."""
N_SENSITIVE = 4
"""Calibration batches on which each candidate is tried in each layer."""


@dataclass(frozen=True, slots=True)
class Choice:
    """The recipe that was followed, its polynomials, and what was measured to find them: facts by name, text."""

    prepared: Prepared
    recipe: PolynomialRecipe
    replacements: Mapping[str, Replacement]
    facts: dict[str, Any] = field(default_factory=dict)
    text: str = ""


class Targets(click.ParamType[Target]):
    """What an allocation keeps to: levels=95, or points=0.5; two by a comma. A class because click asks for one."""

    name = "target"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Target:
        """The target of "levels=95"."""
        pairs = dict(part.partition("=")[::2] for part in str(value).split(","))
        kinds = {"levels": int, "multiplications": int, "points": float, "rms": float}
        try:
            return Target(**{name: kinds[name](number) for name, number in pairs.items()})
        except (KeyError, ValueError):
            self.fail(f"{value!r} is not levels=N, multiplications=N, points=X or rms=X", param, ctx)


def choice_of(
    graph: Graph, stats: Stats, recipe: PolynomialRecipe, images: Images, given: Mapping[str, Any], steps: Steps
) -> Choice:
    """The polynomials of every activation. Raises UsageError where no setting or plan keeps to its ranges or target."""
    prepared = prepared_for(graph, stats, recipe)
    device, found, facts = given["device"], [], {}
    held = _held(graph, images, device) if given["choose_margin"] or given["allocate"] else None
    if given["choose_margin"] and held:
        with steps.step("choose margin"):
            settings = chosen_fit(prepared, recipe, held)
        recipe, facts["settings"] = settings.recipe, settings.facts
        found.append(settings.text)
    if given["allocate"] and held:
        with steps.step("candidates"):
            candidates = {
                "-".join(map(str, degrees)): choose(prepared, replace(recipe, method="fitted", degrees=degrees))
                for degrees in CANDIDATES
            }
        with steps.step("sensitivity"):
            seen = sensitivity(prepared.graph, candidates, _inputs(images, N_SENSITIVE), device=device)
        with steps.step("allocate"):
            plan = allocated(prepared.graph, candidates, seen, held, given["allocate"])
        facts |= {"sensitivity": seen.facts, "allocation": plan.facts}
        return Choice(prepared, recipe, plan.replacements, facts, "\n\n".join([*found, plan.text]))
    with steps.step("approximate"):
        chosen = recalibrated(prepared, recipe, images.calibration, rounds=given["recalibrate"])
    return Choice(prepared, recipe, chosen, facts, "\n\n".join(found))


def refuse_combined(given: Mapping[str, Any]) -> None:
    """Raise UsageError for flags that choose the same thing in two ways."""
    if given["allocate"] and given["recalibrate"]:
        raise UsageError(
            "--allocate does not go with --recalibrate",
            why="an allocation is made from what the exact network's layers read",
            fix="leave one of them out",
        )
    if given["alphas"] and given["dry_run"]:
        raise UsageError(
            "--sweep-alpha does not go with --dry-run",
            why="a plan is of one alpha",
            fix="give --alpha to plan one of them",
        )
    if given["search"] is not None and not math.isfinite(given["search"]):
        raise UsageError(
            f"--B-search cannot be {given['search']}", why="bounds are raised by multiples of it", fix="give a number"
        )


def _held(graph: Graph, images: Images, device: str) -> HeldOut:
    if images.held is None:
        raise UsageError(
            "there are no images to hold out",
            why="margins and allocations are chosen by what is lost on images that nothing was measured on",
            fix="give --data-dir, or leave --choose-margin and --allocate out",
        )
    parts = list(images.held())
    return held_out(graph, np.concatenate([x for x, _ in parts]), np.concatenate([y for _, y in parts]), device=device)


def _inputs(images: Images, n: int) -> Iterator[Any]:
    return (batch[0] if isinstance(batch, tuple) else batch for batch in islice(images.calibration(), n))
