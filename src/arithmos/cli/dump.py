"""`arithmos dump`: every value of an inference, in open files with a manifest."""

from __future__ import annotations

from pathlib import Path

import click

from arithmos.cli import flags
from arithmos.cli.bundle import golden_inputs, read_facts, read_inputs
from arithmos.cli.output import answer
from arithmos.cli.progress import steps
from arithmos.evidence.dump import dump, dump_bytes
from arithmos.evidence.tensor_files import FORMATS
from arithmos.ir.border import admit, batch_size
from arithmos.ir.codec import load
from arithmos.targets.run import named_inputs


@click.command("dump")
@flags.bundle
@click.option("--input", "source", type=flags.EXISTING, help="Inputs as for `run`. [default: the bundle's golden ones]")
@click.option("--format", "form", type=click.Choice(list(FORMATS)), default="safetensors", show_default=True)
@click.option("--witness", is_flag=True, help="Also remainders, clamps, argmax: what a prover must know.")
@click.option("--values", metavar="GLOB", default="*", show_default=True, help="Which values.")
@click.option("--target", default="engine", show_default=True, help="Which runner computes them.")
@flags.out
@flags.force
@flags.dry_run
@flags.as_json
@flags.verbosity
def command(
    bundle: Path,
    source: Path | None,
    form: str,
    witness: bool,
    values: str,
    target: str,
    out: Path,
    force: bool,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Write every value of one inference of BUNDLE; `arithmos verify OUT` checks the result without BUNDLE."""
    shown = steps()
    with shown.step("load"):
        net = load(bundle)
        inputs = read_inputs(source, read_facts(bundle)) if source else golden_inputs(bundle, net)
    arrays = admit(net, named_inputs(net, inputs))
    sizes = [batch_size(net.values[name].shape, array.shape) for name, array in arrays.items()]
    n_samples = next((size for size in sizes if size is not None), 1)
    n_bytes = dump_bytes(net, n_samples, witness=witness, values=values)
    document = {"out": str(out), "format": form, "samples": n_samples, "bytes": n_bytes}
    if dry_run:
        answer(document, f"{n_samples} samples, {n_bytes:,} bytes of numbers as {form}", as_json=as_json)
        return
    with shown.step("dump"):
        dump(net, arrays, out, format=form, witness=witness, values=values, force=force, target=target)
    answer(document, f"wrote {out}: {n_samples} samples, {n_bytes:,} bytes of numbers as {form}", as_json=as_json)
