"""Top-1 accuracy of the float and the integer network on the same labelled samples."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np

Network = Callable[[np.ndarray], np.ndarray]
"""images -> (batch, classes)."""


@dataclass(frozen=True, slots=True)
class Accuracy:
    """Counts over `total` labelled samples; `both` right in float and in integers, `same` predicted class."""

    total: int
    float_correct: int
    integer_correct: int
    both: int
    same: int

    @property
    def difference_points(self) -> float:
        """Integer minus float accuracy in percentage points."""
        return 100 * (self.integer_correct - self.float_correct) / self.total


def measure(
    float_network: Network, integer_network: Network, batches: Iterable[tuple[np.ndarray, np.ndarray]]
) -> Accuracy | None:
    """Both networks on the same labelled batches, streamed; the class is the first argmax over the last axis.

    batches: (images, labels (batch,)). None where there are no samples.
    """
    counts = np.zeros(5, dtype=np.int64)
    for images, labels in batches:
        in_float, in_integers = (np.asarray(f(images)).argmax(axis=-1) for f in (float_network, integer_network))
        right, also = in_float == labels, in_integers == labels
        counts += [len(labels), right.sum(), also.sum(), (right & also).sum(), (in_float == in_integers).sum()]
    return Accuracy(*counts.tolist()) if counts[0] else None


def wilson(correct: int, total: int, z: float = 1.96) -> tuple[float, float]:
    """The score interval of a proportion, 95 % for z = 1.96. Source: Wilson, J. Am. Stat. Assoc. 22 (1927) 209."""
    share = correct / total
    spread = z * math.sqrt(share * (1 - share) / total + z * z / (4 * total * total))
    centre, norm = share + z * z / (2 * total), 1 + z * z / total
    return max(0.0, (centre - spread) / norm), min(1.0, (centre + spread) / norm)
