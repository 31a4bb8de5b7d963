"""The grid of pictures is a PNG for any number of classes and pictures, and the same on every run."""

from __future__ import annotations

import io

import numpy as np
import pytest

from arithmos.report.picture_grid import picture_grid

pytest.importorskip("matplotlib", reason='pip install "arithmos[report]"')
image_module = pytest.importorskip("PIL.Image", reason='pip install "arithmos[data]"')


def drawn(n: int, n_classes: int, channels: int, named: bool, theme: str = "light") -> bytes:
    rng = np.random.default_rng(0)
    images = rng.random((n, channels, 8, 8), dtype=np.float32)
    labels = sorted(rng.integers(0, n_classes, n).tolist())
    counts = rng.integers(0, 50, n_classes).tolist()
    names = [f"class {k}" for k in range(n_classes)] if named else [""] * n_classes
    return picture_grid(images, labels, counts, names, title="test", theme=theme)


@pytest.mark.parametrize(
    ("n", "n_classes", "channels", "named"), [(12, 4, 3, True), (9, 1000, 1, False), (1, 2, 1, False)]
)
def test_it_is_a_picture(n: int, n_classes: int, channels: int, named: bool) -> None:
    content = drawn(n, n_classes, channels, named)
    with image_module.open(io.BytesIO(content)) as image:
        assert image.format == "PNG" and image.width == 1296
    assert content == drawn(n, n_classes, channels, named)


def test_the_colours_of_the_pictures_are_in_it() -> None:
    images = np.zeros((2, 3, 4, 4), np.float32)
    images[0, 0], images[1, 1] = 1, 1
    content = picture_grid(images, [0, 1], [1, 1], ["red", "green"], title="two", theme="dark")
    with image_module.open(io.BytesIO(content)) as image:
        pixels = np.asarray(image.convert("RGB")).reshape(-1, 3)
    for colour in ((255, 0, 0), (0, 255, 0)):
        assert (pixels == colour).all(axis=1).sum() > 1000
