"""Approximate: from a float graph and its statistics to a network of additions and multiplications, by a recipe."""

from __future__ import annotations

from arithmos.errors import UnsupportedNetwork, UsageError
from arithmos.ir.check import check
from arithmos.ir.graph import Graph, require_graph
from arithmos.ir.ops import POLY
from arithmos.lower.calibrate import Stats
from arithmos.lower.polynomial_recipe import PolynomialRecipe
from arithmos.lower.polynomials import choose, replaceable
from arithmos.lower.prepared import Prepared, prepared_by
from arithmos.lower.recipe import Recipe
from arithmos.lower.replacement import replace


def approximate(graph: Graph, stats: Stats, recipe: PolynomialRecipe | Recipe = PolynomialRecipe()) -> Graph:
    """The polynomial network: relu(u) = u (1 + p(u / B)) / 2, max(a, b) = b + relu(a - b), all else as it was.

    graph: a float graph; stats: what `calibrate` saw of it; recipe: ar.Recipe(method="composite", alpha=12, …). With
    |u| <= B everywhere, which every run checks, each activation is off by at most B times the composite's error.
    Raises UnsupportedNetwork listing every node without a polynomial, UsageError for foreign statistics, constant
    calibration inputs and activations that saw nothing but zeros.
    """
    recipe = _checked(graph, stats, recipe)
    prepared = prepared_for(graph, stats, recipe)
    net = replace(prepared.graph, choose(prepared, recipe))
    check(net)
    return net


def prepared_for(graph: Graph, stats: Stats, recipe: PolynomialRecipe = PolynomialRecipe()) -> Prepared:
    """The exact float graph whose activations the recipe replaces, and their statistics. Raises like `approximate`."""
    recipe = _checked(graph, stats, recipe)
    prepared = prepared_by(graph, stats, exact_maxima=recipe.exact_maxima)
    preflight(prepared.graph, recipe)
    return prepared


def preflight(graph: Graph, recipe: PolynomialRecipe) -> None:
    """Raise UnsupportedNetwork with every node that is neither a polynomial nor replaced, each with its source."""
    problems = []
    for node in graph.nodes:
        if node.op not in POLY and not replaceable(node, recipe):
            source = str(graph.values[node.output].source)
            problems.append(
                f"{node.output}: method {recipe.method} has no polynomial for '{node.op}'"
                + (f", at {source}" if source else "")
            )
    if problems:
        raise UnsupportedNetwork(
            f"{len(problems)} node{'s' * (len(problems) > 1)} cannot become polynomials",
            why="\n".join(problems),
            fix="replace these layers, or approximate the part of the network without them",
        )


def _checked(graph: Graph, stats: Stats, recipe: PolynomialRecipe | Recipe) -> PolynomialRecipe:
    require_graph(graph)
    if graph.op_set != "float":
        raise UsageError(
            "only a float graph can be approximated",
            why=f"this is a graph of the op set {graph.op_set}",
            fix="give the traced graph",
        )
    if not isinstance(stats, Stats):
        raise UsageError(
            f"approximate needs Stats, got {type(stats).__name__}",
            why="intervals are measured on samples",
            fix="give ar.calibrate(graph, batches)",
        )
    if not isinstance(recipe, PolynomialRecipe):
        raise UsageError(
            "this is no recipe of polynomials",
            why="its fields choose integers" if isinstance(recipe, Recipe) else f"it is {type(recipe).__name__}",
            fix='give ar.Recipe(method="composite", alpha=12)',
        )
    return recipe
