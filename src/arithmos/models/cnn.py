"""Two convolutions, a pool after one or both, and a linear layer, for digits and MNIST."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional

from arithmos.models.registry import register


class DigitsCnn(nn.Module):
    """relu(conv 1->8) -> relu(conv 8->16) -> max pool 2 -> linear, on (batch, 1, size, size) in [0, 1]."""

    def __init__(self, classes: int, size: int = 8) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(1, 8, kernel_size=3, padding=1)
        self.conv2 = nn.Conv2d(8, 16, kernel_size=3, padding=1)
        self.fc = nn.Linear(16 * (size // 2) ** 2, classes)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Logits, (batch, classes)."""
        features = functional.relu(self.conv1(images))
        features = functional.relu(self.conv2(features))
        features = functional.max_pool2d(features, 2)
        logits: torch.Tensor = self.fc(torch.flatten(features, 1))
        return logits


class MnistCnn(nn.Module):
    """relu(conv 1->16) -> max pool 2 -> relu(conv 16->32) -> max pool 2 -> linear, on (batch, 1, size, size)."""

    def __init__(self, classes: int, size: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(1, 16, kernel_size=3, padding=1)
        self.conv2 = nn.Conv2d(16, 32, kernel_size=3, padding=1)
        self.fc = nn.Linear(32 * (size // 4) ** 2, classes)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Logits, (batch, classes)."""
        features = functional.max_pool2d(functional.relu(self.conv1(images)), 2)
        features = functional.max_pool2d(functional.relu(self.conv2(features)), 2)
        logits: torch.Tensor = self.fc(torch.flatten(features, 1))
        return logits


@register(
    {"digits_cnn": (3_818, 80_896, {})},
    dataset="digits",
    input_shape=(1, 8, 8),
    classes=10,
    normalisation="unit",
    source="arithmos",
    targets=("engine", "onnx", "c"),
)
def digits_cnn(classes: int, size: int = 8) -> DigitsCnn:
    """The network of the demonstration; trained in seconds by arithmos.train.digits."""
    return DigitsCnn(classes, size)


@register(
    {"mnist_cnn": (20_490, 1_031_744, {})},
    dataset="mnist",
    input_shape=(1, 28, 28),
    classes=10,
    normalisation="mnist",
    source="arithmos",
    targets=("engine", "onnx", "c"),
)
def mnist_cnn(classes: int, size: int = 28) -> MnistCnn:
    """About 99% on MNIST after a few epochs."""
    return MnistCnn(classes, size)
