"""GoogLeNet of Szegedy et al. with batch norm; tensor names as in torchvision.

Source: Szegedy et al., "Going Deeper with Convolutions", arXiv:1409.4842, table 1. As in the published torchvision
weights, the third branch of a block has a 3x3 convolution in place of the paper's 5x5, and the fourth max pool a window
of 2x2.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

import torch
from torch import nn
from torch.nn import functional

from arithmos.models.conv_norm import ConvNorm, to_signed
from arithmos.models.registry import register

BLOCKS: Mapping[str, tuple[int, ...]] = MappingProxyType(
    {
        "3a": (192, 64, 96, 128, 16, 32, 32),
        "3b": (256, 128, 128, 192, 32, 96, 64),
        "4a": (480, 192, 96, 208, 16, 48, 64),
        "4b": (512, 160, 112, 224, 24, 64, 64),
        "4c": (512, 128, 128, 256, 24, 64, 64),
        "4d": (512, 112, 144, 288, 32, 64, 64),
        "4e": (528, 256, 160, 320, 32, 128, 128),
        "5a": (832, 256, 160, 320, 32, 128, 128),
        "5b": (832, 384, 192, 384, 48, 128, 128),
    }
)
"""block -> channels in, of the 1x1, of the first 3x3 and before it, of the second and before it, behind the pool."""


class Block(nn.Module):
    """concat(1x1(x), 3x3(1x1(x)), 3x3(1x1(x)), 1x1(max pool(x)))."""

    def __init__(
        self, channels_in: int, one: int, before: int, three: int, before2: int, three2: int, pool: int
    ) -> None:
        super().__init__()
        self.branch1 = ConvNorm(channels_in, one, kernel_size=1)
        self.branch2 = nn.Sequential(
            ConvNorm(channels_in, before, kernel_size=1), ConvNorm(before, three, kernel_size=3, padding=1)
        )
        self.branch3 = nn.Sequential(
            ConvNorm(channels_in, before2, kernel_size=1), ConvNorm(before2, three2, kernel_size=3, padding=1)
        )
        self.branch4 = nn.Sequential(
            nn.MaxPool2d(kernel_size=3, stride=1, padding=1), ConvNorm(channels_in, pool, kernel_size=1)
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(batch, channels_in, h, w) -> (batch, sum of the branches' channels, h, w)."""
        return torch.cat([self.branch1(x), self.branch2(x), self.branch3(x), self.branch4(x)], dim=1)


class Head(nn.Module):
    """Auxiliary classifier, for training alone: 4x4 means, 1x1 convolution, two linear layers."""

    def __init__(self, channels_in: int, classes: int) -> None:
        super().__init__()
        self.conv = ConvNorm(channels_in, 128, kernel_size=1)
        self.fc1 = nn.Linear(128 * 4 * 4, 1024)
        self.fc2 = nn.Linear(1024, classes)
        self.dropout = nn.Dropout(0.7)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(batch, channels_in, h, w) -> logits (batch, classes)."""
        x = self.conv(functional.adaptive_avg_pool2d(x, (4, 4)))
        x = functional.relu(self.fc1(torch.flatten(x, 1)))
        logits: torch.Tensor = self.fc2(self.dropout(x))
        return logits


class GoogLeNet(nn.Module):
    """conv 7x7/2, conv 1x1, conv 3x3, nine blocks, four max pools between them, global mean, fc.

    transform_input: the pictures come with ImageNet's mean and deviation, and are changed to (pixel - 0.5) / 0.5.
    """

    auxiliary_weight = 0.3
    """What the loss of each auxiliary classifier counts; section 5 of the paper."""

    training_only = ("aux1.", "aux2.")
    """Tensors that a weights file may leave out."""

    def __init__(self, classes: int, auxiliary: bool, transform_input: bool) -> None:
        super().__init__()
        self.transform_input = transform_input
        self.conv1 = ConvNorm(3, 64, kernel_size=7, stride=2, padding=3)
        self.conv2 = ConvNorm(64, 64, kernel_size=1)
        self.conv3 = ConvNorm(64, 192, kernel_size=3, padding=1)
        for name, channels in BLOCKS.items():
            self.add_module(f"inception{name}", Block(*channels))
        self.aux1 = Head(512, classes) if auxiliary else None
        self.aux2 = Head(528, classes) if auxiliary else None
        self.dropout = nn.Dropout(0.2)
        self.fc = nn.Linear(1024, classes)

    def forward(self, images: torch.Tensor) -> torch.Tensor | tuple[torch.Tensor, ...]:
        """(batch, 3, h, w) of any size -> logits (batch, classes); in training those of the auxiliary heads, too."""
        x = to_signed(images) if self.transform_input else images
        x = _halved(self.conv1(x))
        x = _halved(self.conv3(self.conv2(x)))
        x = _halved(self._blocks(x, "3a", "3b"))
        x = first = self._blocks(x, "4a")
        x = second = self._blocks(x, "4b", "4c", "4d")
        x = functional.max_pool2d(self._blocks(x, "4e"), kernel_size=2, stride=2, ceil_mode=True)
        x = functional.adaptive_avg_pool2d(self._blocks(x, "5a", "5b"), 1)
        logits: torch.Tensor = self.fc(self.dropout(torch.flatten(x, 1)))
        if not self.training or self.aux1 is None or self.aux2 is None:
            return logits
        return logits, self.aux2(second), self.aux1(first)

    def _blocks(self, x: torch.Tensor, *names: str) -> torch.Tensor:
        for name in names:
            x = self.get_submodule(f"inception{name}")(x)
        return x


def _halved(x: torch.Tensor) -> torch.Tensor:
    return functional.max_pool2d(x, kernel_size=3, stride=2, ceil_mode=True)


@register(
    {"googlenet": (13_004_888, 1_498_376_192, {})},
    dataset="imagenet",
    input_shape=(3, 224, 224),
    classes=1000,
    normalisation="signed",
    source="arXiv:1409.4842",
    targets=("engine", "onnx", "c"),
)
def googlenet(classes: int, auxiliary: bool = True, transform_input: bool = False) -> GoogLeNet:
    """6,624,904 parameters without the auxiliary heads, which only training executes."""
    return GoogLeNet(classes, auxiliary, transform_input)
