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
    {
        "resnet8": (75_290, 12_239_488, {"blocks": 1}),
        "resnet20": (269_722, 40_551_040, {"blocks": 3}),
        "resnet32": (464_154, 68_862_592, {"blocks": 5}),
        "resnet44": (658_586, 97_174_144, {"blocks": 7}),
        "resnet56": (853_018, 125_485_696, {"blocks": 9}),
        "resnet110": (1_727_962, 252_887_680, {"blocks": 18}),
    },
    dataset="cifar10",
    input_shape=(3, 32, 32),
    classes=10,
    normalisation="imagenet",
    source="arXiv:1512.03385",
    targets=("engine", "onnx", "c"),
)
def cifar_resnet(blocks: int, classes: int) -> CifarResNet:
    """6 * blocks + 2 layers: 3 blocks a stage are 20."""
    return CifarResNet(blocks, classes)
