"""The plan of an approximation: what is replaced by which degrees, at what depth, before any image is read."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

import arithmos
from arithmos.approx.composite import Composite
from arithmos.approx.sets import published_degrees
from arithmos.cli.approximation import said, zeros
from arithmos.cli.deviation_text import depth_facts
from arithmos.cli.memory import live_bytes
from arithmos.cli.output import table
from arithmos.cli.subject import Subject
from arithmos.ir.border import format_shape
from arithmos.ir.graph import Graph
from arithmos.lower.approximate import preflight
from arithmos.lower.calibrate import calibrate
from arithmos.lower.expand import expand
from arithmos.lower.polynomial_recipe import PolynomialRecipe
from arithmos.lower.polynomials import FITTED_DEGREES, choose, replaceable
from arithmos.lower.prepared import Prepared, prepared_by
from arithmos.lower.quantize import prepare
from arithmos.lower.replacement import Replacement
from arithmos.lower.replacement import replace as replaced
from arithmos.targets.clear import stream


def plan(subject: Subject, recipe: PolynomialRecipe, given: Mapping[str, Any]) -> dict[str, Any]:
    """What would be made. Raises UnsupportedNetwork listing every node without a polynomial."""
    graph = arithmos.trace(subject.network, subject.example)
    expanded = expand(prepare(graph), exact_maxima=recipe.exact_maxima)
    preflight(expanded.graph, recipe)
    net = _shape_of(graph, expanded.graph, recipe, given["seed"])
    shapes = {node.output: format_shape(net.values[node.output].shape) for node in net.nodes}
    found = depth_facts(net)
    differences = {node.output for node in net.nodes if node.op == "polynomial" and node.inputs[0] in expanded.compared}
    for row in found["polynomials"]:
        of_maximum = row["polynomial"] in differences
        given_bound = recipe.B_max if of_maximum else recipe.B_relu
        bound = None if recipe.exact_maxima else given_bound or "measured"
        row |= {"shape": shapes[row["polynomial"]], "of": "maximum" if of_maximum else "activation", "B": bound}
    return {
        "name": subject.name,
        "recipe": said(recipe),
        "nodes": len(net.nodes),
        "image_mb": round(live_bytes(net) / 1e6, 1),
        "max_pools_left": sum(node.op == "max_pool" for node in net.nodes),
        **found,
    }


def as_text(made: Mapping[str, Any]) -> str:
    """The plan for people."""
    header = ("replaced", "of", "shape", "degrees", "levels", "multiplications", "B")
    rows = [
        (
            r["polynomial"],
            r["of"],
            r["shape"],
            "-".join(map(str, r["degrees"])),
            r["levels"],
            r["multiplications"],
            r["B"],
        )
        for r in made["polynomials"]
    ]
    left = f"; {made['max_pools_left']} max-pools stay exact" if made["max_pools_left"] else ""
    return "\n".join(
        [
            f"{made['name']}: {made['recipe']}{left}",
            f"{made['nodes']:,} nodes, {len(rows):,} polynomials of {made['multiplications']:,} multiplications, "
            f"{made['levels']:,} levels, {made['activation_levels']:,} of them in polynomials",
            f"memory: {made['image_mb']:,.1f} MB for the values of an image at least",
            "",
            table(header, rows),
        ]
    )


def _shape_of(graph: Graph, exact: Graph, recipe: PolynomialRecipe, seed: int) -> Graph:
    """A polynomial graph of the plan's degrees, not of its coefficients: those may need images, or minutes."""
    nodes = [node for node in exact.nodes if replaceable(node, recipe)]
    degrees = _degrees(recipe)
    if degrees is None or any(node.op != "relu" for node in nodes):
        return replaced(exact, choose(_on_noise(graph, recipe, seed), recipe))
    stages = tuple(np.eye(d + 1)[d] for d in degrees)
    return replaced(exact, {node.output: Replacement(Composite(stages), 1.0) for node in nodes})


def _degrees(recipe: PolynomialRecipe) -> tuple[int, ...] | None:
    if recipe.method not in ("composite", "fitted") or isinstance(recipe.degrees, str):
        return None
    if recipe.degrees is not None:
        return tuple(recipe.degrees)
    return FITTED_DEGREES if recipe.method == "fitted" else published_degrees(recipe.alpha)


def _on_noise(graph: Graph, recipe: PolynomialRecipe, seed: int) -> Prepared:
    rng = np.random.default_rng(seed)
    noise = {name: rng.standard_normal(array.shape).astype(np.float32) for name, array in zeros(graph).items()}
    return prepared_by(graph, calibrate(graph, [noise], stream=stream), exact_maxima=recipe.exact_maxima)
