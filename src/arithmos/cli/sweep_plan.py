"""The plan of a sweep: how many runs, over what, and about how long and how much disk they take."""

from __future__ import annotations

import math
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from arithmos.cli.output import table
from arithmos.cli.sweep_networks import sizes_of, traced, used
from arithmos.cli.sweep_request import Request
from arithmos.extras import require
from arithmos.ir.cost import cost
from arithmos.ir.graph import Graph
from arithmos.lower.analog import SAMPLE_BYTES, kept_samples
from arithmos.lower.quantize import preflight, prepare
from arithmos.lower.recipe import Recipe
from arithmos.lower.vectors import ENOUGH
from arithmos.sweep.columns import DONE, SETTINGS, row_of
from arithmos.sweep.configuration import Configuration, Layers, layers_of, recipe_at, shown
from arithmos.sweep.definition import FILE, differences, read_definition
from arithmos.sweep.folder import is_sweep, refuse_other
from arithmos.sweep.grid import points
from arithmos.sweep.results import by_digest
from arithmos.sweep.shared import disk_bytes
from arithmos.sweep.store import read_rows
from arithmos.targets.clear import outputs

N_TIMED = 16
"""Images of the forward pass that is timed."""
FIXED_S = 0.1
"""What a run takes beside images: measured on the smallest network of the zoo."""
START_S = 3.0
"""What a process takes to load its libraries."""
N_LISTED = 24
"""Values of a key that are shown."""


def sweep_plan(request: Request, words: str, n_processes: int, out: Path | None, *, force: bool) -> dict[str, Any]:
    """The plan as plain data. words: the executor; out: a folder whose rows tell more, if it is that of a sweep.

    seconds: of all runs, on so many processes of one thread. Weights and images need not be there: rows are told by
    their settings. Raises UnsupportedNetwork where a network has no integer form, UsageError for a folder of another
    sweep unless force is given.
    """
    chosen = list(points(request.grid))
    distinct, short = 0, list[str]()
    rows, of_grid = read_rows(out) if out and is_sweep(out) else {}, set[str]()
    known = [row["Wall Seconds"] for row in rows.values() if row["Status"] == DONE and row["Wall Seconds"]]
    disk, seconds = 0, START_S * n_processes
    for name in used(request):
        given = request.networks[name]
        _, graph = traced(name, given, need_weights=False)
        preflight(prepare(graph))
        sizes, layers = sizes_of(request, name), layers_of(graph)
        runs = by_digest([_run(request, point, name, layers) for point in chosen if point.get("network", name) == name])
        distinct += len(runs)
        asked = {_said(row_of(run, {})) for run in runs.values()}
        of_grid |= {digest for digest, row in rows.items() if _said(row) in asked}
        short += _short(name, graph, (Recipe(**run.recipe) for run in runs.values()), max(sizes))
        disk += sum(disk_bytes(graph, n, given["n_labelled"]) for n in sizes)
        if not known:
            each = _seconds(graph, max(sizes), given["n_labelled"], request.seed)
            seconds += len(runs) * each * (1 + request.integers)
    if rows and out and not force:
        refuse_other(out, rows, of_grid, differences(read_definition(out / FILE), request.definition))
    done = sum(rows[digest]["Status"] == DONE for digest in of_grid)
    if known:
        seconds = START_S * n_processes + float(np.median(known)) * (distinct - done)
    return {
        "points": len(chosen),
        "runs": distinct,
        "done": done,
        "grid": {key: [shown(value) for value in values] for key, values in request.grid.items()},
        "networks": used(request),
        "integers": request.integers,
        "executor": words,
        "seconds": round(seconds / n_processes, 1) if done < distinct else 0.0,
        "from": f"as the {len(known):,} runs that are done" if known else "from one forward pass",
        "disk_mb": round(disk / 1e6, 1),
        "notes": short,
    }


def plan_text(plan: Mapping[str, Any]) -> str:
    """The plan for people."""
    rows = [(key, len(values), _listed(values)) for key, values in plan["grid"].items()]
    done = f", {plan['done']:,} of them there already" if plan["done"] else ""
    same = f" ({plan['points']:,} points, some of which mean the same)" if plan["points"] > plan["runs"] else ""
    return "\n".join(
        [
            table(("key", "values", ""), rows),
            "",
            f"{plan['runs']:,} runs{same}{done}, of {', '.join(plan['networks'])}, by {plan['executor']}",
            f"about {duration(plan['seconds'])} ({plan['from']}), {plan['disk_mb']:,.0f} MB of shared data on the disk",
            *plan["notes"],
        ]
    )


def _listed(values: Sequence[str]) -> str:
    """All values, or the first ones and the last."""
    return ", ".join(values if len(values) <= N_LISTED else [*values[: N_LISTED - 1], "…", values[-1]])


def _said(row: Mapping[str, Any]) -> tuple[Any, ...]:
    """A row's network and settings: what is known of it before its run."""
    return tuple(row[name] for name in ("Model Name", *SETTINGS))


def duration(seconds: float) -> str:
    """Seconds in words: "45 s", "12 min", "3.2 h"."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def _run(request: Request, point: Mapping[str, Any], name: str, layers: Layers) -> Configuration:
    """The run at a point, of a network that need not be loaded."""
    n = point.get("n_calibration", request.networks[name]["n_calibration"])
    recipe = recipe_at(point, request.base, layers)
    return Configuration(name, "", n, point.get("seed", request.seed), recipe, request.integers, dict(point))


def _short(name: str, graph: Graph, recipes: Iterable[Recipe], n: int) -> list[str]:
    """What to say where memory allows fewer images than were asked for."""
    solved = next((recipe for recipe in recipes if recipe.solves), None)
    kept = kept_samples(graph, solved, n) if solved else n
    words = f"{name}: layers are solved on {kept:,} of {n:,} images, {SAMPLE_BYTES / 1e9:.1f} GB a process"
    return [words] if kept < n else []


def _seconds(graph: Graph, n_calibration: int, n_test: int, seed: int) -> float:
    """One run, from the forward pass of a few images of noise and the multiplications that Gram matrices take."""
    rng = np.random.default_rng(seed)
    shapes = {name: graph.values[name].shape for name in graph.inputs}
    noise = {
        name: rng.standard_normal((N_TIMED, *map(abs, shape[1:]))).astype(np.float32) for name, shape in shapes.items()
    }
    torch = require("torch", "torch")
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        outputs(graph, noise)
        start = time.perf_counter()
        outputs(graph, noise)
        per_image = (time.perf_counter() - start) / N_TIMED
    finally:
        torch.set_num_threads(threads)
    share = _gram_macs(prepare(graph), n_calibration) / max(cost(graph).macs, 1)
    return FIXED_S + per_image * (n_calibration + share + n_test)


def _gram_macs(graph: Graph, n: int) -> float:
    """Multiplications of X~^T X~ and X~^T X of every layer: 1.5 d^2 for each of the vectors it is solved on."""
    total = 0.0
    for node in graph.nodes:
        weight = graph.constants.get(node.inputs[1]) if node.op in ("conv", "linear") else None
        if weight is not None:
            positions, d = abs(math.prod(graph.values[node.output].shape[2:])), math.prod(weight.shape[1:])
            total += 1.5 * node.attrs.get("groups", 1) * min(n * positions, ENOUGH * d) * d**2
    return total
