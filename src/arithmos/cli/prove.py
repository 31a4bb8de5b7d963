"""`arithmos prove`: a bundle and an input -> a proof that the network gives this output."""

from __future__ import annotations

from pathlib import Path

import click

from arithmos.cli import flags, proving
from arithmos.cli.output import answer
from arithmos.cli.progress import steps
from arithmos.errors import UsageError
from arithmos.ir.codec import digest, load
from arithmos.targets.zk.cost import admit_memory, plan_of
from arithmos.targets.zk.export import stated


@click.command("prove")
@flags.bundle
@click.option("--input", "source", type=flags.EXISTING, help="Inputs as for `run`. [default: the bundle's golden ones]")
@click.option("--public", default="output", show_default=True, help="What a verifier sees: output, or input,output.")
@click.option(
    "--output",
    type=click.Choice(["values", "argmax"]),
    default="values",
    show_default=True,
    help="What the output is: its integers, or the index of the largest, which keeps them secret.",
)
@click.option("--keys", type=flags.EXISTING, help="Keys of an earlier proof of this circuit. [default: new ones]")
@click.option("--zkey", type=flags.EXISTING, help="A ceremony's key (snarkjs), in place of a development-grade setup.")
@click.option(
    "--max-memory", type=click.FloatRange(0, min_open=True), help="GB for the prover. [default: what is free]"
)
@click.option("-o", "--out", type=flags.NEW, help="Where to write; must not exist (see --force).")
@flags.force
@flags.dry_run
@flags.as_json
@flags.verbosity
def command(
    bundle: Path,
    source: Path | None,
    public: str,
    output: str,
    keys: Path | None,
    zkey: Path | None,
    max_memory: float | None,
    out: Path | None,
    force: bool,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Prove one inference of BUNDLE in zero knowledge (Groth16, bn254): OUT/proof for verifiers, OUT/keys for provers.

    What is not public stays secret. --dry-run prints constraints, seconds and memory; --max-memory refuses in advance.
    """
    proving.refuse_conflicts(bundle, source, keys, zkey, out)
    if not (out or dry_run):
        raise UsageError("there is nothing to write", why="no output is named", fix="give -o out/proved, or --dry-run")
    allowed = proving.limit_of(max_memory)
    progress = steps()
    with progress.step("plan"):
        net = load(bundle)
        circuit = stated(net, public, output)
        plan = plan_of(circuit)
    if dry_run or out is None:
        answer(proving.plan_document(plan), proving.dry_text(plan, *allowed), as_json=as_json)
        if max_memory is None:
            return
    admit_memory(plan, *allowed)
    if dry_run or out is None:
        return
    n, sample = proving.sample_of(net, bundle, source)
    wish = proving.Wish(circuit, plan, {"model": digest(net), "output": output}, sample, keys, zkey)
    stamp = proving.proved(wish, out, progress, force=force)
    answer({"out": str(out), "samples": n, **stamp}, proving.proved_text(plan, stamp, out, n), as_json=as_json)
