"""Sums of products by torch: faster than numpy where there is no compiler, and on a GPU."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from arithmos.extras import require
from arithmos.ir.graph import Node
from arithmos.targets.engine.host import Product


def torch_product(device: str, *, direct: bool) -> Product:
    """conv, linear and matmul on this device, exact under the bound of the type that is asked for.

    direct: torch convolves by itself. On a GPU it must not, because cuDNN may choose an algorithm (Winograd, Fourier)
    whose intermediate numbers are no integers: there a convolution is columns times weights. Raises MissingTool
    without torch.
    """
    torch = require("torch", "torch")
    convolve = _direct if direct else _columns

    def product(node: Node, arrays: Sequence[np.ndarray], dtype: type) -> np.ndarray:
        operands = [torch.as_tensor(a.astype(dtype), device=device) for a in arrays]
        matmul = torch.backends.cuda.matmul
        allowed, matmul.allow_tf32 = matmul.allow_tf32, False  # TF32 keeps 11 bits of every factor
        try:
            with torch.no_grad():
                match node.op:
                    case "conv":
                        result = convolve(torch, *operands, **node.attrs)
                    case "linear":
                        result = torch.nn.functional.linear(*operands)
                    case _:
                        result = torch.matmul(*operands)
        finally:
            matmul.allow_tf32 = allowed
        return np.asarray(result.cpu().numpy())

    return product


def _padded(torch: Any, x: Any, padding: Any) -> Any:
    return torch.nn.functional.pad(x, [p for pair in reversed(padding) for p in pair])


def _direct(torch: Any, x: Any, weight: Any, bias: Any = None, *, padding: Any, **attrs: Any) -> Any:
    if weight.ndim > 5:  # torch has conv1d to conv3d
        return _columns(torch, x, weight, bias, padding=padding, **attrs)
    convolve = getattr(torch.nn.functional, f"conv{weight.ndim - 2}d")
    return convolve(_padded(torch, x, padding), weight, bias, **attrs)


def _columns(
    torch: Any, x: Any, weight: Any, bias: Any = None, *, stride: Any, padding: Any, dilation: Any, groups: int
) -> Any:
    x = _padded(torch, x, padding)
    for axis, (size, step, gap) in enumerate(zip(weight.shape[2:], stride, dilation, strict=True), start=2):
        x = x.unfold(axis, (size - 1) * gap + 1, step)[..., ::gap]
    rank, out = weight.ndim - 2, weight.shape[0]
    space = x.shape[2 : 2 + rank]
    columns = x.movedim(tuple(range(2, 2 + rank)), tuple(range(-rank, 0)))
    columns = columns.reshape(x.shape[0], groups, -1, math.prod(space))
    result = torch.matmul(weight.reshape(groups, out // groups, -1), columns).reshape(x.shape[0], out, *space)
    return result if bias is None else result + bias.reshape(-1, *[1] * rank)
