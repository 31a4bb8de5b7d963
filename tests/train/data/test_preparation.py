"""Pictures become arrays by the stated formula."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from arithmos.errors import UsageError
from arithmos.train.data.preparation import NORMALISATIONS, Preparation, normalise, prepare

image_module = pytest.importorskip("PIL.Image", reason='pip install "arithmos[data]"')


def picture(height: int, width: int, channels: int = 3) -> np.ndarray:
    shape = (height, width, channels) if channels == 3 else (height, width)
    return np.random.default_rng(0).integers(0, 256, shape).astype(np.uint8)


@pytest.mark.parametrize("name", NORMALISATIONS)
def test_pixels_are_scaled_and_normalised(name: str) -> None:
    pixels = picture(4, 6)
    mean, std = NORMALISATIONS[name]
    array = prepare(image_module.fromarray(pixels), Preparation(mean=mean, std=std), "here")
    expected = (pixels.transpose(2, 0, 1) / 255 - np.reshape(mean, (-1, 1, 1))) / np.reshape(std, (-1, 1, 1))
    assert array.dtype == np.float32
    assert array.flags.c_contiguous
    np.testing.assert_allclose(array, expected, rtol=1e-5, atol=1e-6)


def test_grey_pictures_and_transparency() -> None:
    grey = picture(4, 6, 1)
    np.testing.assert_array_equal(
        prepare(image_module.fromarray(grey), Preparation(channels=1), "here")[0], grey / np.float32(255)
    )
    assert prepare(image_module.fromarray(grey), Preparation(), "here").shape == (3, 4, 6)
    clear = image_module.fromarray(picture(4, 6)).convert("RGBA")
    assert prepare(clear, Preparation(), "here").shape == (3, 4, 6)


def test_the_middle_is_cut_out() -> None:
    pixels = picture(8, 12)
    array = prepare(image_module.fromarray(pixels), Preparation(short_side=8, crop=4), "here")
    np.testing.assert_array_equal(array, pixels[2:6, 4:8].transpose(2, 0, 1) / np.float32(255))


@given(st.integers(8, 80), st.integers(8, 80), st.sampled_from([8, 10, 16]), st.sampled_from(["bilinear", "bicubic"]))
def test_every_picture_gets_the_crops_size(height: int, width: int, short_side: int, interpolation: str) -> None:
    preparation = Preparation(short_side=short_side, crop=8, interpolation=interpolation)
    assert prepare(image_module.fromarray(picture(height, width)), preparation, "here").shape == (3, 8, 8)


@given(st.integers(0, 255))
def test_one_colour_stays_one_colour(colour: int) -> None:
    plain = image_module.fromarray(np.full((9, 30, 3), colour, np.uint8))
    array = prepare(plain, Preparation(short_side=16, crop=12), "here")
    np.testing.assert_array_equal(array, np.float32(colour) / np.float32(255))


def test_sixteen_bit_pictures_are_refused() -> None:
    deep = image_module.fromarray(np.full((4, 4), 70, np.uint16))
    with pytest.raises(UsageError) as caught:
        prepare(deep, Preparation(), "deep.png")
    assert str(caught.value) == (
        "the picture has pixels of kind 'I;16'\n"
        "  at   deep.png\n"
        "  why  pixels are read as 8 bits a channel\n"
        "  fix  convert it to 8-bit RGB or grey, or give the values as .npy"
    )


def test_normalise_keeps_float32() -> None:
    images = np.ones((2, 3, 4, 4))
    found = normalise(images, Preparation(mean=(1.0, 0.0, -1.0), std=(1.0, 2.0, 4.0)))
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found[1, :, 0, 0], [0.0, 0.5, 0.5])


@pytest.mark.parametrize(
    ("numbers", "why"),
    [
        ({"mean": (0.5, 0.5)}, "mean has 2 numbers, pictures 3 channels"),
        ({"std": (0.0,)}, "std is 0.0, and pixels are divided by it"),
        ({"std": (0.25, 1e-300, 0.25)}, "std is 0.25, 1e-300, 0.25, and pixels are divided by it"),
        (
            {"mean": (math.nan,), "std": (math.inf,)},
            "mean is nan, which is not finite\n       std is inf, which is not f",
        ),
        ({"mean": "0.5"}, "mean is '0.5'"),
        ({"channels": 4}, "channels 4 (1 or 3), short side 0, crop 0"),
        (
            {"crop": -1, "interpolation": "none"},
            "channels 3 (1 or 3), short side 0, crop -1\n       there is no interpolat",
        ),
    ],
)
def test_numbers_that_no_picture_is_prepared_with(numbers: dict[str, Any], why: str) -> None:
    with pytest.raises(UsageError) as caught:
        Preparation(**numbers)
    assert str(caught.value).startswith(f"pictures cannot be prepared so\n  why  {why}")
