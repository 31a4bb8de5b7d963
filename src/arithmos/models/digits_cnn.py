"""The smallest network of the zoo: two convolutions, a pool and a linear layer for 8x8 grey digits."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional

from arithmos.models.registry import register


class DigitsCnn(nn.Module):
    """relu(conv 1->8) -> relu(conv 8->16) -> max pool 2 -> linear 256->classes, on (batch, 1, 8, 8) in [0, 1]."""

    def __init__(self, classes: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(1, 8, kernel_size=3, padding=1)
        self.conv2 = nn.Conv2d(8, 16, kernel_size=3, padding=1)
        self.fc = nn.Linear(16 * 4 * 4, classes)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Logits, (batch, classes)."""
        features = functional.relu(self.conv1(images))
        features = functional.relu(self.conv2(features))
        features = functional.max_pool2d(features, 2)
        logits: torch.Tensor = self.fc(torch.flatten(features, 1))
        return logits


@register(
    "digits_cnn",
    dataset="digits",
    input_shape=(1, 8, 8),
    classes=10,
    parameters=3_818,
    macs=80_896,
    normalisation="unit",
    source="arithmos",
)
def digits_cnn(classes: int = 10) -> DigitsCnn:
    """The network of the demonstration; trained in seconds by arithmos.train.digits."""
    return DigitsCnn(classes)
