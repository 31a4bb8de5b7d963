"""`arithmos prove`: a bundle and an input -> a proof that the network gives this output."""

from __future__ import annotations

from pathlib import Path

import click

from arithmos.cli import flags
from arithmos.cli.output import answer
from arithmos.cli.progress import steps
from arithmos.cli.proving import Wish, dry_text, plan_document, proved, sample_of
from arithmos.errors import UsageError
from arithmos.ir.codec import digest, load
from arithmos.targets.target import find, preflight
from arithmos.targets.zk.circuit import planned
from arithmos.targets.zk.cost import admit_memory, plan_of
from arithmos.targets.zk.export import shown
from arithmos.targets.zk.statement import statement


@click.command("prove")
@flags.bundle
@click.option("--input", "source", type=flags.EXISTING, help="Inputs as for `run`. [default: the bundle's golden ones]")
@click.option("--public", default="output", show_default=True, help="What a verifier sees: output, or input,output.")
@click.option("--output", type=click.Choice(["values", "argmax"]), default="values", show_default=True)
@click.option("--keys", type=flags.EXISTING, help="Keys of an earlier proof of this circuit. [default: new ones]")
@click.option("--zkey", type=flags.EXISTING, help="A ceremony's key (snarkjs), in place of a development-grade setup.")
@click.option("--max-memory", type=click.FloatRange(0, min_open=True), help="GB the prover may be expected to need.")
@flags.out
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
    out: Path,
    force: bool,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Prove one inference of BUNDLE in zero knowledge (Groth16, bn254): OUT/proof for verifiers, OUT/keys for provers.

    What is not public stays secret. --dry-run prints constraints, seconds and memory; --max-memory refuses in advance.
    """
    if keys and zkey:
        raise UsageError(
            "--keys and --zkey name two keys",
            why="keys of an earlier proof hold their own, whether a ceremony made it or not",
            fix="give --zkey once to make keys of it, then --keys",
        )
    progress = steps()
    with progress.step("plan"):
        net = load(bundle)
        preflight(net, find("zk"))
        circuit = planned(statement(net, output), shown(public))
        plan = plan_of(circuit)
    if dry_run:
        answer(plan_document(plan), dry_text(plan), as_json=as_json)
        return
    if max_memory is not None:
        admit_memory(plan, int(max_memory * 1e9))
    sample = sample_of(net, bundle, source)
    wish = Wish(circuit, plan, {"model": digest(net), "output": output}, sample, keys, zkey)
    stamp = proved(wish, out, progress, force=force)
    text = "\n".join(
        [
            f"proof holds: {plan.constraints:,} constraints, 256 bytes, on {stamp['curve']}",
            f"model hash {stamp['model_hash']}",
            f"setup: {stamp['setup']}",
            f"wrote {out}; a verifier needs {out / 'proof'} and the model hash: arithmos verify-proof {out / 'proof'}",
        ]
    )
    answer({"out": str(out), **stamp}, text, as_json=as_json)
