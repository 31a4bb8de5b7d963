"""Networks of the zoo with random weights that are alive: every layer's values are spread, as in a trained network."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from arithmos.models.registry import build, entry

BATCH = 8


def alive(name: str, *, size: int | None = None, seed: int = 0, **options: Any) -> nn.Module:
    """The network for pictures of `size`; batch norms hold the statistics of noise, and random weights and biases.

    size: None for its own. options: the builder's, such as classes.
    """
    network = build(name, seed=seed, size=size, **options)
    norms = [module for module in network.modules() if isinstance(module, nn.BatchNorm2d)]
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for norm in norms:
            norm.weight.copy_(0.5 + torch.rand(norm.weight.shape, generator=generator))
            norm.bias.copy_(0.3 * torch.randn(norm.bias.shape, generator=generator))
            norm.momentum = None  # the statistics of this batch, not an average with the first ones
            norm.train()
        channels, *_ = entry(name).input_shape
        side = size or entry(name).input_shape[-1]
        network(torch.randn(BATCH, channels, side, side, generator=generator))
    return network.eval()


def smallest(name: str) -> int:
    """Pixels a side of the smallest picture worth a test: its own for small data sets, 75 for Inception, else 32."""
    facts = entry(name)
    if facts.dataset != "imagenet":
        return facts.input_shape[-1]
    return 75 if name.startswith("inception") else 32
