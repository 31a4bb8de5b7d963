"""The CIFAR-10 residual networks of He et al., with parameter-free shortcuts (option A).

Source: He, Zhang, Ren, Sun, "Deep Residual Learning for Image Recognition", arXiv:1512.03385, section 4.2.
Tensor names are those of the published weights: conv1, bn1, layer{1,2,3}.{i}.conv{1,2} and bn{1,2}, linear.
"""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional

from arithmos.models.registry import register


class Block(nn.Module):
    """relu(bn2(conv2(relu(bn1(conv1(x))))) + shortcut(x)), both convolutions 3x3."""

    def __init__(self, channels_in: int, channels: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels_in, channels, kernel_size=3, stride=stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(channels)
        self.conv2 = nn.Conv2d(channels, channels, kernel_size=3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(channels)
        self.stride = stride
        self.new_channels = channels - channels_in

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(batch, channels_in, h, w) -> (batch, channels, h/stride, w/stride)."""
        y = functional.relu(self.bn1(self.conv1(x)))
        y = self.bn2(self.conv2(y)) + self.shortcut(x)
        return functional.relu(y)

    def shortcut(self, x: torch.Tensor) -> torch.Tensor:
        """Option A: every stride-th pixel, the new channels zero, half of them before and half after the old ones."""
        if self.stride == 1 and self.new_channels == 0:
            return x
        before = self.new_channels // 2
        subsampled = x[:, :, :: self.stride, :: self.stride]
        return functional.pad(subsampled, (0, 0, 0, 0, before, self.new_channels - before))


class CifarResNet(nn.Module):
    """conv 3->16, three stages of `blocks` residual blocks with 16, 32 and 64 channels, global mean, linear."""

    def __init__(self, blocks: int, classes: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 16, kernel_size=3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(16)
        self.layer1 = _stage(16, 16, blocks, stride=1)
        self.layer2 = _stage(16, 32, blocks, stride=2)
        self.layer3 = _stage(32, 64, blocks, stride=2)
        self.linear = nn.Linear(64, classes)
        for module in self.modules():
            if isinstance(module, nn.Conv2d | nn.Linear):
                nn.init.kaiming_normal_(module.weight)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """(batch, 3, h, w) -> logits (batch, classes)."""
        x = functional.relu(self.bn1(self.conv1(images)))
        x = self.layer3(self.layer2(self.layer1(x)))
        x = functional.adaptive_avg_pool2d(x, 1)
        logits: torch.Tensor = self.linear(torch.flatten(x, 1))
        return logits


def _stage(channels_in: int, channels: int, blocks: int, stride: int) -> nn.Sequential:
    first = Block(channels_in, channels, stride)
    return nn.Sequential(first, *(Block(channels, channels, 1) for _ in range(blocks - 1)))


@register(
    "resnet20",
    dataset="cifar10",
    input_shape=(3, 32, 32),
    classes=10,
    parameters=269_722,
    macs=40_551_040,
    normalisation="imagenet",
    source="arXiv:1512.03385",
)
def resnet20(classes: int = 10) -> CifarResNet:
    """3 blocks a stage: 6 * 3 + 2 = 20 layers."""
    return CifarResNet(blocks=3, classes=classes)


@register(
    "resnet32",
    dataset="cifar10",
    input_shape=(3, 32, 32),
    classes=10,
    parameters=464_154,
    macs=68_862_592,
    normalisation="imagenet",
    source="arXiv:1512.03385",
)
def resnet32(classes: int = 10) -> CifarResNet:
    """5 blocks a stage: 6 * 5 + 2 = 32 layers."""
    return CifarResNet(blocks=5, classes=classes)


@register(
    "resnet44",
    dataset="cifar10",
    input_shape=(3, 32, 32),
    classes=10,
    parameters=658_586,
    macs=97_174_144,
    normalisation="imagenet",
    source="arXiv:1512.03385",
)
def resnet44(classes: int = 10) -> CifarResNet:
    """7 blocks a stage: 6 * 7 + 2 = 44 layers."""
    return CifarResNet(blocks=7, classes=classes)


@register(
    "resnet56",
    dataset="cifar10",
    input_shape=(3, 32, 32),
    classes=10,
    parameters=853_018,
    macs=125_485_696,
    normalisation="imagenet",
    source="arXiv:1512.03385",
)
def resnet56(classes: int = 10) -> CifarResNet:
    """9 blocks a stage: 6 * 9 + 2 = 56 layers."""
    return CifarResNet(blocks=9, classes=classes)


@register(
    "resnet110",
    dataset="cifar10",
    input_shape=(3, 32, 32),
    classes=10,
    parameters=1_727_962,
    macs=252_887_680,
    normalisation="imagenet",
    source="arXiv:1512.03385",
)
def resnet110(classes: int = 10) -> CifarResNet:
    """18 blocks a stage: 6 * 18 + 2 = 110 layers."""
    return CifarResNet(blocks=18, classes=classes)
