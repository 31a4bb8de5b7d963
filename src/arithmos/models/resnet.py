"""The residual networks of He et al. with projection shortcuts, for ImageNet and CIFAR-10; torchvision's tensor names.

Source: He, Zhang, Ren, Sun, "Deep Residual Learning for Image Recognition", arXiv:1512.03385, table 1. As in the
published torchvision weights, a bottleneck's stride is in its 3x3 convolution, not in the first 1x1 as in the paper.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Literal

import torch
from torch import nn
from torch.nn import functional

from arithmos.models.registry import register


class BasicBlock(nn.Module):
    """relu(bn2(conv2(relu(bn1(conv1(x))))) + shortcut(x)), both convolutions 3x3, the first with the stride."""

    expansion = 1

    def __init__(self, channels_in: int, channels: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels_in, channels, kernel_size=3, stride=stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(channels)
        self.conv2 = nn.Conv2d(channels, channels, kernel_size=3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(channels)
        self.downsample = _projection(channels_in, channels * self.expansion, stride)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(batch, channels_in, h, w) -> (batch, channels, ceil(h/stride), ceil(w/stride))."""
        y = functional.relu(self.bn1(self.conv1(x)))
        y = self.bn2(self.conv2(y))
        shortcut = x if self.downsample is None else self.downsample(x)
        return functional.relu(y + shortcut)


class Bottleneck(nn.Module):
    """1x1 to `channels`, 3x3 with the stride, 1x1 to 4 * channels, plus the shortcut; relu after each."""

    expansion = 4

    def __init__(self, channels_in: int, channels: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels_in, channels, kernel_size=1, bias=False)
        self.bn1 = nn.BatchNorm2d(channels)
        self.conv2 = nn.Conv2d(channels, channels, kernel_size=3, stride=stride, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(channels)
        self.conv3 = nn.Conv2d(channels, channels * self.expansion, kernel_size=1, bias=False)
        self.bn3 = nn.BatchNorm2d(channels * self.expansion)
        self.downsample = _projection(channels_in, channels * self.expansion, stride)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(batch, channels_in, h, w) -> (batch, 4 * channels, ceil(h/stride), ceil(w/stride))."""
        y = functional.relu(self.bn1(self.conv1(x)))
        y = functional.relu(self.bn2(self.conv2(y)))
        y = self.bn3(self.conv3(y))
        shortcut = x if self.downsample is None else self.downsample(x)
        return functional.relu(y + shortcut)


class ResNet(nn.Module):
    """A stem, four stages of 64, 128, 256 and 512 channels (times expansion), global mean, fc.

    The large stem is conv 7x7/2 and max pool 3x3/2, for 224x224; the small one conv 3x3/1 and no pool, for 32x32.
    """

    def __init__(
        self,
        block: type[BasicBlock | Bottleneck],
        depths: tuple[int, ...],
        classes: int,
        stem: Literal["large", "small"] = "large",
    ) -> None:
        super().__init__()
        kernel, stride = (7, 2) if stem == "large" else (3, 1)
        self.conv1 = nn.Conv2d(3, 64, kernel_size=kernel, stride=stride, padding=kernel // 2, bias=False)
        self.bn1 = nn.BatchNorm2d(64)
        self.pooled = stem == "large"
        self.layer1 = _stage(block, 64, 64, depths[0], stride=1)
        self.layer2 = _stage(block, 64 * block.expansion, 128, depths[1], stride=2)
        self.layer3 = _stage(block, 128 * block.expansion, 256, depths[2], stride=2)
        self.layer4 = _stage(block, 256 * block.expansion, 512, depths[3], stride=2)
        self.fc = nn.Linear(512 * block.expansion, classes)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """(batch, 3, h, w) of any size -> logits (batch, classes)."""
        x = functional.relu(self.bn1(self.conv1(images)))
        if self.pooled:
            x = functional.max_pool2d(x, kernel_size=3, stride=2, padding=1)
        x = self.layer4(self.layer3(self.layer2(self.layer1(x))))
        x = functional.adaptive_avg_pool2d(x, 1)
        logits: torch.Tensor = self.fc(torch.flatten(x, 1))
        return logits


def _stage(
    block: type[BasicBlock | Bottleneck], channels_in: int, channels: int, depth: int, stride: int
) -> nn.Sequential:
    first = block(channels_in, channels, stride)
    rest = (block(channels * block.expansion, channels, 1) for _ in range(depth - 1))
    return nn.Sequential(first, *rest)


def _projection(channels_in: int, channels: int, stride: int) -> nn.Sequential | None:
    if stride == 1 and channels_in == channels:
        return None
    return nn.Sequential(
        nn.Conv2d(channels_in, channels, kernel_size=1, stride=stride, bias=False), nn.BatchNorm2d(channels)
    )


LAYERS: Mapping[int, tuple[type[BasicBlock | Bottleneck], tuple[int, ...]]] = MappingProxyType(
    {
        18: (BasicBlock, (2, 2, 2, 2)),
        34: (BasicBlock, (3, 4, 6, 3)),
        50: (Bottleneck, (3, 4, 6, 3)),
        101: (Bottleneck, (3, 4, 23, 3)),
        152: (Bottleneck, (3, 8, 36, 3)),
    }
)
"""layers -> (block, blocks of each stage): 18 = 2 * 8 + 2, 50 = 3 * 16 + 2."""


@register(
    {
        "resnet18": (11_689_512, 1_814_073_344, {"layers": 18}),
        "resnet34": (21_797_672, 3_663_761_408, {"layers": 34}),
        "resnet50": (25_557_032, 4_089_184_256, {"layers": 50}),
        "resnet101": (44_549_160, 7_801_405_440, {"layers": 101}),
        "resnet152": (60_192_808, 11_513_626_624, {"layers": 152}),
    },
    dataset="imagenet",
    input_shape=(3, 224, 224),
    classes=1000,
    normalisation="imagenet",
    source="arXiv:1512.03385",
    targets=("engine", "onnx", "c"),
)
@register(
    {
        "cifar_resnet18": (11_173_962, 555_422_720, {"layers": 18, "stem": "small"}),
        "cifar_resnet34": (21_282_122, 1_159_402_496, {"layers": 34, "stem": "small"}),
        "cifar_resnet50": (23_520_842, 1_297_829_888, {"layers": 50, "stem": "small"}),
        "cifar_resnet101": (42_512_970, 2_509_983_744, {"layers": 101, "stem": "small"}),
        "cifar_resnet152": (58_156_618, 3_722_137_600, {"layers": 152, "stem": "small"}),
    },
    dataset="cifar10",
    input_shape=(3, 32, 32),
    classes=10,
    normalisation="cifar10",
    source="arXiv:1512.03385, 3x3 stem",
    targets=("engine", "onnx", "c"),
)
def resnet(layers: int, classes: int, stem: Literal["large", "small"] = "large") -> ResNet:
    """The network of so many layers; stem "small" is for pictures of about 32x32, see ResNet."""
    return ResNet(*LAYERS[layers], classes=classes, stem=stem)
