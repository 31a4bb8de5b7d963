"""MobileNet-V2 as a file of one's own, to name on the command line; torchvision's tensor names, so its weights load.

    arithmos quantize mobilenet_v2.pth --model examples/mobilenet_v2.py:mobilenet_v2 --example 1x3x224x224 \
        --dataset imagenet --data-dir FOLDER -o out/mobilenet

Sandler et al., MobileNetV2: Inverted Residuals and Linear Bottlenecks, arXiv 1801.04381, table 2.
"""

import torch
from torch import Tensor, nn

BLOCKS = (
    (1, 16, 1, 1),
    (6, 24, 2, 2),
    (6, 32, 3, 2),
    (6, 64, 4, 2),
    (6, 96, 3, 1),
    (6, 160, 3, 2),
    (6, 320, 1, 1),
)
"""(expansion, channels, repeats, stride of the first)."""


def conv(inside: int, outside: int, kernel: int, stride: int = 1, groups: int = 1) -> nn.Sequential:
    """Convolution, batch norm, ReLU6."""
    layer = nn.Conv2d(inside, outside, kernel, stride, kernel // 2, groups=groups, bias=False)
    return nn.Sequential(layer, nn.BatchNorm2d(outside), nn.ReLU6())


class InvertedResidual(nn.Module):
    """Expand by a 1×1 convolution, filter each channel by a 3×3 one, project linearly; add the input where it fits."""

    def __init__(self, inside: int, outside: int, stride: int, expansion: int) -> None:
        super().__init__()
        wide = inside * expansion
        self.joins = stride == 1 and inside == outside
        self.conv = nn.Sequential(
            *([conv(inside, wide, 1)] if expansion > 1 else []),
            conv(wide, wide, 3, stride, groups=wide),
            nn.Conv2d(wide, outside, 1, bias=False),
            nn.BatchNorm2d(outside),
        )

    def forward(self, x: Tensor) -> Tensor:
        """The block's output."""
        return x + self.conv(x) if self.joins else self.conv(x)


class MobileNetV2(nn.Module):
    """3,504,872 parameters and 300,774,272 products an image of 224×224 for 1,000 classes."""

    def __init__(self, classes: int = 1000) -> None:
        super().__init__()
        layers: list[nn.Module] = [conv(3, 32, 3, stride=2)]
        inside = 32
        for expansion, channels, repeats, stride in BLOCKS:
            for number in range(repeats):
                layers.append(InvertedResidual(inside, channels, 1 if number else stride, expansion))
                inside = channels
        self.features = nn.Sequential(*layers, conv(inside, 1280, 1))
        self.classifier = nn.Sequential(nn.Dropout(0.2), nn.Linear(1280, classes))

    def forward(self, images: Tensor) -> Tensor:
        """Logits of normalised images."""
        return self.classifier(torch.flatten(self.features(images).mean((2, 3)), 1))


def mobilenet_v2() -> MobileNetV2:
    """The network in evaluation mode, its weights random until a file is loaded into it."""
    return MobileNetV2().eval()


def mobilenet_v2_small() -> MobileNetV2:
    """For 10 classes, for instance of CIFAR-10."""
    return MobileNetV2(classes=10).eval()
