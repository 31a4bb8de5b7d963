"""The solvers as their papers write them, on the vectors themselves: what the fast forms are compared with."""

from __future__ import annotations

import numpy as np

from arithmos.quant.quantiser import Quantiser


def path_following(real: np.ndarray, quantise: Quantiser, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """GPFQ on vectors (groups, n, d): u += w_t y_t, q_t = Q(<x_t, u> / |x_t|^2), u -= q_t x_t."""
    q = np.zeros(real.shape)
    u = np.zeros((*real.shape[:2], x.shape[1]))
    for t in range(real.shape[2]):
        u += real[:, :, t, None] * y[:, None, :, t]
        energy = np.square(x[:, :, t]).sum(axis=1)
        product = (u * x[:, None, :, t]).sum(axis=2)
        level = np.divide(product, energy[:, None], out=np.zeros_like(product), where=energy[:, None] > 0)
        q[:, :, t] = quantise(level)
        u -= q[:, :, t, None] * x[:, None, :, t]
    return q.astype(np.int64)


def gptq_of_the_paper(real: np.ndarray, quantise: Quantiser, matrix: np.ndarray) -> np.ndarray:
    """One group: H^-1 = U^T U, every error (w_t - q_t) / U_tt carried to all later weights along row t of U."""
    factor = np.linalg.cholesky(np.linalg.inv(matrix)).T
    w, q = real.copy(), np.zeros(real.shape)
    for t in range(real.shape[1]):
        q[:, t] = quantise(w[None, :, t])[0]
        w[:, t:] -= ((w[:, t] - q[:, t]) / factor[t, t])[:, None] * factor[t, t:]
    return q.astype(np.int64)


def vectors(
    seed: int, groups: int, n: int, d: int, *, mixed: float = 1.0, noise: float = 0.2
) -> tuple[np.ndarray, np.ndarray]:
    """Correlated inputs (x, y) of the quantised and of the float network, shape (groups, n, d)."""
    rng = np.random.default_rng(seed)
    mixing = np.eye(d) + mixed * rng.normal(size=(groups, d, d)) / np.sqrt(d)
    y = np.maximum(rng.normal(size=(groups, n, d)) @ mixing + 0.3, 0)
    return np.maximum(y + noise * rng.normal(size=y.shape), 0), y
