"""Margin and regularisation of fitted polynomials, chosen by what the network loses on held-out images."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from arithmos.errors import UsageError
from arithmos.evidence.held_out import HeldOut, Loss, loss
from arithmos.lower import replacement
from arithmos.lower.polynomial_recipe import PolynomialRecipe
from arithmos.lower.polynomials import choose
from arithmos.lower.prepared import Prepared

MARGINS = (1.25, 1.4, 1.5, 1.75)
REGULARISATIONS = (1e-3, 1e-2)

HEADROOM = 0.9
"""How much of its interval a value may use on held-out images: others of the same kind reach up to a tenth further."""


@dataclass(frozen=True, slots=True)
class Setting:
    """One margin and regularisation, and what the network loses with them."""

    margin: float
    regularisation: float
    loss: Loss


@dataclass(frozen=True, slots=True)
class FitChoice:
    """recipe: with the margin and regularisation of the least rms among those that stay inside; settings: all tried."""

    recipe: PolynomialRecipe
    settings: tuple[Setting, ...]
    n: int

    @property
    def facts(self) -> dict[str, Any]:
        """As JSON."""
        return {
            "images": self.n,
            "margin": self.recipe.margin,
            "regularisation": self.recipe.regularisation,
            "settings": [
                {"margin": s.margin, "regularisation": s.regularisation, **s.loss.facts} for s in self.settings
            ],
        }

    @property
    def text(self) -> str:
        """A table of the settings, the chosen one marked."""
        lines = ["margin  regularisation      rms   |u|/B"]
        for s in self.settings:
            chosen = (s.margin, s.regularisation) == (self.recipe.margin, self.recipe.regularisation)
            result = "escapes" if s.loss.escape else f"{s.loss.rms:7.4f}  {s.loss.reach:6.3f}"
            lines.append(f"{s.margin:6g}  {s.regularisation:14g}  {result}{'  chosen' if chosen else ''}")
        return "\n".join(lines)


def chosen_fit(
    prepared: Prepared,
    recipe: PolynomialRecipe,
    held: HeldOut,
    *,
    margins: Sequence[float] = MARGINS,
    regularisations: Sequence[float] = REGULARISATIONS,
    headroom: float = HEADROOM,
    report: Callable[[str], None] = lambda line: None,
) -> FitChoice:
    """argmin over settings of the rms of the output on held-out images, among those with |u| <= headroom * B always.

    held: images that were not calibrated on. A recipe of another method than fitted has no regularisation: only its
    margin is chosen. Raises UsageError, listing what happened, where no setting keeps its values inside.
    """
    rest = regularisations if recipe.method == "fitted" else (recipe.regularisation,)
    tried = []
    for margin in margins:
        for regularisation in rest:
            candidate = replace(recipe, margin=margin, regularisation=regularisation)
            found = loss(replacement.replace(prepared.graph, choose(prepared, candidate)), held)
            tried.append(Setting(margin, regularisation, found))
            report(
                f"margin {margin:g}, regularisation {regularisation:g}: rms {found.rms:.4g}, |u|/B {found.reach:.3f}"
            )
    safe = [setting for setting in tried if setting.loss.inside(headroom)]
    if not safe:
        raise UsageError(
            f"none of {len(tried)} settings keeps every value inside its interval",
            why="\n".join(_outcome(setting) for setting in tried),
            fix="give larger margins, higher degrees, or calibrate on more images",
        )
    best = min(safe, key=lambda setting: setting.loss.rms)
    chosen = replace(recipe, margin=best.margin, regularisation=best.regularisation)
    return FitChoice(chosen, tuple(tried), len(held.images))


def _outcome(setting: Setting) -> str:
    name, escape = f"margin {setting.margin:g}, regularisation {setting.regularisation:g}", setting.loss.escape
    if escape is None:
        return f"{name}: '{setting.loss.at}' takes {setting.loss.reach:.3f} of its interval"
    return f"{name}: '{escape.value_name}' is {escape.value:.6g}, B is {escape.bound:.6g}"
