"""Inception-v3 of Szegedy et al.; tensor names as in torchvision.

Source: Szegedy et al., "Rethinking the Inception Architecture for Computer Vision", arXiv:1512.00567, table 1 and
figures 5, 6 and 7.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

import torch
from torch import nn
from torch.nn import functional

from arithmos.models.conv_norm import ConvNorm, to_signed
from arithmos.models.registry import register

Layer = tuple[str, int, tuple[int, int], int]
"""Tensor name, channels, kernel, stride. Stride 1 keeps the height and width, stride 2 adds no border."""

Step = tuple[Layer, ...]
"""Layers that read one value; the results of several are concatenated."""

Branch = tuple[Step, ...]


def _average(x: torch.Tensor) -> torch.Tensor:
    return functional.avg_pool2d(x, kernel_size=3, stride=1, padding=1)


def _halved(x: torch.Tensor) -> torch.Tensor:
    return functional.max_pool2d(x, kernel_size=3, stride=2)


POOLS: Mapping[str, Callable[[torch.Tensor], torch.Tensor]] = MappingProxyType({"average": _average, "max": _halved})


def _layer(name: str, channels: int, *kernel: int, stride: int = 1) -> Step:
    return ((name, channels, (kernel[0], kernel[-1]), stride),)


def _small(pool: int) -> tuple[Branch, ...]:
    """Figure 5, one 5x5 convolution kept: 35x35 values; `pool` channels behind the average."""
    return (
        (_layer("branch1x1", 64, 1),),
        (_layer("branch5x5_1", 48, 1), _layer("branch5x5_2", 64, 5)),
        (_layer("branch3x3dbl_1", 64, 1), _layer("branch3x3dbl_2", 96, 3), _layer("branch3x3dbl_3", 96, 3)),
        (_layer("branch_pool", pool, 1),),
    )


def _factored(c: int) -> tuple[Branch, ...]:
    """Figure 6 with n = 7: 17x17 values; `c` channels within the branches."""
    return (
        (_layer("branch1x1", 192, 1),),
        (_layer("branch7x7_1", c, 1), _layer("branch7x7_2", c, 1, 7), _layer("branch7x7_3", 192, 7, 1)),
        (
            _layer("branch7x7dbl_1", c, 1),
            _layer("branch7x7dbl_2", c, 7, 1),
            _layer("branch7x7dbl_3", c, 1, 7),
            _layer("branch7x7dbl_4", c, 7, 1),
            _layer("branch7x7dbl_5", 192, 1, 7),
        ),
        (_layer("branch_pool", 192, 1),),
    )


TO_17: tuple[Branch, ...] = (
    (_layer("branch3x3", 384, 3, stride=2),),
    (_layer("branch3x3dbl_1", 64, 1), _layer("branch3x3dbl_2", 96, 3), _layer("branch3x3dbl_3", 96, 3, stride=2)),
    (),
)
"""Figure 10: 35x35 to 17x17 values."""

TO_8: tuple[Branch, ...] = (
    (_layer("branch3x3_1", 192, 1), _layer("branch3x3_2", 320, 3, stride=2)),
    (
        _layer("branch7x7x3_1", 192, 1),
        _layer("branch7x7x3_2", 192, 1, 7),
        _layer("branch7x7x3_3", 192, 7, 1),
        _layer("branch7x7x3_4", 192, 3, stride=2),
    ),
    (),
)

WIDE: tuple[Branch, ...] = (
    (_layer("branch1x1", 320, 1),),
    (_layer("branch3x3_1", 384, 1), _layer("branch3x3_2a", 384, 1, 3) + _layer("branch3x3_2b", 384, 3, 1)),
    (
        _layer("branch3x3dbl_1", 448, 1),
        _layer("branch3x3dbl_2", 384, 3),
        _layer("branch3x3dbl_3a", 384, 1, 3) + _layer("branch3x3dbl_3b", 384, 3, 1),
    ),
    (_layer("branch_pool", 192, 1),),
)
"""Figure 7: 8x8 values."""

BLOCKS: Mapping[str, tuple[int, str, tuple[Branch, ...]]] = MappingProxyType(
    {
        "Mixed_5b": (192, "average", _small(32)),
        "Mixed_5c": (256, "average", _small(64)),
        "Mixed_5d": (288, "average", _small(64)),
        "Mixed_6a": (288, "max", TO_17),
        "Mixed_6b": (768, "average", _factored(128)),
        "Mixed_6c": (768, "average", _factored(160)),
        "Mixed_6d": (768, "average", _factored(160)),
        "Mixed_6e": (768, "average", _factored(192)),
        "Mixed_7a": (768, "max", TO_8),
        "Mixed_7b": (1280, "average", WIDE),
        "Mixed_7c": (2048, "average", WIDE),
    }
)
"""block -> channels in, the pool before its last branch, its branches."""


HEAD_SIDE = 17
"""The auxiliary head has no border: values of fewer rows or columns leave nothing of its 5x5 convolution."""


class Block(nn.Module):
    """concat of every branch(x), the last one behind a pool."""

    def __init__(self, channels_in: int, pool: str, branches: tuple[Branch, ...]) -> None:
        super().__init__()
        self.pool, self.branches = POOLS[pool], branches
        for branch in branches:
            channels = channels_in
            for step in branch:
                for name, width, kernel, stride in step:
                    padding = (kernel[0] // 2, kernel[1] // 2) if stride == 1 else (0, 0)
                    layer = ConvNorm(channels, width, kernel_size=kernel, stride=stride, padding=padding)
                    self.add_module(name, layer)
                channels = sum(width for _, width, _, _ in step)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(batch, channels_in, h, w) -> (batch, sum of the branches' channels, h', w')."""
        *straight, pooled = self.branches
        return torch.cat([*(self._branch(x, branch) for branch in straight), self._branch(self.pool(x), pooled)], dim=1)

    def _branch(self, x: torch.Tensor, branch: Branch) -> torch.Tensor:
        for step in branch:
            results = [self.get_submodule(name)(x) for name, *_ in step]
            x = results[0] if len(results) == 1 else torch.cat(results, dim=1)
        return x


class Head(nn.Module):
    """Auxiliary classifier on 17x17 values, for training alone; section 4 of the paper."""

    def __init__(self, channels_in: int, classes: int) -> None:
        super().__init__()
        self.conv0 = ConvNorm(channels_in, 128, kernel_size=1)
        self.conv1 = ConvNorm(128, 768, kernel_size=5)
        self.fc = nn.Linear(768, classes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(batch, channels_in, h, w) -> logits (batch, classes)."""
        x = self.conv1(self.conv0(functional.avg_pool2d(x, kernel_size=5, stride=3)))
        logits: torch.Tensor = self.fc(torch.flatten(functional.adaptive_avg_pool2d(x, 1), 1))
        return logits


class Inception3(nn.Module):
    """Five convolutions and two pools, eleven blocks, global mean, fc.

    transform_input: the pictures come with ImageNet's mean and deviation, and are changed to (pixel - 0.5) / 0.5.
    """

    auxiliary_weight = 0.4
    """What the loss of the auxiliary classifier counts, as for the published weights."""

    training_only = ("AuxLogits.",)
    """Tensors that a weights file may leave out."""

    def __init__(self, classes: int, auxiliary: bool, transform_input: bool) -> None:
        super().__init__()
        self.transform_input = transform_input
        self.Conv2d_1a_3x3 = ConvNorm(3, 32, kernel_size=3, stride=2)
        self.Conv2d_2a_3x3 = ConvNorm(32, 32, kernel_size=3)
        self.Conv2d_2b_3x3 = ConvNorm(32, 64, kernel_size=3, padding=1)
        self.Conv2d_3b_1x1 = ConvNorm(64, 80, kernel_size=1)
        self.Conv2d_4a_3x3 = ConvNorm(80, 192, kernel_size=3)
        for name, block in BLOCKS.items():
            self.add_module(name, Block(*block))
        self.AuxLogits = Head(768, classes) if auxiliary else None
        self.dropout = nn.Dropout()
        self.fc = nn.Linear(2048, classes)

    def forward(self, images: torch.Tensor) -> torch.Tensor | tuple[torch.Tensor, ...]:
        """(batch, 3, h, w) from 75x75 on -> logits (batch, classes); in training those of the auxiliary head, too.

        Pictures whose values before the head are smaller than its 17x17 are trained without it.
        """
        x = to_signed(images) if self.transform_input else images
        x = _halved(self.Conv2d_2b_3x3(self.Conv2d_2a_3x3(self.Conv2d_1a_3x3(x))))
        x = _halved(self.Conv2d_4a_3x3(self.Conv2d_3b_1x1(x)))
        auxiliary: tuple[torch.Tensor, ...] = ()
        for name in BLOCKS:
            x = self.get_submodule(name)(x)
            if name == "Mixed_6e" and self.training and self.AuxLogits is not None and min(x.shape[2:]) >= HEAD_SIDE:
                auxiliary = (self.AuxLogits(x),)
        logits: torch.Tensor = self.fc(self.dropout(torch.flatten(functional.adaptive_avg_pool2d(x, 1), 1)))
        return (logits, *auxiliary) if auxiliary else logits


@register(
    {"inception_v3": (27_161_264, 5_713_216_096, {})},
    dataset="imagenet",
    input_shape=(3, 299, 299),
    classes=1000,
    normalisation="signed",
    source="arXiv:1512.00567",
    targets=("engine", "onnx", "c"),
)
def inception_v3(classes: int, auxiliary: bool = True, transform_input: bool = False) -> Inception3:
    """23,834,568 parameters without the auxiliary head, which only training executes."""
    return Inception3(classes, auxiliary, transform_input)
