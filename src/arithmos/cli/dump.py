"""`arithmos dump`: every value of an inference, in open files with a manifest."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from arithmos.cli import flags
from arithmos.cli.inference import inference_of
from arithmos.cli.output import answer
from arithmos.cli.progress import steps
from arithmos.cli.recipe_flags import recipe_flags
from arithmos.evidence.dump import dump, dump_bytes
from arithmos.evidence.field import FIELDS
from arithmos.evidence.tensor_files import FORMATS
from arithmos.ir.border import batch_size

WITH_BUNDLE = frozenset(
    {"--input", "--format", "--witness", "--chunks", "--field", "--values", "--target", "--device", "-o", "--force"}
    | {"--dry-run", "--json", "-v", "-q"}
)


@click.command("dump")
@click.argument("bundle", type=flags.EXISTING, required=False)
@flags.model_or_bundle
@click.option("--weights", type=flags.WEIGHTS, help="Trained weights of --model: a file, or hf:org/name@revision.")
@click.option("--random-weights", is_flag=True, help="Untrained weights, drawn from --seed: the answer means nothing.")
@click.option(
    "--input",
    "source",
    type=flags.EXISTING,
    help="Inputs as for `run`. [default: golden ones, or a calibration sample]",
)
@click.option("--format", "form", type=click.Choice(list(FORMATS)), default="safetensors", show_default=True)
@click.option("--witness", is_flag=True, help="Also remainders, clamps, differences: what a prover must know.")
@click.option("--chunks", type=click.IntRange(1), metavar="BITS", help="With --witness: its chunks for range checks.")
@click.option("--field", type=click.Choice(list(FIELDS)), help="Write elements of a prime field, -1 as p - 1.")
@click.option("--values", metavar="GLOB", default="*", show_default=True, help="Which values.")
@click.option("--target", default="engine", show_default=True, help="Which runner computes them.")
@flags.device
@flags.samples
@flags.batch_size
@recipe_flags
@flags.out
@flags.force
@flags.dry_run
@flags.seed
@flags.as_json
@flags.verbosity
def command(out: Path, form: str, target: str, force: bool, dry_run: bool, as_json: bool, **given: Any) -> None:
    """Write every value of one inference of BUNDLE, or of --model, quantized on the way.

    The same flags give the same network as `arithmos quantize`. --input defaults to the first sample of the
    calibration. `arithmos verify OUT` checks the result without the network it came from.
    """
    flags.check_apart(out, given["bundle"], given["weights"], given["source"], given["calibration"])
    shown = steps()
    found = inference_of(given, shown, kept=WITH_BUNDLE)
    sizes = [batch_size(found.net.values[name].shape, array.shape) for name, array in found.inputs.items()]
    n_samples = next((size for size in sizes if size is not None), 1)
    asked = {"witness": given["witness"], "values": given["values"]}
    asked |= {"chunks": given["chunks"] or 0, "field": given["field"] or ""}
    n_bytes = dump_bytes(found.net, n_samples, **asked)
    document = {"out": str(out), "format": form, "samples": n_samples, "bytes": n_bytes, "origin": found.origin}
    text = f"{n_samples} samples, {n_bytes:,} bytes of numbers as {form}"
    if dry_run:
        answer(document, text, as_json=as_json)
        return
    with shown.step("dump"):
        runner = flags.on_device(target, given["device"])
        dump(found.net, found.inputs, out, format=form, force=force, target=runner, origin=found.origin, **asked)
    answer(document, f"wrote {out}: {text}", as_json=as_json)
