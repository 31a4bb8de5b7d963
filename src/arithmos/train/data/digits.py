"""The handwritten digits inside scikit-learn: 1,797 grey images of 8x8 pixels, no download.

Source: E. Alpaydin, C. Kaynak, "Optical Recognition of Handwritten Digits", UCI Machine Learning Repository, 1998.
"""

from __future__ import annotations

from typing import Literal

import numpy as np

from arithmos.extras import require

LARGEST_PIXEL = 16
"""A pixel counts the ink in a 4x4 block of the original bitmap."""


def digits(split: Literal["train", "test"], *, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """(images float32 (n, 1, 8, 8) in [0, 1], labels int64); "test" is the quarter of 449 images held out by `seed`.

    The two splits of one seed share no image. Raises MissingTool without scikit-learn.
    """
    bunch = require("sklearn.datasets", "data").load_digits()
    images = (bunch.images / LARGEST_PIXEL).astype(np.float32)[:, np.newaxis]
    order = np.random.default_rng(seed).permutation(len(images))
    n_held_out = len(images) // 4
    chosen = order[:n_held_out] if split == "test" else order[n_held_out:]
    return images[chosen], bunch.target[chosen].astype(np.int64)
