"""Progressive replacement: which activations are polynomials at a step of a training."""

from __future__ import annotations


def n_replaced(step: int, n_steps: int, n_layers: int) -> int:
    """min(n, 1 + floor(n * step / n_steps)): layers, first layer first, that are polynomials in this step, from 0.

    Every layer has equally many steps until the next one follows; the last is replaced n_steps / n before the end of
    these steps. n_steps of 0: all at once. Source: SMART-PAF, arXiv 2404.03216.
    """
    return n_layers if n_steps <= 0 else min(n_layers, 1 + n_layers * step // n_steps)
