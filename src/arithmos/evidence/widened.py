"""Intervals widened to what held-out images reach in the approximate network: only where they are too narrow."""

from __future__ import annotations

from dataclasses import replace

from arithmos.evidence.held_out import BATCH, HeldOut
from arithmos.evidence.recalibration import observed
from arithmos.lower import replacement
from arithmos.lower.polynomial_recipe import PolynomialRecipe
from arithmos.lower.polynomials import choose
from arithmos.lower.prepared import Prepared

ROUNDS = 4


def widened(prepared: Prepared, recipe: PolynomialRecipe, held: HeldOut, *, headroom: float) -> Prepared:
    """B_l = max(B_l, max |u_l| / headroom): u_l over held-out images in the approximate network, polynomials made anew.

    The margin covers what calibration did not see of the exact network; this what errors of earlier layers add to it.
    Repeated until every value is inside, at most ROUNDS times, because other polynomials make other values. Distributions
    stay. Bounds that the recipe gives (B_relu, B_max) are not widened. Raises RangeEscape where a value explodes.
    """
    sources = {node.output: node.inputs[0] for node in prepared.graph.nodes}
    for _ in range(ROUNDS):
        chosen = choose(prepared, recipe)
        net = replacement.replace(prepared.graph, chosen)
        seen = observed(net, (held.images[i : i + BATCH] for i in range(0, len(held.images), BATCH)))
        wider = {}
        for layer, polynomial in chosen.items():
            name = sources[layer]
            if polynomial.bound is not None and seen[name].magnitude > headroom * polynomial.bound:
                top = seen[name].magnitude / (headroom * recipe.margin) * (1 + 1e-6)
                wider[name] = replace(prepared.observations[name], lo=-top, hi=top)
        if not wider:
            break
        prepared = replace(prepared, observations={**prepared.observations, **wider})
    return prepared
