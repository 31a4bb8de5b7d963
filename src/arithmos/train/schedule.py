"""The learning rate as a function of how far the training is."""

from __future__ import annotations

import math

from arithmos.train.config import Config


def learning_rate(config: Config, epochs: float) -> float:
    """rate(t) after `epochs` epochs, fractions included, for the step that begins there.

    Warm-up of w epochs: peak * t / w, where the first step already moves: t counts from the end of that step (Goyal et
    al., arXiv:1706.02677, section 2.2). After it, with s = (t - w) / (T - w) in [0, 1):
    cosine: peak * (1 + cos(pi s)) / 2 (Loshchilov, Hutter, arXiv:1608.03983, eq. 5, one cycle to 0);
    step: peak * decay**(number of milestones m with m <= t / T); constant: peak.
    """
    schedule, peak = config.schedule, config.optimizer.learning_rate
    if epochs < schedule.warmup_epochs:
        return peak * epochs / schedule.warmup_epochs
    match schedule.schedule:
        case "cosine":
            share = (epochs - schedule.warmup_epochs) / (config.epochs - schedule.warmup_epochs)
            return peak * (1 + math.cos(math.pi * share)) / 2
        case "step":
            return peak * schedule.decay ** sum(m <= epochs / config.epochs for m in schedule.milestones)
        case "constant":
            return peak


def rate_of_step(config: Config, epoch: int, step: int, n_steps: int) -> float:
    """The rate of step `step` (from 0) of `n_steps` in epoch `epoch` (from 0).

    Inside the warm-up the time of a step is its end, so that no step has rate 0; after it, its start.
    """
    start, end = epoch + step / n_steps, epoch + (step + 1) / n_steps
    warming = start < config.schedule.warmup_epochs
    return learning_rate(config, min(end, config.schedule.warmup_epochs) if warming else start)
