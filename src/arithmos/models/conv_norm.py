"""The layer that the inception networks are made of: convolution, batch norm, relu."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn
from torch.nn import functional


class ConvNorm(nn.Module):
    """relu(bn(conv(x))), the convolution without bias, the batch norm with epsilon 0.001."""

    def __init__(self, channels_in: int, channels: int, **convolution: Any) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels_in, channels, bias=False, **convolution)
        self.bn = nn.BatchNorm2d(channels, eps=0.001)
        nn.init.kaiming_normal_(self.conv.weight, mode="fan_out", nonlinearity="relu")

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(batch, channels_in, h, w) -> (batch, channels, h', w')."""
        return functional.relu(self.bn(self.conv(x)))


def to_signed(images: torch.Tensor) -> torch.Tensor:
    """x * std / 0.5 + (mean - 0.5) / 0.5: from ImageNet's mean and deviation to those of 0.5.

    The published weights of the inception networks were trained on these. images: (batch, 3, h, w).
    """
    factor = torch.tensor((0.229, 0.224, 0.225), dtype=images.dtype, device=images.device).reshape(3, 1, 1) / 0.5
    offset = (
        torch.tensor((0.485, 0.456, 0.406), dtype=images.dtype, device=images.device).reshape(3, 1, 1) - 0.5
    ) / 0.5
    return images * factor + offset
