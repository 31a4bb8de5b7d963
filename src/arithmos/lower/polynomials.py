"""Which polynomial goes where: the coefficients a recipe asks for, and the interval of every activation."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from arithmos.approx import coefficients, sets
from arithmos.approx.composite import Composite
from arithmos.approx.fit import fitted
from arithmos.approx.smooth import minimax
from arithmos.errors import UsageError
from arithmos.ir.graph import Node
from arithmos.lower.polynomial_recipe import PolynomialRecipe
from arithmos.lower.prepared import Prepared
from arithmos.lower.rebound import in_fewest_levels
from arithmos.lower.replacement import Replacement
from arithmos.quant.observe import Observation

SMOOTH = ("gelu", "silu", "sigmoid", "tanh", "mish", "erf", "exp", "sin", "cos")
"""Functions that one polynomial on an interval approximates well; relu is the other one that is replaced."""

FITTED_DEGREES = (29,)
"""The highest of 5 levels: multiplied out, x (1 + p(x)) / 2 is one polynomial of degree 30."""

SMOOTH_DEGREES = (3, 7, 15, 31, 63)
"""The highest degree of each depth."""

SQUARE = Composite((np.array([0.5, 0.0, 0.5]),))
RELU_AQ = Composite((np.array([5 / 16, 1 / 2, 1 / 16]),))
"""x^2 and x^2 / 8 + x / 2 + 1 / 4 in T_0, T_1, T_2."""


def replaceable(node: Node, recipe: PolynomialRecipe) -> bool:
    """Whether the recipe has a polynomial for this node."""
    return node.op == "relu" or (node.op in SMOOTH and recipe.method in ("composite", "fitted", "minimax"))


def choose(prepared: Prepared, recipe: PolynomialRecipe) -> dict[str, Replacement]:
    """{output of an activation: its polynomial}. Raises UsageError naming every activation without an interval."""
    nodes = [node for node in prepared.graph.nodes if replaceable(node, recipe)]
    bounds = {} if recipe.exact_maxima else intervals(prepared, nodes, recipe)
    shared = None if recipe.method == "fitted" or not nodes else composite_of(recipe)
    return {node.output: _replacement(prepared, node, bounds.get(node.output), recipe, shared) for node in nodes}


def intervals(prepared: Prepared, nodes: list[Node], recipe: PolynomialRecipe) -> dict[str, float]:
    """B of each activation: the recipe's for all, or the largest magnitude that calibration saw times the margin."""
    bounds, still = {}, []
    for node in nodes:
        given = recipe.B_max if node.inputs[0] in prepared.differences else recipe.B_relu
        measured = prepared.observations[node.inputs[0]].magnitude * recipe.margin
        bounds[node.output] = float(given or measured)
        if not bounds[node.output] > 0:
            source = str(prepared.graph.values[node.output].source)
            still.append(f"{node.output}: every value is 0" + (f", at {source}" if source else ""))
    if still:
        raise UsageError(
            f"{len(still)} activations have no interval",
            why="\n".join(still),
            fix="calibrate on typical images, or give B_relu and B_max",
        )
    return bounds


def composite_of(recipe: PolynomialRecipe) -> Composite:
    """The one polynomial of a recipe that gives all activations the same: sign composites, x^2, or the user's."""
    match recipe.method:
        case "square":
            return SQUARE
        case "relu_aq":
            return RELU_AQ
        case "given":
            return _given(recipe.coefficients)
        case "minimax":
            # |x| is even: of the polynomials up to degree n, the best one has an even degree.
            return sets.sign_set((_degree(recipe) // 2 * 2 - 1,), offset=True)
        case _:
            return sets.chosen(recipe.alpha, recipe.degrees, offset=recipe.offset)


def _given(given: Composite | str | Path | None) -> Composite:
    if isinstance(given, str | Path):
        found = coefficients.load(given)
        if len(found) == 1:
            return found[0]
        raise UsageError(
            f"this file holds {len(found)} polynomials",
            where=str(given),
            why="all activations get the same one",
            fix="give a file of one polynomial",
        )
    if not isinstance(given, Composite):
        raise UsageError(
            f"coefficients of type {type(given).__name__} cannot be used",
            why="a polynomial is given by its stages",
            fix="give a Composite, or the path of a file of coefficients",
        )
    return given


def _degree(recipe: PolynomialRecipe) -> int:
    return recipe.degree_list[0] if recipe.degrees else SMOOTH_DEGREES[2]


def _replacement(
    prepared: Prepared, node: Node, bound: float | None, recipe: PolynomialRecipe, shared: Composite | None
) -> Replacement:
    if bound is None:
        assert shared is not None
        return Replacement(shared, None, "value")
    if node.op != "relu":
        return _smooth(node, bound, recipe)
    if shared is not None:
        return Replacement(shared, bound)
    return in_fewest_levels(Replacement(fitted_to(prepared.observations[node.inputs[0]], bound, recipe), bound))


def fitted_to(seen: Observation, bound: float, recipe: PolynomialRecipe) -> Composite:
    """Least squares over what calibration saw of one layer; the error of a ReLU is even, so |u| says all."""
    centres, weights = distribution(seen, bound)
    degrees = recipe.degree_list or FITTED_DEGREES
    return fitted(degrees, (centres, weights), regularisation=recipe.regularisation).composite


def distribution(seen: Observation, bound: float) -> tuple[np.ndarray, np.ndarray]:
    """(centres of the bins of |u| / bound, share of the values in each), without empty bins and those beyond 1."""
    centres = (np.arange(len(seen.counts)) + 0.5) * (seen.width / bound)
    used = (seen.counts > 0) & (centres <= 1)
    return centres[used], seen.counts[used] / seen.counts[used].sum()


def _smooth(node: Node, bound: float, recipe: PolynomialRecipe) -> Replacement:
    """f(x) = p(x / bound): the degree of a minimax recipe, else the least depth whose error is at most 2^-alpha B."""
    degrees = (_degree(recipe),) if recipe.method == "minimax" else SMOOTH_DEGREES
    for degree in degrees:
        found = minimax(node.op, degree, -bound, bound, **node.attrs)
        if found.error is not None and found.error <= bound * 2.0**-recipe.alpha:
            break
    return Replacement(found, bound, "value")
