"""Images and labels that are in memory already, as batches for a training."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from arithmos.extras import require
from arithmos.train.data.order import generator, order

if TYPE_CHECKING:
    from torch import Tensor


class Arrays:
    """Batches of arrays, in a new order every epoch with `shuffle`; see task.Batches. A class: it knows its epoch.

    images: float32, as the network takes them; labels: integers, as many.
    """

    def __init__(
        self, images: np.ndarray, labels: np.ndarray, *, batch_size: int, shuffle: bool = False, seed: int = 0
    ) -> None:
        self._images, self._labels = images, labels.astype(np.int64)
        self._batch_size, self._shuffle, self._seed, self._epoch = batch_size, shuffle, seed, 0

    def __len__(self) -> int:
        """Batches an epoch."""
        return -(-self.n_images // self._batch_size)

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        torch, n = require("torch", "torch"), self.n_images
        rows = order(n, generator(self._seed, self._epoch)) if self._shuffle else np.arange(n)
        for start in range(0, n, self._batch_size):
            chosen = rows[start : start + self._batch_size]
            yield torch.from_numpy(self._images[chosen]), torch.from_numpy(self._labels[chosen])

    @property
    def n_images(self) -> int:
        """Images an epoch."""
        return len(self._labels)

    @cached_property
    def digest(self) -> str:
        """sha256 of the images and labels."""
        found = hashlib.sha256(repr(self._images.shape).encode())
        found.update(np.ascontiguousarray(self._images).tobytes())
        found.update(self._labels.tobytes())
        return f"arrays:{found.hexdigest()}"

    def set_epoch(self, epoch: int) -> None:
        """Choose the order of the iterations that follow."""
        self._epoch = epoch
