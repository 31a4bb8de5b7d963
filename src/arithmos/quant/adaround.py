"""AdaRound: which way each weight is rounded, learned by gradient descent on the squared error of a layer's outputs.

Source: Nagel et al., arXiv 2004.10568, equations 21 to 25; here on the Gram matrix, so that a step needs no sample.
"""

from __future__ import annotations

import numpy as np

from arithmos.ir.interval import Interval

ZETA, GAMMA = 1.1, -0.1
"""Stretch of the sigmoid: h reaches 0 and 1."""

WARM_UP = 0.2
"""Share of the steps without the pull towards 0 and 1."""


def adaround(
    real: np.ndarray,
    levels: Interval,
    gram: np.ndarray,
    *,
    n_steps: int = 1000,
    rate: float = 0.05,
    pull: float = 1.0,
) -> np.ndarray:
    """Integers clip(floor(V) + (h >= 1/2)), h learned: shape and type of the rounding, every row on its own.

    Minimises e G e^T / mean(diag G) + pull * sum(1 - |2 h - 1|**beta) by Adam, e = floor(V) + h - V clipped to the
    levels, h = clip(1.2 sigmoid(u) - 0.1, 0, 1), beta falling from 20 to 2. real: V = weight / step, shape
    (groups, rows, d); gram: (groups, d, d). A step costs rows * d**2 multiply-adds a group, in float32.
    """
    size = np.einsum("gii->g", gram) / gram.shape[1]
    g = (gram / np.where(size > 0, size, 1.0)[:, None, None]).astype(np.float32)
    v = real.astype(np.float32)
    base = np.floor(v)
    start = np.clip((v - base - GAMMA) / (ZETA - GAMMA), 1e-3, 1 - 1e-3)
    u = np.log(start / (1 - start))
    moment, square = np.zeros_like(u), np.zeros_like(u)
    for step in range(n_steps):
        sigmoid = 1 / (1 + np.exp(-u))
        stretched = (ZETA - GAMMA) * sigmoid + GAMMA
        h = np.clip(stretched, 0, 1)
        slope = (ZETA - GAMMA) * sigmoid * (1 - sigmoid) * ((stretched > 0) & (stretched < 1))
        q = base + h
        inside = (q >= levels.lo) & (q <= levels.hi)
        gradient = 2 * np.matmul(np.clip(q, levels.lo, levels.hi) - v, g) * inside
        progress = step / n_steps
        if progress >= WARM_UP:
            beta = np.float32(2 + 18 * (1 - (progress - WARM_UP) / (1 - WARM_UP)))
            distance = np.abs(2 * h - 1)
            gradient -= pull * 2 * beta * distance ** (beta - 1) * np.sign(2 * h - 1)
        gradient *= slope
        moment += np.float32(0.1) * (gradient - moment)
        square += np.float32(0.001) * (gradient * gradient - square)
        corrected = moment / np.float32(1 - 0.9 ** (step + 1))
        u -= np.float32(rate) * corrected / (np.sqrt(square / np.float32(1 - 0.999 ** (step + 1))) + np.float32(1e-8))
    return np.asarray(np.clip(base + (u >= 0), levels.lo, levels.hi), dtype=np.int64)
