"""`arithmos export`: a bundle -> a target's own files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from arithmos.cli import flags
from arithmos.cli.bundle import golden_inputs
from arithmos.cli.config_flags import parsed
from arithmos.cli.output import answer
from arithmos.cli.progress import steps
from arithmos.errors import UsageError
from arithmos.ir.codec import load
from arithmos.ir.graph import Graph
from arithmos.targets.export import export
from arithmos.targets.target import Target, find, options_of, preflight


@click.command("export")
@flags.bundle
@click.option("--target", required=True, help="The format: c, onnx, …")
@click.option("--set", "sets", multiple=True, metavar="KEY=VALUE", help="An option of the target, e.g. name=resnet.")
@flags.out
@flags.force
@flags.dry_run
@flags.as_json
@flags.verbosity
def command(
    bundle: Path, target: str, sets: tuple[str, ...], out: Path, force: bool, dry_run: bool, as_json: bool
) -> None:
    """Write BUNDLE in a target's own format; every node the target lacks is listed before anything is written."""
    flags.check_apart(out, bundle)
    shown = steps()
    with shown.step("load"):
        net, found = load(bundle), find(target)
        preflight(net, found)
    options = _options(found, sets, bundle, net)
    if dry_run:
        text = f"{target} has all {len(net.nodes)} nodes of {bundle}"
        answer({"target": target, "nodes": len(net.nodes)}, text, as_json=as_json)
        return
    with shown.step(f"export to {target}"):
        export(net, target, out, force=force, **options)
    written = [f for f in sorted(out.rglob("*")) if f.is_file() and not f.name.startswith(".")]
    files = {str(f.relative_to(out)): f.stat().st_size for f in written}
    text = "\n".join(f"wrote {out / name} ({size:,} bytes)" for name, size in files.items())
    answer({"target": target, "folder": str(out), "files": files}, text, as_json=as_json)


def _options(target: Target, sets: tuple[str, ...], bundle: Path, net: Graph) -> dict[str, Any]:
    """What --set gives, checked against what the target takes; golden samples are the bundle's own."""
    known = options_of(target)
    options = {key: value for text in sets for key, value in parsed(text).items()}
    if unknown := [key for key in options if key not in known or key == "golden"]:
        raise UsageError(
            f"target '{target.name}' has no option {', '.join(unknown)}",
            why=f"its options are {', '.join(k for k in known if k != 'golden') or 'none'}",
            fix="leave it out, or choose one of them",
        )
    return {**options, "golden": golden_inputs(bundle, net)} if "golden" in known else options
