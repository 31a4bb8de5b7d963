"""min over v of max |start + matrix v|: linear programming over the few rows that matter, found by exchange."""

from __future__ import annotations

from typing import Any

import numpy as np

from arithmos.extras import require

ROUNDS = 40
TIGHT = 1e-9
SCALE = 2.0**10
"""Rows of the programs are of this size, so that the solver's absolute tolerances are far below the error."""


def least_maximum(
    matrix: np.ndarray, start: np.ndarray, guards: np.ndarray | None = None, box: np.ndarray | None = None
) -> tuple[np.ndarray, float]:
    """argmin over v of max |start + matrix v| subject to |guards v| <= 1 and |v| <= box, and that maximum.

    matrix: (rows, n), in the order of the points they belong to; guards: (any, n); box: (n,), 0 holds an entry at 0.
    Each round adds the violated local maxima. v = 0 must be allowed; it is the answer where the solver finds none.
    Deterministic. Needs the extra `polynomials`.
    """
    n = matrix.shape[1]
    guards = np.zeros((0, n)) if guards is None else guards
    optimize = require("scipy.optimize", "polynomials")
    scale = SCALE / float(np.abs(start).max())
    rows = np.unique(
        np.concatenate([_peaks(np.abs(start), 0.0, 4 * n), np.linspace(0, len(start) - 1, 2 * n).astype(int)])
    )
    kept = np.zeros(0, dtype=int)
    best, level = np.zeros(n), float(np.abs(start).max())
    for _ in range(ROUNDS):
        found = _solved(optimize, matrix[rows] * scale, start[rows] * scale, guards[kept], box)
        if found is None:
            break
        best, level = found[:-1], float(found[-1]) / scale
        error, strain = np.abs(start + matrix @ best), np.abs(guards @ best)
        over, bent = _peaks(error, level * (1 + TIGHT), 8 * n), _peaks(strain, 1 + TIGHT, 4 * n)
        more, harder = np.union1d(rows, over), np.union1d(kept, bent)
        if len(more) == len(rows) and len(harder) == len(kept):
            break
        rows, kept = more, harder
    return best, level


def _solved(
    optimize: Any, matrix: np.ndarray, start: np.ndarray, guards: np.ndarray, box: np.ndarray | None
) -> np.ndarray | None:
    """(v, t) of one program: t >= |start + matrix v| in every row."""
    n, ones = matrix.shape[1], np.ones((len(start), 1))
    still = np.zeros((len(guards), 1))
    bounds = np.full((n + 1, 2), [-np.inf, np.inf])
    if box is not None:
        bounds[:n] = np.column_stack([-box, box])
    found = optimize.linprog(
        np.append(np.zeros(n), 1.0),
        A_ub=np.block([[matrix, -ones], [-matrix, -ones], [guards, still], [-guards, still]]),
        b_ub=np.concatenate([-start, start, np.ones(2 * len(guards))]),
        bounds=bounds,
        method="highs",
    )
    return None if found.x is None else np.asarray(found.x)


def _peaks(size: np.ndarray, least: float, most: int) -> np.ndarray:
    """The largest local maxima above `least`, at most `most` of them."""
    padded = np.concatenate([[-1.0], size, [-1.0]])
    peaks = np.flatnonzero((size >= padded[:-2]) & (size >= padded[2:]) & (size > least))
    return peaks[np.argsort(-size[peaks], kind="stable")[:most]]
