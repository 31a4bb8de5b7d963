"""Coefficient files: composites as hexadecimal floats with their proven errors, in JSON."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from arithmos.approx.composite import Composite, evaluate, relu_of
from arithmos.errors import UsageError, VerificationError

SCHEMA = 1
POINTS_PER_DEGREE = 8
FEWEST_POINTS = 4096


def text(composites: Iterable[Composite]) -> str:
    """The file's text: each number as the float64 it is, in hexadecimal; one composite a line."""
    rows = ",\n".join(json.dumps(_row(composite)) for composite in composites)
    return f'{{"schema": {SCHEMA}, "composites": [\n{rows}\n]}}\n'


def load(path: str | Path) -> tuple[Composite, ...]:
    """The composites of a file, each compared with the error it states.

    Raises UsageError for a file that cannot be read or understood, VerificationError if the ReLU of a composite misses
    by more than the stated error somewhere on a dense grid, or a stage leaves [-1, 1].
    """
    try:
        document = json.loads(Path(path).read_text(encoding="utf-8"))
        if document["schema"] != SCHEMA:
            raise ValueError(f"its schema is {document['schema']!r}, this version reads {SCHEMA}")
        composites = tuple(_composite(row) for row in document["composites"])
    except (OSError, ValueError, KeyError, TypeError, AttributeError, OverflowError) as error:
        raise UsageError(
            "this is no file of coefficients",
            where=str(path),
            why=f"{type(error).__name__}: {error}",
            fix="give a file that `arithmos.approx.coefficients.text` wrote",
        ) from error
    problems = [problem for composite in composites for problem in defects(composite)]
    if problems:
        raise VerificationError(
            "the coefficients do not keep what their file states",
            where=str(path),
            why="\n".join(problems),
            fix="restore the file, or state no error: null",
        )
    return composites


def defects(composite: Composite) -> list[str]:
    """What is seen to be wrong on a grid: an error above the stated one, a stage out of [-1, 1]. Empty if nothing is.

    It refutes, it does not prove: `certify.relu_bound` proves.
    """
    name, found = _name(composite), []
    x = np.sin(np.linspace(0, np.pi / 2, max(FEWEST_POINTS, POINTS_PER_DEGREE * math.prod(composite.degrees))))
    for n, stage in enumerate(composite.stages[:-1], 1):
        most = float(np.abs(evaluate(Composite((stage,)), np.concatenate([-x, x]))).max())
        if most > 1:
            found.append(f"{name}: stage {n} reaches {most:.9g} on [-1, 1], the next one takes 1")
    if composite.error is not None and not found:
        both = np.concatenate([-x, x])
        seen = float(np.abs(np.maximum(both, 0) - relu_of(composite, both)).max())
        if not seen <= composite.error:
            found.append(f"{name}: the error reaches {seen:.9g}, the file states {composite.error:.9g}")
    return found


def _name(composite: Composite) -> str:
    return f"degrees {list(composite.degrees)}, constant {composite.offset:.6g}"


def _row(composite: Composite) -> dict[str, Any]:
    return {
        "degrees": list(composite.degrees),
        "log2_error": None if composite.error is None else round(math.log2(composite.error), 4),
        "error": None if composite.error is None else composite.error.hex(),
        "offset": composite.offset.hex(),
        "stages": [[float(c).hex() if c else "0" for c in stage] for stage in composite.stages],
    }


def _composite(row: dict[str, Any]) -> Composite:
    stages = tuple(np.array([float.fromhex(c) for c in stage]) for stage in row["stages"])
    error = None if row["error"] is None else float.fromhex(row["error"])
    if error is not None and not (math.isfinite(error) and error > 0):
        raise ValueError(f"an error is a positive number, not {error}")
    composite = Composite(stages, float.fromhex(row["offset"]), error)
    if tuple(row["degrees"]) != composite.degrees:
        raise ValueError(f"degrees {row['degrees']} are stated, the stages have {list(composite.degrees)}")
    return composite
