"""Weights for any implementation of an architecture: each tensor is drawn from the seed of its own name."""

from __future__ import annotations

import math
import zlib

import numpy as np
import torch


def fill(model: torch.nn.Module) -> torch.nn.Module:
    """The model, its tensors drawn in place: weights N(0, 2 / fan in), variances U(0.5, 1.5), vectors around 1 or 0."""
    for name, tensor in model.state_dict().items():
        rng, shape = np.random.default_rng(zlib.crc32(name.encode())), tuple(tensor.shape)
        if tensor.ndim > 1:
            values = rng.standard_normal(shape) * math.sqrt(2 / math.prod(shape[1:]))
        elif name.endswith(("running_var", "weight")):
            values = rng.uniform(0.5, 1.5, shape)
        elif tensor.is_floating_point():
            values = rng.standard_normal(shape) * 0.1
        else:
            continue
        tensor.copy_(torch.from_numpy(values))
    return model
