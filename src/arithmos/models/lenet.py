"""LeNet-5 with relu and max pools, for MNIST and CIFAR-10.

Source: LeCun, Bottou, Bengio, Haffner, "Gradient-Based Learning Applied to Document Recognition", Proceedings of the
IEEE 86(11), 1998, figure 2. The form in use since: every map of the second convolution reads every map of the first,
relu in place of tanh, max pools in place of trained means, a linear last layer.
"""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional

from arithmos.models.registry import register


class LeNet5(nn.Module):
    """relu(conv 5x5 -> 6), pool 2, relu(conv 5x5 -> 16), pool 2, linear 120, 84, classes.

    The figure reads 32x32: smaller pictures (MNIST's 28x28) get a border of 2 pixels.
    """

    def __init__(self, channels: int, size: int, classes: int) -> None:
        super().__init__()
        padding = 2 if size < 32 else 0
        side = ((size + 2 * padding - 4) // 2 - 4) // 2
        self.conv1 = nn.Conv2d(channels, 6, kernel_size=5, padding=padding)
        self.conv2 = nn.Conv2d(6, 16, kernel_size=5)
        self.fc1 = nn.Linear(16 * side * side, 120)
        self.fc2 = nn.Linear(120, 84)
        self.fc3 = nn.Linear(84, classes)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """(batch, channels, size, size) -> logits (batch, classes)."""
        x = functional.max_pool2d(functional.relu(self.conv1(images)), 2)
        x = functional.max_pool2d(functional.relu(self.conv2(x)), 2)
        x = functional.relu(self.fc1(torch.flatten(x, 1)))
        logits: torch.Tensor = self.fc3(functional.relu(self.fc2(x)))
        return logits


@register(
    {"lenet5": (61_706, 416_520, {"channels": 1})},
    dataset="mnist",
    input_shape=(1, 28, 28),
    classes=10,
    normalisation="mnist",
    source="doi:10.1109/5.726791",
    targets=("engine", "onnx", "c"),
)
def lenet5(channels: int, classes: int, size: int = 28) -> LeNet5:
    """One channel, 28x28 pixels with a border; 32x32 without, by size=32."""
    return LeNet5(channels, size, classes)


@register(
    {"cifar_lenet5": (62_006, 651_720, {"channels": 3})},
    dataset="cifar10",
    input_shape=(3, 32, 32),
    classes=10,
    normalisation="cifar10",
    source="doi:10.1109/5.726791",
    targets=("engine", "onnx", "c"),
)
def cifar_lenet5(channels: int, classes: int, size: int = 32) -> LeNet5:
    """Three channels, 32x32 pixels."""
    return LeNet5(channels, size, classes)
