"""Shifts, flips and random crops: against a loop over pictures, and their distribution."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from arithmos.train.data.augment import flipped, shifted
from arithmos.train.data.decode import random_box
from arithmos.train.data.order import generator, order
from picture_files import pixels


@pytest.mark.parametrize("pad", [0, 1, 4])
@pytest.mark.parametrize("shape", [(5, 3, 8, 8), (4, 1, 6, 9), (0, 3, 8, 8)])
def test_a_shift_is_a_crop_of_the_padded_picture(pad: int, shape: tuple[int, ...]) -> None:
    rng = np.random.default_rng(0)
    batch, draws = rng.integers(1, 256, shape).astype(np.uint8), rng.random((shape[0], 2), dtype=np.float32)
    found = shifted(batch, pad, draws)
    assert (found.shape, found.dtype) == (shape, np.uint8)
    for picture, cut, (down, right) in zip(batch, found, draws, strict=True):
        padded = np.pad(picture, ((0, 0), (pad, pad), (pad, pad)))
        y, x = int(down * (2 * pad + 1)), int(right * (2 * pad + 1))
        np.testing.assert_array_equal(cut, padded[:, y : y + shape[2], x : x + shape[3]])


def test_every_shift_is_drawn_equally_often() -> None:
    batch = np.zeros((9000, 1, 9, 9), np.uint8)
    batch[:, 0, 4, 4] = 1
    found = shifted(batch, 4, np.random.default_rng(0).random((9000, 2), dtype=np.float32))
    counts = found.sum(axis=(0, 1))
    assert counts.sum() == 9000
    assert counts.min() > 60 and counts.max() < 170  # 111 on average


def test_half_of_the_pictures_are_flipped() -> None:
    batch = pixels(1000, 4, 1)[:, np.newaxis]
    before, draws = batch.copy(), np.random.default_rng(0).random(1000)
    found = flipped(batch, draws)
    np.testing.assert_array_equal(batch, before)
    np.testing.assert_array_equal(found[draws >= 0.5], batch[draws >= 0.5])
    np.testing.assert_array_equal(found[draws < 0.5], batch[draws < 0.5][..., ::-1])
    assert 440 < (draws < 0.5).sum() < 560


@given(st.integers(1, 900), st.integers(1, 900), st.integers(0, 1000))
def test_a_random_box_lies_in_the_picture(width: int, height: int, seed: int) -> None:
    left, top, right, bottom = random_box((width, height), np.random.default_rng(seed).random((10, 4)))
    assert 0 <= left < right <= width and 0 <= top < bottom <= height


def test_random_boxes_have_the_areas_and_ratios_of_the_paper() -> None:
    rng = np.random.default_rng(0)
    boxes = np.asarray([random_box((500, 400), rng.random((10, 4))) for _ in range(2000)])
    widths, heights = boxes[:, 2] - boxes[:, 0], boxes[:, 3] - boxes[:, 1]
    areas, ratios = widths * heights / 200_000, widths / heights
    assert 0.078 < areas.min() < 0.1 and 0.97 < areas.max() <= 1
    assert ratios.min() > 0.74 and ratios.max() < 1.35
    assert abs(np.log(ratios[areas < 0.4]).mean()) < 0.02


def test_a_long_picture_gives_its_middle() -> None:
    assert random_box((1000, 10), np.zeros((10, 4)) + 0.999) == (493, 0, 506, 10)


def test_an_order_has_every_row_once() -> None:
    rows = order(100, generator(0, 0, 0))
    assert sorted(rows) == list(range(100))
    assert not np.array_equal(rows, order(100, generator(0, 1, 0)))
    assert not np.array_equal(rows, order(100, generator(1, 0, 0)))
    np.testing.assert_array_equal(rows, order(100, generator(0, 0, 0)))


def test_blocks_are_read_a_window_at_a_time() -> None:
    blocks = tuple(range(0, 200, 7))
    rows = order(200, generator(3, 0, 0), blocks)
    assert sorted(rows) == list(range(200))
    owners = np.searchsorted(blocks, rows, side="right") - 1
    last_use = {block: int(np.flatnonzero(owners == block)[-1]) for block in range(len(blocks))}
    first_use = {block: int(np.flatnonzero(owners == block)[0]) for block in range(len(blocks))}
    assert max(last_use[b] - first_use[b] for b in last_use) < 56
    np.testing.assert_array_equal(order(50, generator(3, 0, 0), blocks[:8]), order(50, generator(3, 0, 0)))
