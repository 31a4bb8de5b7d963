"""Scaled dot-product attention, written out: two matrix products around a masked softmax."""

from __future__ import annotations

import math

import torch

from arithmos.front.aten.arithmetic import add_mask, where
from arithmos.front.aten.layout import MASKED, repeat_each, swap
from arithmos.front.aten.product import matmul
from arithmos.front.call import Call, Folded, Refusal, Tensor


def _attention(
    call: Call,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    mask: Tensor | None = None,
    dropout: float = 0.0,
    is_causal: bool = False,
    scale: float | None = None,
    enable_gqa: bool = False,
) -> Tensor:
    """softmax(query @ key^T * scale, masked) @ value; scale = 1 / sqrt(width). Vaswani et al., arXiv 1706.03762.

    A masked score is MASKED = -1e30, of which softmax makes 0. With enable_gqa the heads of key and value are repeated.
    """
    if dropout:
        raise Refusal("it drops attention weights at random", "pass dropout_p=self.p if self.training else 0.0")
    heads = len(query.shape) - 3
    if enable_gqa and key.shape[heads] != query.shape[heads]:
        times = query.shape[heads] // key.shape[heads]
        key, value = (repeat_each(call, x, heads, times, suffix) for x, suffix in ((key, "key"), (value, "value")))
    rank, width = len(key.shape), query.shape[-1]
    product = matmul(call, query, swap(call, key, rank - 2, rank - 1, "key"), "product")
    scores: Tensor = call.emit("mul", product, 1 / math.sqrt(width) if scale is None else scale, suffix="scores")
    if is_causal:
        absent = torch.ones(scores.shape[-2:], dtype=torch.bool).triu(1)
        mask_of_future = Folded(absent, tuple(absent.shape), f"{call.name}.future")
        scores = where(call, mask_of_future, MASKED, scores, "masked")
    elif mask is not None and mask.dtype == torch.bool:
        scores = where(call, mask, scores, MASKED, "masked")
    elif mask is not None:
        scores = add_mask(call, scores, mask, "masked")
    return matmul(call, call.emit("softmax", scores, axis=len(scores.shape) - 1, suffix="softmax"), value)


ROWS = {"aten.scaled_dot_product_attention.default": _attention}
