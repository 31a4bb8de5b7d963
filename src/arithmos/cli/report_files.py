"""What `report` reads, held against what its page asks for: verifications, sweeps, sections of facts."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from arithmos.cli.bundle import read_facts
from arithmos.errors import UsageError
from arithmos.ir.codec import load
from arithmos.ir.graph import Graph
from arithmos.report.polynomial_page import fact_problems, sweep_problems
from arithmos.report.proof import verified_proof

_KINDS: dict[str, type | tuple[type, ...]] = {
    **dict.fromkeys(("n_compared", "n_equal", "ties"), int),
    "interpreter_s": (int, float),
    "samples": dict,
    "rows": list,
}
_ROW = {"target", "path", "result", "n_values", "of_values", "n_compared", "n_equal", "wall_s"}


def network_of(
    bundle: Path, trusted: str, verification: Path | None, proof: Path | None
) -> tuple[Graph, dict[str, Any]]:
    """(network, facts), with what was asked for beside them. trusted: the model hash of the proof, "" for none."""
    net, facts = load(bundle), read_facts(bundle)
    facts.setdefault("name", bundle.name)
    require_sections(net, facts, bundle / "report.json")
    if verification:
        facts["verification"] = read_verification(verification)
    if proof:
        facts["proof"] = verified_proof(net, proof, trusted)
    return net, facts


def read_verification(file: Path) -> dict[str, Any]:
    """What `arithmos verify --json` printed. Raises UsageError for anything else."""
    try:
        document = json.loads(file.read_text())
        missing = _KINDS.keys() - document.keys()
        if missing:
            raise ValueError(f"it lacks {', '.join(sorted(missing))}")
        wrong = [key for key, kind in _KINDS.items() if not isinstance(document[key], kind)]
        if wrong or not all(isinstance(row, dict) and row.keys() >= _ROW for row in document["rows"]):
            raise ValueError(f"{', '.join(wrong) or 'a row'} is not what a verification has there")
        return dict(document)
    except (ValueError, AttributeError, OSError) as error:
        raise UsageError(
            "this is not the result of a verification",
            where=str(file),
            why=str(error),
            fix="arithmos verify BUNDLE --json > FILE",
        ) from error


def read_sweep(file: Path) -> dict[str, Any]:
    """What `arithmos approximate --sweep-alpha` wrote. Raises UsageError for anything else."""
    try:
        document = json.loads(file.read_text())
        problems = sweep_problems(document)
    except (ValueError, OSError) as error:
        problems = [str(error)]
    if problems:
        raise UsageError(
            "this is not the result of a sweep",
            where=str(file),
            why="\n".join(problems),
            fix="arithmos approximate --sweep-alpha 4-14 -o FOLDER",
        )
    return dict(document)


def require_sections(net: Graph, facts: Mapping[str, Any], file: Path) -> None:
    """Raise UsageError, listing every key that the page of a polynomial network misses."""
    if net.op_set == "poly" and (problems := fact_problems(facts)):
        raise UsageError(
            "a file of the bundle cannot be read", where=str(file), why="\n".join(problems), fix="make the bundle again"
        )
