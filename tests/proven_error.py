"""A second proof of sup norms, which shares nothing with arithmos.approx.certify: float64, vectorized, rounding
bounded.
 A stage q is expanded at y0 to fourth order; the fifth derivative is bounded on [-1, 1] by the sum of the magnitudes of
its Chebyshev coefficients. Every evaluation by Clenshaw's recurrence of n terms is off by at most 16 n^3 u sum |c|:
each of n steps rounds thrice, its operands are at most n sum |c|, and an error grows by at most |U_n| <= n on the way
out.
"""

from __future__ import annotations

from math import factorial

import numpy as np
from numpy.polynomial.chebyshev import chebder, chebval

ROUNDING = 2.0**-53
MOST_CELLS, MOST_HALVINGS = 1_000_000, 30
Model = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]  # y within rest of c0 + c1 s + c2 s^2 for |s| <= radius


def relu_error_is_at_most(stages: list[np.ndarray], offset: float, limit: float) -> bool:
    """Whether |max(x, 0) - x (1 + p(x)) / 2 - offset| <= limit is proven on [-1, 1], p odd."""
    assert all(not np.any(stage[::2]) for stage in stages)  # so that the error is even

    def error(middle: np.ndarray, radius: np.ndarray) -> Model:
        y = _composed(stages, middle, radius)
        c0, c1, c2 = (1 - y[0]) / 2, -y[1] / 2, -y[2] / 2
        rest = (middle + radius) * y[3] / 2 + np.abs(c2) * radius**3 + 2.0**-48
        return middle * c0 - offset, middle * c1 + c0, middle * c2 + c1, rest

    return _at_most(error, limit)


def stays_inside(stage: np.ndarray) -> bool:
    """Whether |q| <= 1 is proven on [-1, 1] for an odd q."""
    return _at_most(lambda middle, radius: _composed([stage], middle, radius), 1.0)


def _at_most(error, limit: float) -> bool:
    edges = np.linspace(0, 1, 1025)
    low, high = edges[:-1], edges[1:]
    done, rounds = 0, 0
    while low.size:
        done, rounds = done + low.size, rounds + 1
        if done > MOST_CELLS or rounds > MOST_HALVINGS:
            return False
        middle = (low + high) / 2
        radius = np.maximum(high - middle, middle - low) * (1 + 2.0**-50)
        open_ = ~(_largest(error(middle, radius), radius) <= limit)
        low, middle, high = low[open_], middle[open_], high[open_]
        low, high = np.concatenate([low, middle]), np.concatenate([middle, high])
    return True


def _largest(model: Model, radius: np.ndarray) -> np.ndarray:
    """Of |c0 + c1 s + c2 s^2| + rest: at the ends, and at the turn where it lies inside."""
    c0, c1, c2, rest = model
    ends = np.maximum(np.abs(c0 + c1 * radius + c2 * radius**2), np.abs(c0 - c1 * radius + c2 * radius**2))
    with np.errstate(divide="ignore", invalid="ignore"):
        turn = np.where(np.abs(c1) <= 2.001 * np.abs(c2) * radius, np.abs(c0 - c1**2 / (4 * c2)), 0.0)
    return (np.maximum(ends, np.nan_to_num(turn, nan=0.0)) + rest) * (1 + 2.0**-48)


def _composed(stages: list[np.ndarray], middle: np.ndarray, radius: np.ndarray) -> Model:
    model = middle, np.ones_like(middle), np.zeros_like(middle), np.zeros_like(middle)
    for stage in stages:
        model = _after(stage, model, radius)
    return model


def _after(stage: np.ndarray, y: Model, radius: np.ndarray) -> Model:
    centre, c1, c2, rest = y
    centre = np.clip(centre, -1, 1)
    rest = rest + np.abs(centre - y[0])
    b, noise = [], []
    for k in range(5):
        series = chebder(stage, k)
        b.append(chebval(centre, series) / factorial(k))
        noise.append(16 * len(stage) ** 3 * ROUNDING * np.abs(series).sum() / factorial(k))
    bend = np.abs(c2) * radius**2 + rest
    most = np.abs(c1) * radius
    reach = most + bend
    fifth = np.abs(chebder(stage, 5)).sum() * (1 + 2.0**-40) if len(stage) > 5 else 0.0
    out = (np.abs(b[1]) + noise[1]) * rest + np.abs(b[2]) * bend * (2 * most + bend)
    out += sum(noise[k] * reach**k for k in range(3))
    out += (np.abs(b[3]) + noise[3]) * reach**3 + (np.abs(b[4]) + noise[4]) * reach**4 + fifth / 120 * reach**5
    return b[0], b[1] * c1, b[1] * c2 + b[2] * c1**2, out * (1 + 2.0**-40)
