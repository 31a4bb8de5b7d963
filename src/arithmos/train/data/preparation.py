"""From a picture to the array a network reads: resize, crop, scale to [0, 1], normalise."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Literal

import numpy as np

from arithmos.errors import UsageError
from arithmos.extras import require

if TYPE_CHECKING:
    from PIL.Image import Image

PerChannel = tuple[float, ...]

NORMALISATIONS: Mapping[str, tuple[PerChannel, PerChannel]] = MappingProxyType(
    {
        "unit": ((0.0,), (1.0,)),
        "imagenet": ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
        "cifar10": ((0.4914, 0.4822, 0.4465), (0.2470, 0.2435, 0.2616)),
        "mnist": ((0.1307,), (0.3081,)),
        "signed": ((0.5,), (0.5,)),
    }
)
"""name -> (mean, std) of pixels in [0, 1], one number for all channels or one a channel. "signed" maps to [-1, 1]."""

# What Pillow calls the 8-bit modes: converting any other one (16-bit, float) to RGB would clip silently.
_EIGHT_BIT = frozenset({"1", "L", "LA", "P", "PA", "RGB", "RGBA", "RGBX", "CMYK", "YCbCr"})


@dataclass(frozen=True, slots=True)
class Preparation:
    """(pixels / 255 - mean) / std after an optional resize and centre crop; 0 means: leave the size as it is.

    The shorter side becomes `short_side` pixels, then the middle `crop` x `crop` pixels are cut out.
    """

    channels: Literal[1, 3] = 3
    short_side: int = 0
    crop: int = 0
    mean: PerChannel = (0.0,)
    std: PerChannel = (1.0,)
    interpolation: Literal["bilinear", "bicubic"] = "bilinear"

    def __post_init__(self) -> None:
        """Raise UsageError for numbers that no picture can be prepared with."""
        problems = [*_wrong("mean", self.mean, self.channels), *_wrong("std", self.std, self.channels)]
        if not problems and not all(np.float32(abs(std)) > 0 for std in self.std):
            problems.append(f"std is {', '.join(map(str, self.std))}, and pixels are divided by it")
        sizes = (self.channels, self.short_side, self.crop)
        if not all(type(size) is int and size >= 0 for size in sizes) or self.channels not in (1, 3):
            problems.append(f"channels {self.channels} (1 or 3), short side {self.short_side}, crop {self.crop}")
        if self.interpolation not in ("bilinear", "bicubic"):
            problems.append(f"there is no interpolation '{self.interpolation}'")
        if problems:
            raise UsageError(
                "pictures cannot be prepared so",
                why="\n".join(problems),
                fix="give one number for all channels or one a channel, as --mean 0.5 --std 0.25",
            )


def _wrong(name: str, numbers: object, channels: int) -> list[str]:
    """What is no number for each channel, in a line."""
    if not isinstance(numbers, tuple) or not all(isinstance(x, int | float) for x in numbers):
        return [f"{name} is {numbers!r}"]
    if not all(abs(x) < np.finfo(np.float32).max for x in numbers):
        return [f"{name} is {', '.join(map(str, numbers))}, which is not finite"]
    return [] if len(numbers) in (1, channels) else [f"{name} has {len(numbers)} numbers, pictures {channels} channels"]


def prepare(image: Image, preparation: Preparation, where: str) -> np.ndarray:
    """The picture as float32 (channels, height, width), normalised.

    where: names the picture in the message. Raises UsageError for a picture of more than 8 bits a channel.
    """
    return scale(pixels(image, preparation, where), preparation)


def pixels(image: Image, preparation: Preparation, where: str) -> np.ndarray:
    """The picture resized and cut, as uint8 (channels, height, width): `prepare` before it is normalised."""
    return planes(_resize(convert(image, preparation, where), preparation), preparation)


def convert(image: Image, preparation: Preparation, where: str) -> Image:
    """The picture as 8-bit RGB or grey. Raises UsageError as `prepare` does."""
    if image.mode not in _EIGHT_BIT:
        raise UsageError(
            f"the picture has pixels of kind '{image.mode}'",
            where=where,
            why="pixels are read as 8 bits a channel",
            fix="convert it to 8-bit RGB or grey, or give the values as .npy",
        )
    return image.convert("RGB" if preparation.channels == 3 else "L")


def planes(image: Image, preparation: Preparation) -> np.ndarray:
    """uint8 (channels, height, width) of a converted picture."""
    flat = np.asarray(image).reshape(image.height, image.width, preparation.channels)
    return np.ascontiguousarray(flat.transpose(2, 0, 1))


def scale(pixels: np.ndarray, preparation: Preparation, largest: int = 255) -> np.ndarray:
    """(pixels / largest - mean) / std, float32; pixels: (..., channels, height, width) uint8."""
    return normalise(pixels.astype(np.float32) / np.float32(largest), preparation)


def normalise(images: np.ndarray, preparation: Preparation) -> np.ndarray:
    """(images - mean) / std a channel, float32; images: (..., channels, height, width) in [0, 1]."""
    mean = np.asarray(preparation.mean, dtype=np.float32).reshape(-1, 1, 1)
    std = np.asarray(preparation.std, dtype=np.float32).reshape(-1, 1, 1)
    return (images.astype(np.float32, copy=False) - mean) / std


def _resize(image: Image, preparation: Preparation) -> Image:
    resampling = require("PIL.Image", "data").Resampling[preparation.interpolation.upper()]
    short = min(image.size)
    if preparation.short_side and short != preparation.short_side:
        width, height = (preparation.short_side * side // short for side in image.size)
        image = image.resize((width, height), resampling)
    crop = preparation.crop
    if not crop or image.size == (crop, crop):
        return image
    left, top = round((image.width - crop) / 2), round((image.height - crop) / 2)
    return image.crop((left, top, left + crop, top + crop))
