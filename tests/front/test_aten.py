"""Every row of the table: small uses in the way people write them, each against torch itself."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest

torch = pytest.importorskip("torch", reason='pip install "arithmos[torch]"')
import torch.nn.functional as F  # noqa: E402
from torch import Tensor, nn  # noqa: E402

from front.agreement import agree  # noqa: E402

Use = Callable[[Tensor], object]


class Uses(nn.Module):
    """All uses of one family as one network, which is traced once."""

    def __init__(self, uses: dict[str, Use]) -> None:
        super().__init__()
        self.uses = uses

    def forward(self, x: Tensor) -> dict[str, object]:
        return {name: use(x) for name, use in self.uses.items()}


def w(x: Tensor, *shape: int) -> Tensor:
    """A fixed weight of the type of x."""
    return torch.sin(torch.arange(1, 1 + math.prod(shape))).reshape(shape).to(x.dtype)


def positive(x: Tensor) -> Tensor:
    return x.abs() + 0.5


FAMILIES: dict[str, tuple[tuple[int, ...], dict[str, Use]]] = {
    "arithmetic": (
        (4, 6, 5),
        {
            "add number": lambda x: x + 1,
            "add alpha": lambda x: torch.add(x, x, alpha=0.5),
            "number minus": lambda x: 1 - x,
            "sub alpha": lambda x: torch.sub(x, x.tanh(), alpha=3),
            "rsub": lambda x: torch.rsub(x, 2.0),
            "multiply": lambda x: x * x * 0.1,
            "broadcast": lambda x: x * w(x, 5) + w(x, 6, 1),
            "divide by number": lambda x: x / 3,
            "divide by constant": lambda x: x / (w(x, 5) + 3),
            "divide by value": lambda x: x / positive(x),
            "number by value": lambda x: 2.0 / positive(x),
            "negative": lambda x: -x,
            "power 2": lambda x: x**2,
            "power 3": lambda x: torch.pow(x, 3),
            "power of number": lambda x: 2.0**x,
            "power half": lambda x: positive(x) ** 0.5,
            "power minus half": lambda x: positive(x) ** -0.5,
            "power 1.7": lambda x: positive(x) ** 1.7,
            "square": lambda x: torch.square(x),
            "sqrt": lambda x: positive(x).sqrt() + positive(x).rsqrt() + positive(x).reciprocal(),
            "maximum": lambda x: torch.maximum(x, w(x, 5)),
            "minimum": lambda x: torch.minimum(x, x.tanh()),
            "min with constant": lambda x: torch.min(x, w(x, 5)),
            "max with value": lambda x: torch.max(x, x * x),
            "clamp": lambda x: x.clamp(-0.5, 0.7),
            "clamp below": lambda x: x.clamp(min=0.1),
            "clamp above": lambda x: torch.clamp_max(x, 0.1),
            "clamp to tensors": lambda x: torch.clamp(x, w(x, 5) - 2, w(x, 5)),
            "clamp infinite": lambda x: x.clamp(-float("inf"), 0.3),
            "clip": lambda x: torch.clip(x, max=0.2),
            "where constant": lambda x: torch.where(torch.ones(6, 5).triu().bool(), x, 0.0),
            "where compared": lambda x: torch.where(x > 0.3, x, -x),
            "where two": lambda x: torch.where(x <= x.tanh(), x * 2, torch.zeros_like(x)),
            "masked fill": lambda x: x.masked_fill(torch.ones(6, 5).triu(1) == 1, -1e9),
            "masked fill compared": lambda x: x.masked_fill(x < 0, 0.5),
            "compare": lambda x: (
                (x > 0).to(x.dtype) + (x >= w(x, 5)).to(x.dtype) * 2 + (x < 0.5).type_as(x) + (x <= 0).double()
            ),
            "equal": lambda x: (torch.relu(x) == 0).to(x.dtype) + (torch.relu(x) != 0) * 3.0,
            "logic": lambda x: ((x > 0) & (x < 1) | ~(x > -1)).to(x.dtype) + torch.logical_not(x > 0).to(x.dtype),
            "logical": lambda x: (torch.logical_and(x > 0, x < 1) ^ torch.logical_or(x > 1, x < -1)).to(x.dtype),
            "bool sum": lambda x: (x > 0).sum(-1),
            "threshold": lambda x: F.threshold(x, 0.3, -2.0),
            "addcmul": lambda x: torch.addcmul(x, x, x.tanh(), value=0.3),
            "addcdiv": lambda x: torch.addcdiv(x, x, positive(x), value=2),
            "lerp": lambda x: torch.lerp(x, x.tanh(), 0.25),
            "in place": lambda x: x.clone().add_(1).mul_(2).clamp_(min=0),
            "to": lambda x: x.to("cpu").contiguous().clone().detach(),
        },
    ),
    "activation": (
        (6, 5),
        {
            "relu": F.relu,
            "relu6": F.relu6,
            "hardtanh": lambda x: F.hardtanh(x, -0.5, 0.4),
            "leaky relu": lambda x: F.leaky_relu(x, 0.2),
            "elu": lambda x: F.elu(x, 0.7),
            "selu": F.selu,
            "celu": lambda x: F.celu(x, 1.3),
            "gelu": F.gelu,
            "gelu tanh": lambda x: F.gelu(x, approximate="tanh"),
            "silu": F.silu,
            "mish": F.mish,
            "hardswish": F.hardswish,
            "hardsigmoid": F.hardsigmoid,
            "sigmoid": torch.sigmoid,
            "tanh": torch.tanh,
            "softplus": lambda x: F.softplus(x, 2.0, 1.0),
            "logsigmoid": F.logsigmoid,
            "softsign": F.softsign,
            "tanhshrink": F.tanhshrink,
            "softshrink": lambda x: F.softshrink(x, 0.3),
            "hardshrink": lambda x: F.hardshrink(x, 0.3),
            "prelu": lambda x: F.prelu(x, w(x, 6)),
            "prelu one": lambda x: F.prelu(x, w(x, 1)),
            "rrelu": lambda x: F.rrelu(x, 0.1, 0.3),
            "glu": lambda x: F.glu(x, dim=1),
            "sign": torch.sign,
            "abs": torch.abs,
            "erf": torch.erf,
            "exp": torch.exp,
            "exp2": torch.exp2,
            "expm1": torch.expm1,
            "logs": lambda x: positive(x).log() + positive(x).log2() + positive(x).log10() + positive(x).log1p(),
            "trigonometric": lambda x: torch.sin(x) + torch.cos(x) + torch.tan(x * 0.5),
            "softmax": lambda x: F.softmax(x, dim=-1) + x.softmax(1),
            "log softmax": lambda x: F.log_softmax(x, dim=1),
            "softmin": lambda x: F.softmin(x, dim=2),
            "logsumexp": lambda x: torch.logsumexp(x, -1) + torch.logsumexp(x, 2, keepdim=True).squeeze(2),
        },
    ),
    "layout": (
        (4, 6, 6),
        {
            "view": lambda x: x.view(x.size(0), -1),
            "view of parts": lambda x: x.view(x.shape[0], 2, 2, 36).reshape(-1, 2, 36),
            "merge batch": lambda x: (x.reshape(x.size(0) * 4, 36) @ w(x, 36, 3)).view(x.size(0), 4, 3),
            "flatten": lambda x: torch.flatten(x, 1),
            "flatten all": lambda x: x.flatten(),
            "unflatten": lambda x: x.unflatten(2, (2, 3)),
            "squeeze": lambda x: x.unsqueeze(1).squeeze(1) + x.unsqueeze(-1).squeeze(),
            "permute": lambda x: x.permute(0, 2, 3, 1),
            "transpose": lambda x: x.transpose(1, -1) + x.swapaxes(1, 3).movedim(1, 1),
            "movedim": lambda x: x.movedim((1, 3), (3, 2)),
            "matrix transpose": lambda x: x.mT,
            "cat": lambda x: torch.cat([x, x * 2, x[:, :1]], dim=1),
            "cat constant": lambda x: torch.cat([w(x, 1, 1, 6, 6).expand(x.size(0), -1, -1, -1), x], dim=1),
            "cat growing": lambda x: torch.cat([torch.empty(0).to(x.dtype), x], -1),
            "stack": lambda x: torch.stack([x, -x], dim=2),
            "chunk": lambda x: x.chunk(3, dim=1),
            "split": lambda x: x.split([1, 2, 3], dim=-1),
            "split even": lambda x: torch.split(x, 4, dim=2),
            "unbind": lambda x: x.unbind(1)[2] + x.unbind(-1)[0].unsqueeze(-1).mean(1),
            "select": lambda x: x[:, 1] + x[:, -1] + x.select(1, 0),
            "slices": lambda x: x[:, ::2, 1:-1, -3:],
            "slice ellipsis": lambda x: x[..., 1:5:3],
            "new axis": lambda x: x[:, None, :, 0, :] + x[:, :, None, :, 2].sum(2, keepdim=True),
            "narrow": lambda x: x.narrow(2, 1, 3),
            "flip": lambda x: torch.flip(x, [1, 3]),
            "roll": lambda x: torch.roll(x, shifts=(2, -1), dims=(2, 3)),
            "constant index": lambda x: x[:, [2, 0, 3, 1]] + x[:, torch.tensor([0, 0, 1, 1])],
            "index of two axes": lambda x: x[:, :, [0, 1, 2], [3, 4, 5]],
            "index select": lambda x: x.index_select(3, torch.tensor([5, 5, 0])),
            "pad": lambda x: F.pad(x, (1, 2, 0, 3)),
            "pad value": lambda x: F.pad(x, (1, 0, 0, 0, 2, 1), value=0.5),
            "pad infinite": lambda x: F.max_pool2d(F.pad(x, (0, 1, 0, 1), value=-float("inf")), 2),
            "pad negative": lambda x: F.pad(x, (-1, 2, -2, -1)),
            "pad reflect": lambda x: F.pad(x, (2, 1, 0, 3), mode="reflect"),
            "pad replicate": lambda x: F.pad(x, (2, 1, 1, 0), mode="replicate"),
            "pad circular": lambda x: F.pad(x, (2, 1, 1, 0), mode="circular"),
            "expand": lambda x: x[:, :1].expand(-1, 3, -1, -1) + x[:, :1, :, :1].expand(x.size(0), 3, 6, 6),
            "expand far": lambda x: x[:, 0, 0, :1].expand(-1, 40),
            "expand as": lambda x: x.mean(dim=(2, 3), keepdim=True).expand_as(x) * x,
            "broadcast": lambda x: torch.broadcast_tensors(x, x[:, :1])[1],
            "repeat": lambda x: x.repeat(1, 2, 1, 3),
            "repeat more": lambda x: x[:, 0].repeat(1, 1, 20),
            "repeat interleave": lambda x: x.repeat_interleave(2, dim=1),
            "tile": lambda x: x.tile(2, 1),
            "pixel shuffle": lambda x: F.pixel_shuffle(x, 2),
            "pixel unshuffle": lambda x: F.pixel_unshuffle(x, 3),
            "channel shuffle": lambda x: F.channel_shuffle(x, 2),
            "tril": lambda x: x.tril() + x.triu(2),
            "unfold": lambda x: x.unfold(3, 3, 2),
            "im2col": lambda x: F.unfold(x, 3, dilation=1, padding=1, stride=2),
            "col2im": lambda x: F.fold(F.unfold(x, (3, 2), padding=1, stride=2), (6, 6), (3, 2), padding=1, stride=2),
            "cumsum": lambda x: x.cumsum(-1) + x.cumsum(1),
            "write": lambda x: _written(x),
            "dropout": lambda x: F.dropout(x, 0.5, training=False) + nn.Identity()(x),
        },
    ),
    "reduction": (
        (4, 6, 5),
        {
            "mean": lambda x: x.mean(dim=(2, 3)),
            "mean kept": lambda x: x.mean(-1, keepdim=True),
            "sum": lambda x: x.sum(dim=[1, 2]),
            "amax": lambda x: x.amax(dim=(2, 3)) + torch.amin(x, (2, 3)),
            "max": lambda x: torch.max(x, dim=1)[0] + x.max(dim=1).values + x.min(1)[0],
            "max index": lambda x: x.max(1)[1] + x.min(1).indices,
            "argmax": lambda x: x.argmax(1) + torch.argmin(x, dim=1, keepdim=True).squeeze(1),
            "any": lambda x: (x > 1).any(-1).to(x.dtype) + (x > -1).all(dim=-1) * 2.0,
            "infinite": lambda x: (x == -float("inf")).to(x.dtype) + x,
            "var": lambda x: x.var(dim=1) + torch.var(x, dim=1, unbiased=False) + x.std(1),
            "var mean": lambda x: torch.var_mean(x, dim=(2, 3), keepdim=True),
            "std mean": lambda x: torch.std_mean(x, 1, correction=0),
            "norms": lambda x: x.norm(dim=1) + torch.linalg.vector_norm(x, 1, dim=1) + x.norm(p=float("inf"), dim=1),
            "normalize": lambda x: F.normalize(x, dim=1),
            "cosine": lambda x: F.cosine_similarity(x, x.tanh(), dim=1),
        },
    ),
    "product": (
        (3, 4, 5),
        {
            "linear": lambda x: F.linear(x, w(x, 7, 5), w(x, 7)),
            "matmul constant": lambda x: x @ w(x, 5, 7),
            "constant matmul": lambda x: w(x, 6, 4) @ x,
            "matmul values": lambda x: x @ x.transpose(-2, -1),
            "matmul batch": lambda x: torch.matmul(x, w(x, 3, 5, 2)),
            "matmul vector": lambda x: x @ w(x, 5),
            "vector matmul": lambda x: w(x, 4) @ x,
            "bmm": lambda x: torch.bmm(x[:, 0], x[:, 1].transpose(1, 2)),
            "baddbmm": lambda x: torch.baddbmm(x[:, 2, :, :4], x[:, 0], x[:, 1].mT, beta=0.5, alpha=2),
            "addmm": lambda x: torch.addmm(w(x, 2), x.flatten(1), w(x, 60, 2)),
            "addmm scaled": lambda x: torch.addmm(w(x, 2), x.flatten(1), w(x, 60, 2), beta=2, alpha=0.5),
            "einsum product": lambda x: torch.einsum("bhid,bhjd->bhij", x, x),
            "einsum constant": lambda x: torch.einsum("bhid,de->bhie", x, w(x, 5, 6)),
            "einsum constant first": lambda x: torch.einsum("ed,bhid->behi", w(x, 6, 5), x),
            "einsum dots": lambda x: torch.einsum("...id,...jd->...ij", x, x) @ torch.einsum("...d,de", x, w(x, 5, 2)),
            "einsum two inner": lambda x: torch.einsum("bhid,hde->bie", x, w(x, 3, 5, 2)),
            "einsum sum": lambda x: torch.einsum("bhid->bd", x) + torch.einsum("bhid,bhie->bd", x, x),
            "einsum shared": lambda x: torch.einsum("bhid,hde->bhie", x, w(x, 3, 5, 2)),
            "einsum transpose": lambda x: torch.einsum("bhid->bdhi", x),
            "attention": lambda x: F.scaled_dot_product_attention(x, x * 2, x - 1),
            "causal": lambda x: F.scaled_dot_product_attention(x, x, x, is_causal=True, scale=0.3),
            "attention mask": lambda x: F.scaled_dot_product_attention(
                x, x, x, attn_mask=torch.ones(4, 4).tril().bool()
            ),
            "attention bias": lambda x: F.scaled_dot_product_attention(x, x, x, attn_mask=w(x, 4, 4)),
            "attention float mask": lambda x: F.scaled_dot_product_attention(
                x, x, x, attn_mask=torch.full((4, 4), float("-inf"), dtype=x.dtype).triu(1)
            ),
            "grouped queries": lambda x: F.scaled_dot_product_attention(x.repeat(1, 2, 1, 1), x, x, enable_gqa=True),
            "layer norm": lambda x: F.layer_norm(x, (5,)) + F.layer_norm(x, (4, 5), w(x, 4, 5)),
            "rms norm": lambda x: F.rms_norm(x, (5,), w(x, 5)) + F.rms_norm(x, (4, 5), eps=1e-3),
            "group norm": lambda x: F.group_norm(x, 3, w(x, 3), w(x, 3)),
            "instance norm": lambda x: F.instance_norm(x),
            "batch norm": lambda x: F.batch_norm(x, w(x, 3), positive(w(x, 3)), w(x, 3)),
            "local response": lambda x: F.local_response_norm(x, 3),
        },
    ),
    "image": (
        (4, 9, 8),
        {
            "conv": lambda x: F.conv2d(x, w(x, 6, 4, 3, 3), w(x, 6), stride=(2, 1), padding=(1, 0)),
            "conv groups": lambda x: F.conv2d(x, w(x, 6, 2, 3, 2), groups=2, dilation=(1, 2)),
            "conv depthwise": lambda x: F.conv2d(x, w(x, 8, 1, 3, 3), groups=4, padding="same"),
            "conv same even": lambda x: F.conv2d(x, w(x, 2, 4, 2, 4), padding="same", dilation=(1, 2)),
            "conv valid": lambda x: F.conv2d(x, w(x, 2, 4, 2, 4), padding="valid"),
            "conv computed": lambda x: F.conv2d(x, w(x, 6, 4, 3, 3) / w(x, 6, 4, 3, 3).norm()),
            "transposed": lambda x: F.conv_transpose2d(
                x, w(x, 4, 3, 3, 3), w(x, 3), stride=2, padding=1, output_padding=1
            ),
            "transposed groups": lambda x: F.conv_transpose2d(
                x, w(x, 4, 3, 2, 3), stride=(3, 1), groups=2, dilation=(2, 1)
            ),
            "transposed cut": lambda x: F.conv_transpose2d(x, w(x, 4, 3, 2, 2), stride=2, padding=2),
            "max pool": lambda x: F.max_pool2d(x, 2),
            "max pool ceil": lambda x: F.max_pool2d(x, 3, stride=2, padding=1, ceil_mode=True),
            "max pool ceil reduced": lambda x: F.max_pool2d(x, 2, stride=3, padding=1, ceil_mode=True),
            "avg pool": lambda x: F.avg_pool2d(x, 3, stride=2, padding=1),
            "avg pool without padding": lambda x: F.avg_pool2d(x, 3, stride=2, padding=1, count_include_pad=False),
            "avg pool ceil": lambda x: F.avg_pool2d(x, 3, stride=2, ceil_mode=True),
            "avg pool ceil padded": lambda x: F.avg_pool2d(x, 4, stride=3, padding=(1, 2), ceil_mode=True),
            "avg pool ceil unpadded": lambda x: F.avg_pool2d(x, 4, 3, (1, 2), ceil_mode=True, count_include_pad=False),
            "avg pool divisor": lambda x: F.avg_pool2d(x, 2, ceil_mode=True, divisor_override=3),
            "lp pool": lambda x: F.lp_pool2d(x, 2, 2),
            "global": lambda x: F.adaptive_avg_pool2d(x, 1),
            "adaptive": lambda x: F.adaptive_avg_pool2d(x, (3, 4)),
            "adaptive uneven": lambda x: F.adaptive_avg_pool2d(x, (4, 3)),
            "adaptive larger": lambda x: F.adaptive_avg_pool2d(x[:, :, :1, :2], (7, 5)),
            "adaptive none": lambda x: F.adaptive_avg_pool2d(x, (None, 2)),
            "adaptive max": lambda x: F.adaptive_max_pool2d(x, (3, 4)),
            "adaptive max uneven": lambda x: F.adaptive_max_pool2d(x, (4, 3)),
            "nearest": lambda x: F.interpolate(x, scale_factor=2),
            "nearest size": lambda x: F.interpolate(x, size=(12, 8)),
            "nearest scale": lambda x: F.interpolate(x, scale_factor=1.7),
            "nearest down": lambda x: F.interpolate(x, size=(4, 4), mode="nearest-exact"),
            "bilinear": lambda x: F.interpolate(x, scale_factor=2, mode="bilinear"),
            "bilinear corners": lambda x: F.interpolate(x, size=(5, 11), mode="bilinear", align_corners=True),
            "bilinear scale": lambda x: F.interpolate(x, scale_factor=1.3, mode="bilinear", align_corners=False),
            "bicubic": lambda x: F.interpolate(x, scale_factor=2, mode="bicubic"),
            "area": lambda x: F.interpolate(x, size=(4, 5), mode="area"),
        },
    ),
    "line": (
        (4, 10),
        {
            "conv": lambda x: F.conv1d(x, w(x, 6, 4, 3), padding=4, dilation=2)[:, :, :-4],
            "conv causal": lambda x: F.conv1d(F.pad(x, (2, 0)), w(x, 6, 4, 3), w(x, 6)),
            "transposed": lambda x: F.conv_transpose1d(x, w(x, 4, 2, 4), stride=2, padding=1),
            "max pool": lambda x: F.max_pool1d(x, 3, 2, padding=1),
            "avg pool": lambda x: F.avg_pool1d(x, 4, 3, padding=1, ceil_mode=True),
            "adaptive": lambda x: F.adaptive_avg_pool1d(x, 4),
            "adaptive max": lambda x: F.adaptive_max_pool1d(x, 3),
            "nearest": lambda x: F.interpolate(x, scale_factor=3),
            "linear": lambda x: F.interpolate(x, size=15, mode="linear"),
            "reflect": lambda x: F.pad(x, (3, 2), mode="reflect"),
        },
    ),
    "volume": (
        (2, 4, 5, 6),
        {
            "conv": lambda x: F.conv3d(x, w(x, 3, 2, 2, 3, 3), padding=1),
            "transposed": lambda x: F.conv_transpose3d(x, w(x, 2, 2, 2, 2, 2), stride=2),
            "max pool": lambda x: F.max_pool3d(x, 2),
            "avg pool": lambda x: F.avg_pool3d(x, (2, 1, 3)),
            "adaptive": lambda x: F.adaptive_avg_pool3d(x, (2, 2, 4)),
            "trilinear": lambda x: F.interpolate(x, scale_factor=2, mode="trilinear"),
        },
    ),
    "constants of the batch": (
        (3, 6),
        {
            "zeros": lambda x: torch.cat([torch.zeros(x.size(0), 1, 6).to(x.dtype), x], dim=1),
            "zeros like": lambda x: torch.ones_like(x) * x + torch.full_like(x, 0.5),
            "new zeros": lambda x: x + x.new_zeros(x.size(0), 1, 1) + x.new_ones(6),
            "class token": lambda x: torch.cat((w(x, 1, 1, 6).repeat(x.shape[0], 1, 1), x), dim=1) + w(x, 1, 4, 6),
            "both sides": lambda x: torch.cat((w(x, 1, 2, 6).expand(x.shape[0], -1, -1), x, x * 2), dim=1),
            "positions": lambda x: x + torch.arange(6, dtype=x.dtype) / torch.arange(1, 4, dtype=x.dtype)[:, None],
            "alone": lambda x: w(x, 1, 2).expand(x.size(0), 2),
            "alone merged": lambda x: w(x, 1, 2, 3).repeat(x.size(0), 1, 1).view(-1, 3),
            "alone behind": lambda x: w(x, 2, 1).expand(2, x.size(0)),
            "state": lambda x: torch.tanh(torch.zeros(x.size(0), 6).to(x.dtype) @ w(x, 6, 6) + x[:, 0]),
            "constant": lambda x: torch.eye(3),
        },
    ),
}


def _written(x: Tensor) -> Tensor:
    y = x.clone()
    y[:, 0] = 0
    y[:, 1:3, ::2] = x[:, :2, 1::2]
    y[:, :, 1:3] *= 2
    y[:, -1, :, 1] += 1
    return y


@pytest.mark.parametrize("family", FAMILIES)
def test_operations_compute_what_torch_computes(family: str) -> None:
    shape, uses = FAMILIES[family]
    agree(Uses(uses), torch.zeros(1, *shape))
