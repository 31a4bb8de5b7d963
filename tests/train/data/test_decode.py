"""Pictures of every kind are decoded or refused with their place."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from arithmos.errors import UsageError
from arithmos.train.data.decode import decode
from arithmos.train.data.preparation import Preparation
from arithmos.train.data.split import CorruptPicture, Split
from picture_files import encoded, pixels

image_module = pytest.importorskip("PIL.Image", reason='pip install "arithmos[data]"')

PICTURE = pixels(1, 32)[0]
GREY = pixels(1, 32, 1)[0]


def split_of(*rows: bytes | np.ndarray) -> Split:
    return Split("test", Path("here"), np.zeros(len(rows), np.int64), rows.__getitem__, "file, row {}".format, str)


def corrupt(row: bytes) -> CorruptPicture:
    with pytest.raises(CorruptPicture) as caught:
        decode(split_of(b"", row), 1, Preparation())
    return caught.value


def test_formats_and_modes() -> None:
    for kind in ("png", "bmp", "webp"):
        options = {"lossless": True} if kind == "webp" else {}
        assert decode(split_of(encoded(PICTURE, kind)), 0, Preparation()).shape == (3, 32, 32), options
    np.testing.assert_array_equal(decode(split_of(encoded(PICTURE)), 0, Preparation()), PICTURE.transpose(2, 0, 1))
    grey = decode(split_of(encoded(GREY)), 0, Preparation())
    np.testing.assert_array_equal(grey, np.stack([GREY] * 3))
    np.testing.assert_array_equal(decode(split_of(encoded(GREY)), 0, Preparation(channels=1))[0], GREY)
    for kind, mode in (("jpeg", "CMYK"), ("jpeg", "L"), ("png", "LA"), ("png", "P"), ("png", "1"), ("png", "RGBA")):
        assert decode(split_of(encoded(PICTURE, kind, mode)), 0, Preparation()).shape == (3, 32, 32)


def test_cmyk_keeps_its_colours() -> None:
    plain = np.full((16, 16, 3), (200, 100, 50), np.uint8)
    found = decode(split_of(encoded(plain, "jpeg", "CMYK")), 0, Preparation())
    assert abs(found.astype(int) - plain.transpose(2, 0, 1)).max() < 12


def test_pixels_need_no_decoding_where_they_fit() -> None:
    np.testing.assert_array_equal(decode(split_of(PICTURE), 0, Preparation()), PICTURE.transpose(2, 0, 1))
    np.testing.assert_array_equal(decode(split_of(GREY), 0, Preparation(channels=1))[0], GREY)
    np.testing.assert_array_equal(decode(split_of(GREY), 0, Preparation()), np.stack([GREY] * 3))
    through_pillow = decode(split_of(encoded(PICTURE)), 0, Preparation(short_side=48, crop=40))
    np.testing.assert_array_equal(decode(split_of(PICTURE), 0, Preparation(short_side=48, crop=40)), through_pillow)
    assert decode(split_of(PICTURE), 0, Preparation(channels=1, crop=24)).shape == (1, 24, 24)


def test_a_random_crop_of_the_whole_is_a_resize() -> None:
    whole = np.tile([[0.9999999, 0.5, 0.0, 0.0]], (10, 1))
    found = decode(split_of(encoded(PICTURE)), 0, Preparation(short_side=256, crop=16), whole)
    expected = image_module.fromarray(PICTURE).resize((16, 16), image_module.Resampling.BILINEAR)
    np.testing.assert_array_equal(found, np.asarray(expected).transpose(2, 0, 1))


@pytest.mark.parametrize("kind", ["png", "jpeg"])
@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 0.95])
def test_cut_off(kind: str, share: float) -> None:
    whole = encoded(pixels(1, 64)[0], kind)
    error = corrupt(whole[: int(share * len(whole))])
    assert (error.what, error.where) == ("a picture cannot be decoded", "file, row 1")
    assert error.why.startswith("its bytes are damaged, cut off or of an unknown format: ")
    assert error.fix == "fetch the file again, or leave such pictures out with --skip-corrupt"


def test_more_than_eight_bits() -> None:
    deep = np.full((8, 8), 700, np.uint16)
    error = corrupt(encoded(deep))
    assert (error.what, error.where) == ("the picture has pixels of kind 'I;16'", "file, row 1")
    assert isinstance(error, UsageError)


def test_no_picture() -> None:
    assert corrupt(b"<html>Too many requests</html>").what == "a picture cannot be decoded"
