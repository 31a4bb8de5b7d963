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
from arithmos.errors import VerificationError
from arithmos.evidence.dump import MANIFEST_FILE
from arithmos.evidence.recheck import verify_dump
from arithmos.ir.codec import load


@click.command("verify")
@click.argument("subject", metavar="BUNDLE|DUMP", type=flags.EXISTING)
@click.option("--targets", default="engine,onnx,c", show_default=True, help="Runners to compare with the interpreter.")
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
    if (subject / MANIFEST_FILE).is_file():
        with shown.step("recompute the dump"):
            dumped = verify_dump(subject)
        answer({**asdict(dumped), "ok": dumped.ok}, str(dumped), as_json=as_json)
        return _gate(dumped.ok, "the dump is not one inference of its network", str(dumped.first_difference or ""))
    with shown.step("load"):
        net = load(subject)
        inputs = inputs_to_verify(subject, net, read_facts(subject), given)
    found = agreement_of(
        net,
        inputs,
        given["targets"].split(","),
        shown,
        uniform=given["n"],
        corners=given["n"],
        ties=given["n"],
        mutants=2 if given["mutate"] else 0,
        seed=given["seed"],
        golden=subject,
    )
    answer(found.facts, found.text, as_json=as_json)
    return _gate(found.ok, "the runners do not agree", found.first_difference)


def _gate(ok: bool, what: str, first: str) -> None:
    if not ok:
        raise VerificationError(
            what,
            why=first or "see the table: nothing was compared, or a mutant was missed",
            fix="report it with the bundle: equal integers are what arithmos promises",
        )
