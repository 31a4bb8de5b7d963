"""The rank of the right class among the outputs of a classifier: 0 where it is the prediction."""

from __future__ import annotations

import numpy as np


def ranks_in(outputs: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """How many classes come before the label: greater ones, equal ones before it (as argmax chooses), and NaN.

    outputs: (images, classes); labels: (images,).
    """
    own = outputs[np.arange(len(labels)), labels][:, None]
    before = (outputs == own) & (np.arange(outputs.shape[1]) < labels[:, None])
    return np.asarray((~(outputs <= own) | before).sum(axis=1))
