"""The outcome of a verification as plain data, for --json, report.json and the page."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from arithmos.evidence.mutate import MutationReport
from arithmos.evidence.verify import Check, Row


def verification_facts(check: Check, mutations: MutationReport | None = None) -> dict[str, Any]:
    """Every row with its counts, the samples by kind, the ties among them, the first difference, the mutants."""
    compared = sum(row.elements for row in check.rows)
    return {
        "ok": check.ok,
        "n_compared": compared,
        "n_equal": compared - sum(row.different_elements for row in check.rows),
        "samples": dict(check.samples),
        "ties": check.ties,
        "interpreter_s": round(check.interpreter_s, 3),
        "first_difference": str(check.first_difference or ""),
        "rows": [_row(row) for row in check.rows],
    } | ({"mutations": mutation_facts(mutations)} if mutations else {})


def _row(row: Row) -> dict[str, Any]:
    return {
        "target": row.target,
        "path": row.path,
        "result": row.result,
        "n_values": row.values,
        "of_values": row.of_values,
        "n_compared": row.elements,
        "n_equal": row.elements - row.different_elements,
        "n_samples": row.samples,
        "wall_s": round(row.wall_s, 3),
        "first_difference": str(row.first or ""),
        "skipped": row.skipped,
        "error": str(row.error or "") if not row.skipped else "",
    }


def mutation_facts(report: MutationReport) -> dict[str, Any]:
    """What became of the mutants, kind by kind."""
    return {
        "ok": report.ok,
        "targets": [name for name in report.targets if name not in report.skipped],
        "n_samples": report.samples,
        "n_caught": sum(row.caught for row in report.rows),
        "n_missed": sum(len(row.missed) for row in report.rows),
        "rows": [{**asdict(row), "missed": list(row.missed)} for row in report.rows],
    }
