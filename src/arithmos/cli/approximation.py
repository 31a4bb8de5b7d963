"""From a trained network and images to a polynomial network and what it loses: the steps of `approximate`."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from dataclasses import replace as moved
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

import arithmos
from arithmos.cli.choice import Choice
from arithmos.cli.comparison_images import PIECE, Images, images_of
from arithmos.cli.deviation_text import depth_facts, deviation_facts
from arithmos.cli.memory import batch_for
from arithmos.cli.progress import Steps
from arithmos.cli.subject import Subject, digest_of
from arithmos.errors import RangeEscape, UsageError
from arithmos.evidence.attribution import Attribution, attribution
from arithmos.evidence.deviation import Deviation, deviations
from arithmos.ir.border import admit, batch_size, named_inputs
from arithmos.ir.codec import save
from arithmos.ir.graph import Graph
from arithmos.ir.ops import POLY
from arithmos.lower.calibrate import Sample, Stats, calibrate, pieces
from arithmos.lower.expand import expand
from arithmos.lower.polynomial_file import as_toml
from arithmos.lower.polynomial_recipe import PolynomialRecipe
from arithmos.lower.quantize import prepare
from arithmos.lower.replacement import replace, with_bounds
from arithmos.report.environment import environment
from arithmos.report.facts import facts
from arithmos.targets import clear

GOLDEN_ELEMENTS = 1 << 20
"""Every value of a golden sample is stored where one has no more numbers than this: bundles stay small."""
PIECEWISE = ("max_pool", "maximum")
"""Of the op set of polynomials, but replaced where the recipe does not keep maxima exact."""


@dataclass(frozen=True, slots=True)
class Calibrated:
    """The exact graph, what was measured of it, the images to compare on, their batch size, and where it is from."""

    graph: Graph
    stats: Stats
    images: Images
    batch_size: int
    origin: dict[str, Any]


def calibrated(subject: Subject, given: Mapping[str, Any], steps: Steps, *, exact_maxima: bool) -> Calibrated:
    """Trace, find the batch size, calibrate what activations read. Raises UsageError where the batch does not fit."""
    with steps.step("trace"):
        graph = arithmos.trace(subject.network, subject.example)
        structure = expand(prepare(graph), exact_maxima=exact_maxima).graph
    with steps.step("memory"):
        size = batch_for(given["batch_size"], graph, structure, zeros(graph), device=given["device"])
    images = images_of(subject, graph, given, size)
    n_batches = math.ceil(images.n_calibration / PIECE)
    with steps.step("calibrate", total=n_batches) as watch:
        stats = calibrate(graph, watch(images.calibration()), stream=_read_by_activations)
    return Calibrated(graph, stats, images, size, _origin(subject, images, given, size))


def zeros(graph: Graph) -> dict[str, np.ndarray]:
    """One image of every input."""
    return {name: np.zeros([abs(e) for e in graph.values[name].shape], np.float32) for name in graph.inputs}


def compared(
    made: Calibrated, nets: Mapping[Any, Graph], steps: Steps, *, search: float | None, device: str
) -> dict[Any, Deviation | RangeEscape]:
    """Every network beside the exact one, on the same images, which are read once."""
    total = math.ceil(made.images.n_compared / made.batch_size)
    with steps.step("compare", total=total) as watch:
        return deviations(made.graph, nets, watch(made.images.compared()), step=search, device=device)


def approximated(
    made: Calibrated, chosen: Choice, steps: Steps, *, search: float | None, device: str
) -> tuple[Graph, Deviation]:
    """(the polynomial network with the bounds it needed, its Deviation). Raises UsageError for a range exceeded."""
    net = replace(chosen.prepared.graph, chosen.replacements)
    found = compared(made, {"": net}, steps, search=search, device=device)[""]
    if isinstance(found, RangeEscape):
        raise found if not math.isfinite(found.enough) else escaped(found)
    return (with_bounds(net, found.bounds) if found.raised else net), found


def attributed(made: Calibrated, chosen: Choice, found: Deviation, n: int, steps: Steps, device: str) -> Attribution:
    """Which layer hurts, on the first n images that were compared, with the bounds that they needed."""
    bounds = found.bounds
    final = {name: moved(r, bound=bounds.get(name, r.bound)) for name, r in chosen.replacements.items()}
    with steps.step("attribute errors"):
        return attribution(chosen.prepared.graph, final, islice(_one_by_one(made), n), device=device)


def _one_by_one(made: Calibrated) -> Iterator[Sample]:
    for inputs, _ in made.images.compared():
        arrays = admit(made.graph, named_inputs(made.graph, inputs))
        shapes = ((made.graph.values[name].shape, array.shape) for name, array in arrays.items())
        n = next(n for shape, given in shapes if (n := batch_size(shape, given)))
        yield from pieces(made.graph, arrays, n, limit=1)


def escaped(error: RangeEscape) -> UsageError:
    """The refusal of a value outside its interval, with the flags that help."""
    step = max(1, round(error.enough / 20))
    return UsageError(
        error.what,
        where=error.where,
        why=error.why,
        fix=f"B must be at least {error.enough:.6g} here: --B-search {step} raises it and goes on;\n"
        "or give more --n-calibration, a larger --margin, or --B-relu and --B-max",
    )


def facts_of(
    subject: Subject, made: Calibrated, chosen: Choice, net: Graph, found: Deviation, steps: Steps
) -> dict[str, Any]:
    """The document of report.json."""
    common = facts(
        net,
        name=subject.name,
        origin=made.origin | {"approximation": "allocated" if "allocation" in chosen.facts else said(chosen.recipe)},
        environment=environment(),
        steps=steps.facts(),
        preparation=subject.preparation,
    )
    return common | {"deviation": deviation_facts(found), "depth": depth_facts(net), **chosen.facts}


def said(recipe: PolynomialRecipe) -> str:
    """The recipe in a few words."""
    degrees = recipe.degrees if isinstance(recipe.degrees, str) else ", ".join(map(str, recipe.degrees or ()))
    alpha = f", alpha {recipe.alpha}" if recipe.method == "composite" and not isinstance(recipe.degrees, tuple) else ""
    return recipe.method + alpha + (f", degrees {degrees}" if degrees else "") + ", with a constant" * recipe.offset


def save_bundle(
    made: Calibrated, recipe: PolynomialRecipe, net: Graph, document: Mapping[str, Any], folder: Path
) -> None:
    """Write the bundle into an empty folder. Golden values are those of one calibration sample, of small networks."""
    small = sum(abs(math.prod(net.values[node.output].shape)) for node in net.nodes) <= GOLDEN_ELEMENTS
    golden = {name: array[:1] for name, array in made.stats.samples[0].items()} if small else None
    try:
        with np.errstate(all="ignore"):  # squares of squares overflow; the table says of how many images
            save(net, folder, golden=golden, recipe=as_toml(recipe), report=document, force=True)
    except RangeEscape:  # the networks were compared on other images
        save(net, folder, recipe=as_toml(recipe), report=document, force=True)


def _read_by_activations(graph: Graph, piece: Sample) -> Iterator[tuple[str, np.ndarray]]:
    """What intervals and distributions are needed of, and nothing else: a histogram of every value takes longer."""
    wanted = {n for node in graph.nodes if node.op not in POLY or node.op in PIECEWISE for n in node.inputs}
    wanted |= set(graph.inputs)
    return ((name, array) for name, array in clear.stream(graph, piece) if name in wanted)


def _origin(subject: Subject, images: Images, given: Mapping[str, Any], batch_size: int) -> dict[str, Any]:
    weights: dict[str, Any] = {"weights": "random"} if given["random_weights"] else {}
    if subject.weights:
        weights = {"weights": subject.weights.name, "weights_sha256": digest_of(subject.weights)}
    said = {"batch_size": batch_size, "seed": given["seed"], "device": given["device"]}
    return {"model": subject.name, **weights, **images.origin, **said}
