"""From the rows of a split to uint8 pixels: decoded, resized, cut."""

from __future__ import annotations

from io import BytesIO
from typing import TYPE_CHECKING, Any

import numpy as np

from arithmos.errors import UsageError
from arithmos.extras import require
from arithmos.train.data.preparation import Preparation, convert, pixels, planes
from arithmos.train.data.split import CorruptPicture, Split

if TYPE_CHECKING:
    from PIL.Image import Image

Box = tuple[float, float, float, float]


def decode(split: Split, row: int, preparation: Preparation, draws: np.ndarray | None = None) -> np.ndarray:
    """uint8 (channels, height, width) of one picture.

    draws: uniform numbers in [0, 1), (10, 4), for a random resized crop; None: the preparation's resize and centre
    crop. Raises CorruptPicture, with file and row, for bytes that are no picture, are cut off, or hold more than 8 bits
    a channel.
    """
    where = split.place(row)
    raw = split.read(row)
    if isinstance(raw, np.ndarray) and draws is None and _fits(raw, preparation):
        return np.ascontiguousarray(raw.reshape(*raw.shape[:2], -1).transpose(2, 0, 1))
    pillow = require("PIL.Image", "data")
    try:
        with pillow.fromarray(raw) if isinstance(raw, np.ndarray) else pillow.open(BytesIO(raw)) as image:
            if draws is None:
                return pixels(image, preparation, where)
            return planes(_random_crop(convert(image, preparation, where), preparation, draws), preparation)
    except UsageError as problem:
        raise CorruptPicture(problem.what, where=problem.where, why=problem.why, fix=problem.fix) from problem
    except (OSError, SyntaxError, ValueError, LookupError, TypeError, pillow.DecompressionBombError) as problem:
        raise CorruptPicture(
            "a picture cannot be decoded",
            where=where,
            why=f"its bytes are damaged, cut off or of an unknown format: {_reason(problem)}",
            fix="fetch the file again, or leave such pictures out with --skip-corrupt",
        ) from problem


def _fits(raw: np.ndarray, preparation: Preparation) -> bool:
    """Whether these pixels are what the preparation gives: no resize, no crop, no other channels."""
    short, crop = preparation.short_side, preparation.crop
    channels = 1 if raw.ndim == 2 else raw.shape[2]
    as_it_is = short in (0, min(raw.shape[:2])) and crop in (0, raw.shape[0]) and crop in (0, raw.shape[1])
    return as_it_is and channels == preparation.channels


def _random_crop(image: Image, preparation: Preparation, draws: np.ndarray) -> Image:
    resampling = require("PIL.Image", "data").Resampling[preparation.interpolation.upper()]
    side = preparation.crop
    return image.resize((side, side), resampling, box=random_box(image.size, draws))


def random_box(size: tuple[int, int], draws: np.ndarray) -> Box:
    """(left, top, right, bottom) of a part of 8 to 100 % of the area, its sides 3:4 to 4:3, log-uniform.

    draws: uniform in [0, 1), (tries, 4): area, ratio, left, top. Where no try fits into the picture, the largest
    middle part whose sides stay within these ratios. Source: Szegedy et al., arXiv:1409.4842, section 6.
    """
    width, height = size
    area, ratio = width * height * (0.08 + 0.92 * draws[:, 0]), (4 / 3) ** (2 * draws[:, 1] - 1)
    w, h = np.rint(np.sqrt(area * ratio)), np.rint(np.sqrt(area / ratio))
    fit = np.flatnonzero((w >= 1) & (w <= width) & (h >= 1) & (h <= height))
    if not len(fit):
        broad, tall = min(width, round(height * 4 / 3)), min(height, round(width * 4 / 3))
        left, top = (width - broad) // 2, (height - tall) // 2
        return left, top, left + broad, top + tall
    k = fit[0]
    left, top = int(draws[k, 2] * (width - w[k] + 1)), int(draws[k, 3] * (height - h[k] + 1))
    return left, top, left + int(w[k]), top + int(h[k])


def _reason(problem: Any) -> str:
    return (str(problem).strip() or type(problem).__name__).splitlines()[0]
