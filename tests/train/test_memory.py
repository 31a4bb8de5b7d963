"""Batches of arrays: every image once, in an order that is the epoch's."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("torch", reason='pip install "arithmos[torch]"')

from arithmos.train.memory import Arrays

IMAGES, LABELS = np.arange(10, dtype=np.float32).reshape(10, 1, 1, 1), np.arange(10) % 3


def seen(batches: Arrays) -> list[int]:
    return [int(x) for images, _ in batches for x in images.flatten()]


def test_every_image_once_in_an_order_of_seed_and_epoch() -> None:
    one, two = (Arrays(IMAGES, LABELS, batch_size=4, shuffle=True, seed=3) for _ in range(2))
    assert (len(one), one.n_images) == (3, 10)
    first = seen(one)
    assert sorted(first) == list(range(10)) and seen(one) == first
    one.set_epoch(1)
    assert seen(one) != first
    two.set_epoch(1)
    assert seen(two) == seen(one)
    assert seen(Arrays(IMAGES, LABELS, batch_size=4)) == list(range(10))


def test_labels_go_with_their_images() -> None:
    for images, labels in Arrays(IMAGES, LABELS, batch_size=4, shuffle=True):
        assert [int(x) % 3 for x in images.flatten()] == labels.tolist()


def test_the_digest_is_of_the_content() -> None:
    digests = {
        Arrays(images, labels, batch_size=4).digest
        for images, labels in ((IMAGES, LABELS), (IMAGES + 1, LABELS), (IMAGES, LABELS[::-1]), (IMAGES * 1, LABELS))
    }
    assert len(digests) == 3
