"""`arithmos run`: inputs -> the integers, or the real numbers, of a bundle's network."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
import numpy as np

from arithmos.atomic import output_file
from arithmos.cli import flags
from arithmos.cli.arrays import WRITERS, as_text, check_writable
from arithmos.cli.bundle import read_facts, read_inputs
from arithmos.cli.output import answer
from arithmos.cli.progress import steps
from arithmos.ir.border import to_real
from arithmos.ir.codec import load, narrow
from arithmos.targets.run import run


@click.command("run")
@flags.bundle
@click.option("--input", "source", type=flags.EXISTING, required=True, help=".npy, .npz, .safetensors, or a picture.")
@click.option(
    "--target",
    help="Which runner: engine, interpreter, onnx, c, …  [default: engine; clear where it is of polynomials]",
)
@flags.device
@click.option("--every", is_flag=True, help="Every value of the network, not only the outputs.")
@click.option(
    "--real/--integers",
    help="What they stand for: integers times their scale. Values without a scale stay integers.  [default: integers]",
)
@click.option("-o", "--out", type=flags.NEW, help="Write the arrays: .npy (one), .npz or .safetensors.")
@flags.force
@flags.as_json
@flags.verbosity
def command(bundle: Path, source: Path, out: Path | None, force: bool, as_json: bool, **given: Any) -> None:
    """Run BUNDLE on a file of inputs: floats are rounded to its grid, integers are used as they are.

    A network of polynomials takes floats, and a value outside the interval of its polynomial ends the run.
    """
    every = given["every"]
    check_writable(out, several=every)
    flags.check_apart(out, bundle, source)
    shown = steps()
    with shown.step("load"):
        net = load(bundle)
        check_writable(out, several=every or len(net.outputs) > 1)
        inputs = read_inputs(source, read_facts(bundle))
    target = flags.on_device(given["target"] or ("clear" if net.op_set == "poly" else "engine"), given["device"])
    with shown.step(f"run on {target}"):
        result = run(net, inputs, target=target, every=True) if every else run(net, inputs, target=target)
        named = result if isinstance(result, dict) else {net.outputs[0]: result}
        arrays = {name: narrow(net.values[name], np.asarray(array)) for name, array in named.items()}
        arrays = to_real(net, arrays) if given["real"] else arrays
    if out:
        with output_file(out, force=force) as draft:
            WRITERS[out.suffix](draft, arrays)
    if as_json:
        answer({name: array.tolist() for name, array in arrays.items()}, "", as_json=True)
    else:
        answer(None, as_text(arrays) + (f"\nwrote {out}" if out else ""), as_json=False)
