"""Normalisation: batch, layer, group, instance and root-mean-square norms."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from arithmos.front.aten.arithmetic import mul, square
from arithmos.front.aten.reduction import reduce
from arithmos.front.call import Call, Computed, Refusal, Tensor, full


def _channel_parameters(call: Call, channels: int, *given: Tensor | None) -> list[Tensor]:
    """The weight and bias that were given; ones and zeros where there are none."""
    plain = (full(n, (channels,), torch.float32, f"{call.name}.{what}") for n, what in ((1, "weight"), (0, "bias")))
    return [x if x is not None else default for x, default in zip(given, plain, strict=True)]


def _batch_norm(
    call: Call,
    x: Tensor,
    weight: Tensor | None,
    bias: Tensor | None,
    mean: Tensor | None,
    var: Tensor | None,
    training: bool,
    momentum: float,
    eps: float,
    *_: object,
) -> Tensor:
    if training or mean is None or var is None:
        raise Refusal(
            "it normalises by the statistics of the batch, so a result depends on the other samples",
            "use track_running_stats=True and eval()",
        )
    return call.emit("batch_norm", x, *_channel_parameters(call, x.shape[1], weight, bias), mean, var, eps=float(eps))


def _batch_norm_evaluated(
    call: Call,
    x: Tensor,
    weight: Tensor | None,
    bias: Tensor | None,
    mean: Tensor,
    var: Tensor,
    momentum: float,
    eps: float,
) -> tuple[Tensor, None, None]:
    return _batch_norm(call, x, weight, bias, mean, var, False, momentum, eps), None, None


def _batch_norm_functional(
    call: Call,
    x: Tensor,
    weight: Tensor | None,
    bias: Tensor | None,
    mean: Tensor,
    var: Tensor,
    training: bool,
    momentum: float,
    eps: float,
) -> tuple[Tensor, None, None, Tensor, Tensor]:
    """What torch makes of a batch norm that updates its statistics: a program exported in training mode."""
    return _batch_norm(call, x, weight, bias, mean, var, training, momentum, eps), None, None, mean, var


def layer_norm(
    call: Call,
    x: Tensor,
    shape: Sequence[int],
    weight: Tensor | None,
    bias: Tensor | None,
    eps: float,
    suffix: str = "",
) -> Computed:
    """Layer norm over the last axes; ones where a bias comes without a weight."""
    if bias is not None and weight is None:
        weight = full(1, tuple(shape), torch.float32, f"{call.name}.weight")
    parameters = [p for p in (weight, bias) if p is not None]
    return call.emit("layer_norm", x, *parameters, axes=len(shape), eps=float(eps), suffix=suffix)


def _layer_norm(
    call: Call,
    x: Tensor,
    shape: Sequence[int],
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    eps: float = 1e-5,
    *_: object,
) -> Tensor:
    return layer_norm(call, x, shape, weight, bias, eps)


def _native_layer_norm(
    call: Call, x: Tensor, shape: Sequence[int], weight: Tensor | None, bias: Tensor | None, eps: float
) -> tuple[Tensor, None, None]:
    return layer_norm(call, x, shape, weight, bias, eps), None, None


def _group_norm(
    call: Call,
    x: Tensor,
    groups: int,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    eps: float = 1e-5,
    *_: object,
) -> Tensor:
    parameters = _channel_parameters(call, x.shape[1], weight, bias)
    return call.emit("group_norm", x, *parameters, groups=groups, eps=float(eps))


def _native_group_norm(
    call: Call,
    x: Tensor,
    weight: Tensor | None,
    bias: Tensor | None,
    n: object,
    c: int,
    space: int,
    groups: int,
    eps: float,
) -> tuple[Tensor, None, None]:
    return _group_norm(call, x, groups, weight, bias, eps), None, None


def _instance_norm(
    call: Call,
    x: Tensor,
    weight: Tensor | None,
    bias: Tensor | None,
    mean: Tensor | None,
    var: Tensor | None,
    use_input_stats: bool,
    momentum: float,
    eps: float,
    *_: object,
) -> Tensor:
    """A group norm whose groups are the channels, or a batch norm with fixed statistics."""
    if use_input_stats:
        return _group_norm(call, x, x.shape[1], weight, bias, eps)
    return _batch_norm(call, x, weight, bias, mean, var, False, momentum, eps)


def _rms_norm(
    call: Call, x: Tensor, shape: Sequence[int], weight: Tensor | None = None, eps: float | None = None
) -> Tensor:
    """x / sqrt(mean(x**2) + eps) * weight over the last axes. Zhang & Sennrich, arXiv 1910.07467."""
    axes = tuple(range(len(x.shape) - len(shape), len(x.shape)))
    mean = reduce(call, "reduce_mean", square(call, x, "squares"), axes, True, "mean")
    eps = torch.finfo(x.dtype).eps if eps is None else eps
    gain = call.emit("rsqrt", call.emit("add", mean, float(eps), suffix="shifted"), suffix="gain")
    y = call.emit("mul", x, gain, suffix="" if weight is None else "scaled")
    return y if weight is None else mul(call, y, weight)


ROWS = {
    "aten.batch_norm.default": _batch_norm,
    "aten._native_batch_norm_legit_no_training.default": _batch_norm_evaluated,
    "aten._native_batch_norm_legit_functional.default": _batch_norm_functional,
    "aten.layer_norm.default": _layer_norm,
    "aten.native_layer_norm.default": _native_layer_norm,
    "aten.group_norm.default": _group_norm,
    "aten.native_group_norm.default": _native_group_norm,
    "aten.instance_norm.default": _instance_norm,
    "aten.rms_norm.default": _rms_norm,
}
