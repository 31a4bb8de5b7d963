"""Convolution in one to three axes, and its transpose as a convolution of the spread input with flipped weights."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from arithmos.front.aten.layout import pad, reshape
from arithmos.front.call import Call, Folded, Refusal, Tensor


def per_axis(values: Sequence[int] | int, axes: int) -> tuple[int, ...]:
    """One number for each spatial axis; torch lets one stand for all."""
    listed = [values] if isinstance(values, int) else list(values)
    return tuple(listed * axes if len(listed) == 1 else listed)


def _conv(
    call: Call,
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Sequence[int] = (1,),
    padding: Sequence[int] | str = (0,),
    dilation: Sequence[int] = (1,),
    groups: int = 1,
) -> Tensor:
    axes = len(weight.shape) - 2
    if len(x.shape) == axes + 1:  # one image without a batch axis
        if x.shape[0] < 0:
            raise Refusal("the batch axis would be taken for the channels", "give the example a batch axis in front")
        image = reshape(call, x, (1, *x.shape), "image")
        y = _conv_batch(call, image, weight, bias, stride, padding, dilation, groups, suffix="conv")
        return reshape(call, y, call.shape)
    return _conv_batch(call, x, weight, bias, stride, padding, dilation, groups)


def _conv_batch(
    call: Call,
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    stride: Sequence[int],
    padding: Sequence[int] | str,
    dilation: Sequence[int],
    groups: int,
    suffix: str = "",
) -> Tensor:
    axes = len(weight.shape) - 2
    if min(weight.shape) < 0:
        raise Refusal("its weights differ from sample to sample", "use weights that are parameters or constants")
    dilations = per_axis(dilation, axes)
    if padding == "valid":
        pairs = [(0, 0)] * axes
    elif padding == "same":  # an odd element goes behind, as torch puts it
        reach = [d * (k - 1) for d, k in zip(dilations, weight.shape[2:], strict=True)]
        pairs = [(total // 2, total - total // 2) for total in reach]
    else:
        assert not isinstance(padding, str)
        pairs = [(p, p) for p in per_axis(padding, axes)]
    operands = (x, weight) if bias is None else (x, weight, bias)
    return call.emit(
        "conv",
        *operands,
        suffix=suffix,
        stride=per_axis(stride, axes),
        padding=tuple(pairs),
        dilation=dilations,
        groups=groups,
    )


def _transposed(
    call: Call,
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Sequence[int] = (1,),
    padding: Sequence[int] = (0,),
    output_padding: Sequence[int] = (0,),
    groups: int = 1,
    dilation: Sequence[int] = (1,),
) -> Tensor:
    """conv(pad(x, stride - 1 zeros between neighbours), flipped weight with in and out channels exchanged).

    The margins are dilation * (kernel - 1) - padding, and output_padding more behind.
    Source: Dumoulin & Visin, arXiv 1603.07285.
    """
    if not isinstance(weight, Folded):
        raise Refusal("its weights are computed", "use weights that are parameters or constants")
    axes = len(weight.shape) - 2
    if len(x.shape) == axes + 1:
        raise Refusal("its input has no batch axis", "give the example a batch axis in front")
    strides, pads, extras, dilations = (per_axis(v, axes) for v in (stride, padding, output_padding, dilation))
    kernel = weight.shape[2:]
    margins = {}
    for i in range(axes):
        reach = dilations[i] * (kernel[i] - 1) - pads[i]
        if any(m := (reach, reach + extras[i], strides[i] - 1)):
            margins[i + 2] = m
    grouped = weight.tensor.reshape(groups, weight.shape[0] // groups, *weight.shape[1:])
    per_group = grouped.transpose(1, 2).flatten(0, 1)
    flipped = per_group.flip(tuple(range(2, axes + 2)))
    spread = pad(call, x, margins, 0, suffix="spread")
    kernel_weight = Folded(flipped, tuple(flipped.shape), weight.name)
    return _conv_batch(call, spread, kernel_weight, bias, (1,), (0,), dilations, groups)


def _convolution(
    call: Call,
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    stride: Sequence[int],
    padding: Sequence[int],
    dilation: Sequence[int],
    transposed: bool,
    output_padding: Sequence[int],
    groups: int,
    *_: object,
) -> Tensor:
    if transposed:
        return _transposed(call, x, weight, bias, stride, padding, output_padding, groups, dilation)
    return _conv(call, x, weight, bias, stride, padding, dilation, groups)


def _fold_image(
    call: Call,
    x: Tensor,
    size: Sequence[int],
    kernel: Sequence[int],
    dilation: Sequence[int],
    padding: Sequence[int],
    stride: Sequence[int],
) -> Tensor:
    """col2im: a transposed convolution of each channel's windows with the unit filters."""
    spans = [d * (k - 1) + 1 for k, d in zip(kernel, dilation, strict=True)]
    counts = [(n + 2 * p - span) // s + 1 for n, p, span, s in zip(size, padding, spans, stride, strict=True)]
    zipped = zip(size, counts, stride, padding, spans, strict=True)
    extra = [n - ((count - 1) * s - 2 * p + span) for n, count, s, p, span in zipped]
    h, w = kernel
    channels = x.shape[1] // (h * w)
    filters = torch.eye(h * w).reshape(h * w, 1, h, w).repeat(channels, 1, 1, 1)
    unit = Folded(filters, tuple(filters.shape), f"{call.name}.filters")
    windows = reshape(call, x, (x.shape[0], x.shape[1], *counts), "windows")
    return _transposed(call, windows, unit, None, stride, padding, extra, channels, dilation)


ROWS = {
    "aten.col2im.default": _fold_image,
    **{f"aten.conv{d}d.{kind}": _conv for d in (1, 2, 3) for kind in ("default", "padding")},
    "aten.conv_transpose1d.default": _transposed,
    "aten.conv_transpose2d.input": _transposed,
    "aten.conv_transpose3d.input": _transposed,
    "aten.convolution.default": _convolution,
    "aten._convolution.default": _convolution,
}
