"""`arithmos run`: inputs -> the integers of a bundle's network."""

from __future__ import annotations

from pathlib import Path

import click
import numpy as np
from safetensors.numpy import save_file

from arithmos.atomic import output_file
from arithmos.cli import flags
from arithmos.cli.bundle import read_facts, read_inputs
from arithmos.cli.output import answer, table
from arithmos.cli.progress import steps
from arithmos.errors import UsageError
from arithmos.ir.codec import load, narrow
from arithmos.targets.run import run

WRITERS = {
    ".npy": lambda path, arrays: np.save(path, next(iter(arrays.values()))),
    ".npz": lambda path, arrays: np.savez(path, **arrays),
    ".safetensors": lambda path, arrays: save_file({n: np.ascontiguousarray(a) for n, a in arrays.items()}, path),
}
"""Suffix of --out -> how the arrays are written."""


@click.command("run")
@flags.bundle
@click.option("--input", "source", type=flags.EXISTING, required=True, help=".npy, .npz, .safetensors, or a picture.")
@click.option("--target", default="engine", show_default=True, help="Which runner: engine, interpreter, onnx, c, …")
@click.option("--every", is_flag=True, help="Every value of the network, not only the outputs.")
@click.option("-o", "--out", type=flags.NEW, help="Write the arrays: .npy (one), .npz or .safetensors.")
@flags.force
@flags.as_json
@flags.verbosity
def command(bundle: Path, source: Path, target: str, every: bool, out: Path | None, force: bool, as_json: bool) -> None:
    """Run BUNDLE on a file of inputs: floats are rounded to its grid, integers are used as they are."""
    if out and (out.suffix not in WRITERS or (out.suffix == ".npy" and every)):
        raise UsageError(
            f"cannot write {'several values' if out.suffix == '.npy' else 'arrays'} to {out.name}",
            why=f"known are {', '.join(WRITERS)}; .npy holds one array",
            fix="name a .safetensors or .npz file",
        )
    shown = steps()
    with shown.step("load"):
        net = load(bundle)
        inputs = read_inputs(source, read_facts(bundle))
    with shown.step(f"run on {target}"):
        result = run(net, inputs, target=target, every=True) if every else run(net, inputs, target=target)
        named = result if isinstance(result, dict) else {net.outputs[0]: result}
        arrays = {name: narrow(net.values[name], np.asarray(array)) for name, array in named.items()}
    if out:
        with output_file(out, force=force) as draft:
            WRITERS[out.suffix](draft, arrays)
    if as_json:
        answer({name: array.tolist() for name, array in arrays.items()}, "", as_json=True)
    else:
        answer(None, _text(arrays) + (f"\nwrote {out}" if out else ""), as_json=False)


def _text(arrays: dict[str, np.ndarray]) -> str:
    """The integers themselves where there are few, else what they span."""
    if len(arrays) == 1:
        (array,) = arrays.values()
        if array.size <= 1000:
            return "\n".join(" ".join(map(str, row)) for row in array.reshape(len(array), -1))
    rows = [(n, str(a.shape), a.dtype.name, int(a.min()), int(a.max())) for n, a in arrays.items()]
    return table(("value", "shape", "type", "min", "max"), rows)
