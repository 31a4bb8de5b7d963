"""The agreement of runners on one bundle: comparison, golden values and mutants, as text and as facts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from arithmos.cli.bundle import golden_inputs, golden_values, preparation_of, read_inputs
from arithmos.cli.progress import Steps
from arithmos.errors import ArithmosError, UsageError, VerificationError
from arithmos.evidence.compare import Comparison, compare, named_values
from arithmos.evidence.mutate import MutationReport, mutate
from arithmos.evidence.verify import Check, verify
from arithmos.ir.border import named_inputs
from arithmos.ir.codec import GOLDEN_FILE
from arithmos.ir.graph import Graph
from arithmos.ir.interpret import evaluate
from arithmos.report.verification import mutation_facts, verification_facts
from arithmos.train.data.datasets import load


@dataclass(frozen=True, slots=True)
class Agreement:
    """What was compared, as text and as facts.

    failure: None if every runner agrees, the golden values hold, every mutant was noticed, and no target was skipped
    that had to run.
    """

    text: str
    facts: dict[str, Any]
    failure: ArithmosError | None

    @property
    def ok(self) -> bool:
        """Whether nothing failed."""
        return self.failure is None


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
    required: bool = False,
) -> Agreement:
    """Compare the targets with the interpreter on the inputs and on drawn ones; then golden values and mutants.

    required: a target that lacks an op or a tool is a failure, not a remark.
    """
    with steps.step("compare runners"):
        check = verify(net, inputs, targets, uniform=uniform, corners=corners, ties=ties, seed=seed)
    lines, failure = [str(check)], _disagreement(check, required)
    facts = verification_facts(check)
    if golden is not None and (golden / GOLDEN_FILE).is_file():
        with steps.step("golden values"):
            held, lacking = golden_comparison(golden, net)
        failure = failure or _stale(golden, held, lacking)
        lines.append(f"golden values: {held.first or f'{held.elements:,} elements equal'}")
        facts["golden"] = {"n_compared": held.elements, "n_equal": held.elements - held.different_elements}
    if mutants:
        ended = {row.target for row in check.rows if row.error}
        ran = [name for name in dict.fromkeys(targets) if name not in ended]
        with steps.step("mutants"):
            report = mutate(net, None, ran, each=mutants, seed=seed)
        failure = failure or _missed(report)
        lines.append(str(report))
        facts["mutations"] = mutation_facts(report)
    return Agreement("\n".join(lines), {**facts, "ok": failure is None}, failure)


_DEFECT = "report it with the bundle: equal integers are what arithmos promises"


def _disagreement(check: Check, required: bool) -> ArithmosError | None:
    """Why the runners are not equal: the first difference, a value that is not shown, an error of a runner, a required
    one that was skipped, or nothing that was compared."""
    skips = [row.error for row in check.rows if row.skipped and row.error and required]
    if check.ok:
        return skips[0] if skips else None
    if check.first_difference or any(row.hidden for row in check.rows):
        why = str(check.first_difference or "a value is not shown, see the table")
        return VerificationError("the runners do not agree", why=why, fix=_DEFECT)
    errors = [row.error for row in check.rows if row.result == "failed"] + skips
    if errors:
        return errors[0]
    skipped = "no runner ran" if len(check.skipped) * 2 == len(check.rows) else "there was no sample"
    return VerificationError(
        "nothing was compared",
        why=f"{skipped}, see the table",
        fix="choose runners with --targets and samples with --samples; `arithmos doctor` says how to get the others",
    )


def _stale(bundle: Path, held: Comparison, lacking: list[str]) -> VerificationError | None:
    """Why the golden values are not those of the network."""
    if held.first is None and not lacking:
        return None
    why = f"{GOLDEN_FILE} lacks {', '.join(lacking)}"
    if found := held.first:
        place = f"{found.value}[{', '.join(map(str, found.index))}]" if found.index else found.value
        why = (
            f"{place}: {GOLDEN_FILE} holds {found.actual}, the network computes {found.expected}\n"
            f"{held.different_elements:,} of {held.elements:,} golden numbers differ, in {held.different_values} values"
        )
    return VerificationError(
        "the golden values do not match the network",
        where=str(bundle),
        why=why,
        fix="make the bundle again with `arithmos quantize`, or, if this is the right network, renew them in Python:\n"
        f'ar.save(ar.load("{bundle}"), "renewed", golden=inputs)',
    )


def _missed(report: MutationReport) -> VerificationError | None:
    if report.ok:
        return None
    return VerificationError("a mutant was missed", why="a changed number went unnoticed, see the table", fix=_DEFECT)


def golden_comparison(bundle: Path, net: Graph) -> tuple[Comparison, list[str]]:
    """The bundle's golden values against the interpreter's on the same inputs, and the values it does not hold."""
    stored = golden_values(bundle, net)
    computed = evaluate(net, {name: stored[name] for name in net.inputs}, every=True)
    return compare(net, computed, stored), [name for name in named_values(net) if name not in stored]


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
