"""`arithmos models`: the zoo, and what a target can run of it."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import click
import numpy as np

import arithmos
from arithmos.cli import flags
from arithmos.cli.output import answer, table
from arithmos.cli.progress import steps
from arithmos.errors import UnsupportedNetwork, UsageError
from arithmos.ir.graph import Graph
from arithmos.models.registry import ModelEntry, build, entry, is_known, names
from arithmos.targets.target import Target, find, preflight
from arithmos.targets.target import names as target_names

HEADER = ("model", "data set", "input", "classes", "parameters", "MACs", "runs on", "source")


@click.command("models")
@click.argument("pattern", default="*")
@click.option("--check", "target", metavar="TARGET", help="Quantize each, and say what TARGET, or all, cannot run.")
@click.option("--input-size", type=click.IntRange(1), help="Side of the pictures to check with. [default: its own]")
@flags.seed
@flags.as_json
@flags.verbosity
@click.pass_context
def command(
    ctx: click.Context, pattern: str, target: str | None, input_size: int | None, seed: int, as_json: bool
) -> None:
    """List the zoo, or the models that match a PATTERN such as "*resnet*" (in quotes)."""
    found = [entry(name) for name in names(pattern) or ([pattern] if is_known(pattern) else [])]
    if not found:
        raise UsageError(
            f"no model matches '{pattern}'",
            why=f"the zoo has {', '.join(names())}",
            fix='quote the pattern: "*resnet*"',
        )
    if target is None:
        return answer([asdict(m) for m in found], table(HEADER, [_row(m) for m in found]), as_json=as_json)
    targets = [find(name) for name in target_names() if name != "interpreter"] if target == "all" else [find(target)]
    checked, shown = [], steps()
    for model in found:
        with shown.step(model.name):
            checked += _checked(model, targets, input_size, seed)
    text = "\n".join(f"{c['model']}: {c['problem'] or '{} runs it'.format(c['target'])}" for c in checked)
    answer(checked, text, as_json=as_json)
    return ctx.exit(4) if any(c["problem"] for c in checked) else None


def _row(m: ModelEntry) -> tuple[Any, ...]:
    shape = "x".join(map(str, m.input_shape))
    return m.name, m.dataset, shape, m.classes, m.parameters, m.macs, " ".join(m.targets), m.source


def _checked(model: ModelEntry, targets: list[Target], input_size: int | None, seed: int) -> list[dict[str, str]]:
    """Why each target cannot run the model with random weights, "" if it can."""
    size = input_size or model.input_shape[-1]
    image = np.random.default_rng(seed).standard_normal((1, model.input_shape[0], size, size)).astype(np.float32)
    network = build(model.name, seed=seed, size=size)
    try:
        graph = arithmos.trace(network, image)
        net = arithmos.quantize(graph, arithmos.calibrate(graph, [image]))
    except UnsupportedNetwork as error:
        return [{"model": model.name, "target": target.name, "problem": str(error)} for target in targets]
    return [{"model": model.name, "target": target.name, "problem": _problem(net, target)} for target in targets]


def _problem(net: Graph, target: Target) -> str:
    try:
        preflight(net, target)
    except UnsupportedNetwork as error:
        return str(error)
    return ""
