"""The agreement of runners on one bundle: comparison, golden values and mutants, as text and as facts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import load_file

from arithmos.cli.bundle import golden_inputs, preparation_of, read_inputs
from arithmos.cli.progress import Steps
from arithmos.errors import UsageError
from arithmos.evidence.compare import Comparison, compare
from arithmos.evidence.mutate import mutate
from arithmos.evidence.verify import verify
from arithmos.ir.border import admit
from arithmos.ir.codec import GOLDEN_FILE
from arithmos.ir.graph import Graph
from arithmos.ir.interpret import evaluate
from arithmos.report.verification import verification_facts
from arithmos.targets.run import named_inputs
from arithmos.train.data.datasets import load


@dataclass(frozen=True, slots=True)
class Agreement:
    """ok: every runner agrees, the golden values hold, every mutant was noticed."""

    ok: bool
    text: str
    facts: dict[str, Any]
    first_difference: str


def agreement_of(
    net: Graph,
    inputs: Mapping[str, np.ndarray],
    targets: Sequence[str],
    steps: Steps,
    *,
    uniform: int,
    corners: int,
    ties: int,
    mutants: int,
    seed: int,
    golden: Path | None = None,
) -> Agreement:
    """Compare the targets with the interpreter on the inputs and on drawn ones; then golden values and mutants."""
    with steps.step("compare runners"):
        check = verify(net, inputs, targets, uniform=uniform, corners=corners, ties=ties, seed=seed)
    ok, lines, first = check.ok, [str(check)], str(check.first_difference or "")
    facts = verification_facts(check)
    if golden is not None and (golden / GOLDEN_FILE).is_file():
        with steps.step("golden values"):
            held = golden_comparison(golden, net)
        ok, first = ok and held.first is None, first or str(held.first or "")
        lines.append(f"golden values: {held.first or f'{held.elements:,} elements equal'}")
        facts["golden"] = {"n_compared": held.elements, "n_equal": held.elements - held.different_elements}
    if mutants:
        ran = [name for name in dict.fromkeys(targets) if name not in check.skipped]
        with steps.step("mutants"):
            report = mutate(net, None, ran, each=mutants, seed=seed)
        ok = ok and report.ok
        lines.append(str(report))
        facts = {**facts, **verification_facts(check, report), **{k: v for k, v in facts.items() if k == "golden"}}
    return Agreement(ok, "\n".join(lines), {**facts, "ok": ok}, first)


def golden_comparison(bundle: Path, net: Graph) -> Comparison:
    """The bundle's golden values against the interpreter's on the same inputs."""
    inputs = golden_inputs(bundle, net)
    return compare(net, evaluate(net, admit(net, inputs), every=True), load_file(bundle / GOLDEN_FILE))


def inputs_to_verify(
    bundle: Path, net: Graph, facts: dict[str, Any], given: Mapping[str, Any]
) -> dict[str, np.ndarray]:
    """The inputs of --input, the first test images of --data-dir, or the golden ones. Raises UsageError."""
    if given["source"]:
        return named_inputs(net, read_inputs(given["source"], facts))
    if given["data_dir"]:
        dataset = facts.get("origin", {}).get("dataset")
        if not dataset:
            raise UsageError(
                "this bundle does not say which data set it is for",
                where=str(bundle),
                why="it was made from arrays",
                fix="give the inputs with --input FILE",
            )
        images, _ = load(
            dataset, "test", given["data_dir"], limit=max(given["n"], 1), preparation=preparation_of(facts)
        )
        return {net.inputs[0]: images}
    return golden_inputs(bundle, net)
