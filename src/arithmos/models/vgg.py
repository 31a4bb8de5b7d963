"""The networks of Simonyan and Zisserman (VGG) for ImageNet and CIFAR-10; tensor names as in torchvision.

Source: Simonyan, Zisserman, "Very Deep Convolutional Networks for Large-Scale Image Recognition", arXiv:1409.1556,
table 1, columns A, B, D and E. The form for 32x32 pictures has one value a channel left after five pools and linear
layers of 512: the layout that Liu, Xie and Zhang prove, "zkCNN", ACM CCS 2021, doi:10.1145/3460120.3485379.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from types import MappingProxyType

import torch
from torch import nn

from arithmos.models.registry import register

CONVOLUTIONS: Mapping[int, tuple[int, ...]] = MappingProxyType(
    {11: (1, 1, 2, 2, 2), 13: (2, 2, 2, 2, 2), 16: (2, 2, 3, 3, 3), 19: (2, 2, 4, 4, 4)}
)
"""layers with weights -> 3x3 convolutions in each of the five stages; the other three layers are linear."""

CHANNELS = (64, 128, 256, 512, 512)


class Vgg(nn.Module):
    """Five stages of 3x3 convolutions, each closed by a 2x2 max pool; `grid` x `grid` means; three linear layers."""

    def __init__(
        self,
        convolutions: tuple[int, ...],
        channels: tuple[int, ...],
        batch_norm: bool,
        grid: int,
        hidden: int,
        classes: int,
    ) -> None:
        super().__init__()
        self.features = nn.Sequential(*_features(convolutions, channels, batch_norm))
        self.avgpool = nn.AdaptiveAvgPool2d((grid, grid))
        self.classifier = nn.Sequential(
            nn.Linear(channels[-1] * grid * grid, hidden),
            nn.ReLU(),
            nn.Dropout(),
            nn.Linear(hidden, hidden),
            nn.ReLU(),
            nn.Dropout(),
            nn.Linear(hidden, classes),
        )
        for module in self.modules():
            if isinstance(module, nn.Conv2d | nn.Linear) and module.bias is not None:
                nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
                nn.init.zeros_(module.bias)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """(batch, 3, h, w) of any size from 32x32 on -> logits (batch, classes)."""
        x = self.avgpool(self.features(images))
        logits: torch.Tensor = self.classifier(torch.flatten(x, 1))
        return logits


def _features(convolutions: tuple[int, ...], channels: tuple[int, ...], batch_norm: bool) -> Iterator[nn.Module]:
    channels_in = 3
    for count, width in zip(convolutions, channels, strict=True):
        for _ in range(count):
            yield nn.Conv2d(channels_in, width, kernel_size=3, padding=1)
            if batch_norm:
                yield nn.BatchNorm2d(width)
            yield nn.ReLU()
            channels_in = width
        yield nn.MaxPool2d(2)


@register(
    {
        "vgg11": (132_863_336, 7_609_090_048, {"layers": 11}),
        "vgg13": (133_047_848, 11_308_466_176, {"layers": 13}),
        "vgg16": (138_357_544, 15_470_264_320, {"layers": 16}),
        "vgg19": (143_667_240, 19_632_062_464, {"layers": 19}),
        "vgg11_bn": (132_868_840, 7_609_090_048, {"layers": 11, "batch_norm": True}),
        "vgg13_bn": (133_053_736, 11_308_466_176, {"layers": 13, "batch_norm": True}),
        "vgg16_bn": (138_365_992, 15_470_264_320, {"layers": 16, "batch_norm": True}),
        "vgg19_bn": (143_678_248, 19_632_062_464, {"layers": 19, "batch_norm": True}),
    },
    dataset="imagenet",
    input_shape=(3, 224, 224),
    classes=1000,
    normalisation="imagenet",
    source="arXiv:1409.1556",
    targets=("engine", "onnx", "c"),
)
def vgg(layers: int, classes: int, batch_norm: bool = False, hidden: int = 4096) -> Vgg:
    """7x7 means, linear layers of `hidden`."""
    return Vgg(CONVOLUTIONS[layers], CHANNELS, batch_norm, grid=7, hidden=hidden, classes=classes)


@register(
    {
        "cifar_vgg11": (9_750_922, 153_293_824, {"layers": 11}),
        "cifar_vgg13": (9_935_434, 228_791_296, {"layers": 13}),
        "cifar_vgg16": (15_245_130, 313_725_952, {"layers": 16}),
        "cifar_vgg19": (20_554_826, 398_660_608, {"layers": 19}),
        "cifar_vgg11_bn": (9_756_426, 153_293_824, {"layers": 11, "batch_norm": True}),
        "cifar_vgg13_bn": (9_941_322, 228_791_296, {"layers": 13, "batch_norm": True}),
        "cifar_vgg16_bn": (15_253_578, 313_725_952, {"layers": 16, "batch_norm": True}),
        "cifar_vgg19_bn": (20_565_834, 398_660_608, {"layers": 19, "batch_norm": True}),
    },
    dataset="cifar10",
    input_shape=(3, 32, 32),
    classes=10,
    normalisation="cifar10",
    source="arXiv:1409.1556; doi:10.1145/3460120.3485379",
    targets=("engine", "onnx", "c"),
)
def cifar_vgg(layers: int, classes: int, batch_norm: bool = False, hidden: int = 512) -> Vgg:
    """One mean a channel, linear layers of `hidden`."""
    return Vgg(CONVOLUTIONS[layers], CHANNELS, batch_norm, grid=1, hidden=hidden, classes=classes)
