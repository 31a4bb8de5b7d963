"""One node of a float graph at a time on torch: numpy arrays in, a numpy array out, without a copy where one can be."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from arithmos.ir.graph import Node
from arithmos.targets.clear.network import TABLE


def run_node(node: Node, operands: Sequence[np.ndarray]) -> np.ndarray:
    """The node's result in float32, within rounding that of the float op set's own row; integers stay integers.

    For what walks a graph by itself and holds numpy arrays, such as calibration of weights layer by layer. A result may
    share its memory with an operand. Of float graphs: polynomials have kernels that are made once (`Network`).
    """
    result: Tensor = TABLE[node.op](*map(_tensor, operands), **node.attrs)
    return np.asarray(result.numpy())


def _tensor(array: np.ndarray) -> Tensor:
    given = np.ascontiguousarray(array, dtype=np.int64 if array.dtype.kind in "iub" else np.float32)
    return torch.from_numpy(given if given.flags.writeable else given.copy())  # constants of graphs are read-only
