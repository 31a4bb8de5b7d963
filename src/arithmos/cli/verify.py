"""`arithmos verify`: a bundle across runners, or a dump against itself; exit code 1 at the first difference."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from arithmos.cli import flags
from arithmos.cli.agreement import agreement_of, inputs_to_verify
from arithmos.cli.bundle import read_facts
from arithmos.cli.output import answer
from arithmos.cli.progress import steps
from arithmos.errors import UsageError, VerificationError
from arithmos.evidence.compare import require_integers
from arithmos.evidence.dump import MANIFEST_FILE
from arithmos.evidence.recheck import verify_dump
from arithmos.ir.codec import load


@click.command("verify")
@click.argument("subject", metavar="BUNDLE|DUMP", type=flags.EXISTING)
@click.option("--targets", default="engine,onnx,c", show_default=True, help="Runners to compare with the interpreter.")
@flags.device
@click.option("--input", "source", type=flags.EXISTING, help="Inputs as for `run`. [default: the bundle's golden ones]")
@flags.data_dir
@click.option("--samples", "n", type=click.IntRange(0), default=8, show_default=True, help="Samples of each kind.")
@click.option("--mutate", is_flag=True, help="Also change numbers of copies of the network, which must be noticed.")
@flags.seed
@flags.as_json
@flags.verbosity
def command(subject: Path, as_json: bool, **given: Any) -> None:
    """Compare every value of a bundle across runners by ==, on given, random, extreme and rounding-tie inputs.

    A folder that `arithmos dump` wrote is checked by itself: hashes, bounds, and every value computed again.
    """
    shown = steps()
    named = [name.strip() for name in given["targets"].split(",")]
    targets = [flags.on_device(name, given["device"]) if name == "engine" else name for name in named]
    if given["device"] != "cpu" and targets == named:
        raise UsageError(
            f"--device {given['device']} goes with target engine",
            why=f"the targets are {', '.join(named)}, which run on the processor",
            fix="leave --device out, or name engine among --targets",
        )
    if (subject / MANIFEST_FILE).is_file():
        with shown.step("recompute the dump"):
            dumped = verify_dump(subject)
        answer({**asdict(dumped), "ok": dumped.ok}, str(dumped), as_json=as_json)
        if not dumped.ok:
            raise VerificationError(
                "the dump is not one inference of its network",
                why=str(dumped.first_difference or dumped.problems[0]),
                fix="make the dump again; if nothing changed its files, report it with the bundle",
            )
        return
    with shown.step("load"):
        net = load(subject)
        require_integers(net, "verified")
        inputs = inputs_to_verify(subject, net, read_facts(subject), given)
    found = agreement_of(
        net,
        inputs,
        targets,
        shown,
        uniform=given["n"],
        corners=given["n"],
        ties=given["n"],
        mutants=2 if given["mutate"] else 0,
        seed=given["seed"],
        golden=subject,
        required=not flags.is_default("targets"),
    )
    answer(found.facts, found.text, as_json=as_json)
    if found.failure:
        raise found.failure
