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
from arithmos.models.registry import build, entry, names
from arithmos.targets.target import find, preflight

HEADER = ("model", "data set", "input", "classes", "parameters", "MACs", "source")


@click.command("models")
@click.argument("pattern", default="*")
@click.option(
    "--check", "target", metavar="TARGET", help="Build, trace and quantize each, and say what TARGET cannot run."
)
@flags.seed
@flags.as_json
@flags.verbosity
@click.pass_context
def command(ctx: click.Context, pattern: str, target: str | None, seed: int, as_json: bool) -> None:
    """List the zoo, or the models that match a PATTERN such as "*resnet*" (in quotes)."""
    found = [entry(name) for name in names(pattern)]
    if not found:
        raise UsageError(
            f"no model matches '{pattern}'",
            why=f"the zoo has {', '.join(names())}",
            fix='quote the pattern: "*resnet*"',
        )
    if target is None:
        listed = [
            (m.name, m.dataset, "x".join(map(str, m.input_shape)), m.classes, m.parameters, m.macs, m.source)
            for m in found
        ]
        return answer([asdict(m) for m in found], table(HEADER, listed), as_json=as_json)
    checked, shown = [], steps()
    for model in found:
        with shown.step(model.name):
            checked.append(
                {
                    "model": model.name,
                    "target": target,
                    "problem": _problem(model.name, model.input_shape, target, seed),
                }
            )
    text = "\n".join(f"{c['model']}: {c['problem'] or f'{target} runs it'}" for c in checked)
    answer(checked, text, as_json=as_json)
    return ctx.exit(4) if any(c["problem"] for c in checked) else None


def _problem(name: str, shape: tuple[int, ...], target: str, seed: int) -> str:
    """Why the target cannot run the model with random weights, "" if it can."""
    chosen = find(target)
    image: Any = np.random.default_rng(seed).standard_normal((1, *shape)).astype(np.float32)
    try:
        graph = arithmos.trace(build(name, seed=seed), image)
        preflight(arithmos.quantize(graph, arithmos.calibrate(graph, [image])), chosen)
    except UnsupportedNetwork as error:
        return str(error)
    return ""
