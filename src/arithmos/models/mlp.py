"""Linear layers with relu between them, for MNIST and digits."""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import nn

from arithmos.models.registry import register


class Mlp(nn.Module):
    """linear(relu(linear(... flatten(x)))) with `widths` values between the layers."""

    def __init__(self, widths: tuple[int, ...]) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for before, after in pairwise(widths):
            layers += [nn.Linear(before, after), nn.ReLU()]
        self.layers = nn.Sequential(*layers[:-1])

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """(batch, 1, size, size) -> logits (batch, classes)."""
        logits: torch.Tensor = self.layers(torch.flatten(images, 1))
        return logits


@register(
    {"mnist_mlp": (109_386, 109_184, {})},
    dataset="mnist",
    input_shape=(1, 28, 28),
    classes=10,
    normalisation="mnist",
    source="arithmos",
    targets=("engine", "onnx", "c"),
)
def mnist_mlp(classes: int, size: int = 28) -> Mlp:
    """784, 128, 64, 10."""
    return Mlp((size * size, 128, 64, classes))


@register(
    {"digits_mlp": (2_410, 2_368, {})},
    dataset="digits",
    input_shape=(1, 8, 8),
    classes=10,
    normalisation="unit",
    source="arithmos",
    targets=("engine", "onnx", "c"),
)
def digits_mlp(classes: int, size: int = 8) -> Mlp:
    """64, 32, 10."""
    return Mlp((size * size, 32, classes))
