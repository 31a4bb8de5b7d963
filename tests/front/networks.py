"""Networks in the way people write them: `NETWORKS` (name -> maker and example), and two that take token ids."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn


def conv_bn(i: int, o: int, k: int = 3, **options: int) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(i, o, k, bias=False, **options), nn.BatchNorm2d(o), nn.ReLU(inplace=True))


class BasicBlock(nn.Module):
    """ResNet's block, its shortcut subsampled and padded, its ReLU in place."""

    def __init__(self, i: int, o: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(i, o, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(o)
        self.conv2 = nn.Conv2d(o, o, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(o)
        self.relu = nn.ReLU(inplace=True)
        self.grow = o - i
        self.stride = stride

    def forward(self, x: Tensor) -> Tensor:
        out = self.relu(self.bn1(self.conv1(x)))
        out = self.bn2(self.conv2(out))
        if self.stride != 1:
            x = F.pad(x[:, :, ::2, ::2], (0, 0, 0, 0, self.grow // 2, self.grow // 2), "constant", 0)
        out += x
        return self.relu(out)


class ResNet(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(
            nn.Conv2d(3, 8, 7, 2, 3), nn.BatchNorm2d(8), nn.ReLU(inplace=True), nn.MaxPool2d(3, 2, 1)
        )
        self.layer1 = nn.Sequential(BasicBlock(8, 8, 1), BasicBlock(8, 12, 2))
        self.avgpool = nn.AdaptiveAvgPool2d((1, 1))
        self.fc = nn.Linear(12, 5)

    def forward(self, x: Tensor) -> Tensor:
        x = self.avgpool(self.layer1(self.stem(x)))
        return self.fc(torch.flatten(x, 1))


class PreActivation(nn.Module):
    """The shortcut is taken after a ReLU in place, which later readers see."""

    def __init__(self) -> None:
        super().__init__()
        self.bn = nn.BatchNorm2d(4)
        self.conv = nn.Conv2d(4, 4, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        h = self.bn(x)
        shortcut = h
        F.relu_(h)
        return self.conv(h) + shortcut


class SqueezeExcite(nn.Module):
    def __init__(self, c: int) -> None:
        super().__init__()
        self.fc1 = nn.Linear(c, c // 2)
        self.fc2 = nn.Linear(c // 2, c)

    def forward(self, x: Tensor) -> Tensor:
        b, c, _, _ = x.size()
        y = F.adaptive_avg_pool2d(x, 1).view(b, c)
        y = torch.sigmoid(self.fc2(F.relu(self.fc1(y)))).view(b, c, 1, 1)
        return x * y.expand_as(x)


class MobileBlock(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.expand = nn.Sequential(nn.Conv2d(4, 8, 1, bias=False), nn.BatchNorm2d(8), nn.ReLU6(inplace=True))
        self.depth = nn.Sequential(nn.Conv2d(8, 8, 3, 1, 1, groups=8, bias=False), nn.BatchNorm2d(8), nn.Hardswish())
        self.se = SqueezeExcite(8)
        self.project = nn.Sequential(nn.Conv2d(8, 4, 1, bias=False), nn.BatchNorm2d(4))

    def forward(self, x: Tensor) -> Tensor:
        return x + self.project(self.se(self.depth(self.expand(x))))


class ShuffleUnit(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.branch = conv_bn(4, 4, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        a, b = x.chunk(2, dim=1)
        x = torch.cat((a, self.branch(b)), dim=1)
        n, c, h, w = x.shape
        x = x.view(n, 2, c // 2, h, w)
        return x.transpose(1, 2).contiguous().view(n, -1, h, w)


class ConvNeXtBlock(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.depth = nn.Conv2d(6, 6, 7, padding=3, groups=6)
        self.norm = nn.LayerNorm(6, eps=1e-6)
        self.up = nn.Linear(6, 24)
        self.down = nn.Linear(24, 6)
        self.gamma = nn.Parameter(torch.rand(6))

    def forward(self, x: Tensor) -> Tensor:
        y = self.depth(x).permute(0, 2, 3, 1)
        y = self.gamma * self.down(F.gelu(self.up(self.norm(y))))
        return x + y.permute(0, 3, 1, 2)


class UNet(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.down1, self.down2 = conv_bn(3, 4, padding=1), conv_bn(4, 8, padding=1)
        self.up = nn.ConvTranspose2d(8, 4, 2, stride=2)
        self.mix = conv_bn(8, 4, padding=1)
        self.out = nn.Conv2d(4, 2, 1)

    def forward(self, x: Tensor) -> Tensor:
        a = self.down1(x)
        b = self.down2(F.max_pool2d(a, 2))
        c = self.mix(torch.cat([self.up(b), a], dim=1))
        return F.interpolate(self.out(c), scale_factor=2, mode="nearest")


class Inception(nn.Module):
    """Branches of convolutions, average pooling and concatenation behind torchvision's transform_input."""

    def __init__(self) -> None:
        super().__init__()
        self.one, self.three = conv_bn(3, 4, 1), conv_bn(3, 4, 3, padding=1)
        self.wide = nn.Conv2d(3, 2, (1, 7), padding=(0, 3))
        self.pool = conv_bn(3, 2, 1)

    def forward(self, x: Tensor) -> Tensor:
        r = torch.unsqueeze(x[:, 0], 1) * (0.229 / 0.5) + (0.485 - 0.5) / 0.5
        g = torch.unsqueeze(x[:, 1], 1) * (0.224 / 0.5) + (0.456 - 0.5) / 0.5
        b = torch.unsqueeze(x[:, 2], 1) * (0.225 / 0.5) + (0.406 - 0.5) / 0.5
        x = torch.cat((r, g, b), 1)
        pooled = F.avg_pool2d(x, kernel_size=3, stride=1, padding=1)
        outputs = [self.one(x), self.three(x), self.wide(x), self.pool(pooled)]
        return F.max_pool2d(torch.cat(outputs, 1), kernel_size=3, stride=2, ceil_mode=True)


class WaveNet(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.start = nn.Conv1d(1, 6, 1)
        self.layers = nn.ModuleList([nn.Conv1d(6, 12, 2, dilation=2**i) for i in range(3)])
        self.skips = nn.ModuleList([nn.Conv1d(6, 6, 1) for _ in range(3)])

    def forward(self, x: Tensor) -> Tensor:
        x, total = self.start(x), 0
        for i, (layer, skip) in enumerate(zip(self.layers, self.skips, strict=True)):
            a, b = layer(F.pad(x, (2**i, 0))).chunk(2, dim=1)
            z = torch.tanh(a) * torch.sigmoid(b)
            total = total + skip(z)
            x = x + z
        return F.relu(total)


class VisionTransformer(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.patch = nn.Conv2d(3, 8, 4, stride=4)
        self.token = nn.Parameter(torch.randn(1, 1, 8))
        self.position = nn.Parameter(torch.randn(1, 5, 8))
        self.qkv = nn.Linear(8, 24)
        self.norm = nn.LayerNorm(8)
        self.head = nn.Linear(8, 3)

    def forward(self, x: Tensor) -> Tensor:
        b = x.shape[0]
        x = self.patch(x).flatten(2).transpose(1, 2)
        x = torch.cat((self.token.expand(b, -1, -1), x), dim=1) + self.position
        n, c = x.shape[1:]
        q, k, v = self.qkv(self.norm(x)).reshape(b, n, 3, 2, c // 2).permute(2, 0, 3, 1, 4)
        attention = (q @ k.transpose(-2, -1) * (c // 2) ** -0.5).softmax(dim=-1)
        return self.head((x + (attention @ v).transpose(1, 2).reshape(b, n, c))[:, 0])


class Swin(nn.Module):
    """Shifted windows: rolls, window partition, relative positions by a constant index, a mask for each window."""

    def __init__(self) -> None:
        super().__init__()
        self.qkv, self.bias = nn.Linear(8, 24), nn.Parameter(torch.randn(9, 2))
        grid = torch.stack(torch.meshgrid(torch.arange(2), torch.arange(2), indexing="ij")).flatten(1)
        offset = (grid[:, :, None] - grid[:, None, :] + 1).permute(1, 2, 0)
        self.register_buffer("index", offset[..., 0] * 3 + offset[..., 1])
        self.register_buffer("mask", torch.where(torch.rand(4, 4, 4) < 0.3, -100.0, 0.0))

    def forward(self, x: Tensor) -> Tensor:
        b, h, w, c = x.shape
        x = torch.roll(x, shifts=(-1, -1), dims=(1, 2))
        windows = x.view(b, h // 2, 2, w // 2, 2, c).permute(0, 1, 3, 2, 4, 5).contiguous().view(-1, 4, c)
        q, k, v = self.qkv(windows).view(-1, 4, 3, 2, c // 2).permute(2, 0, 3, 1, 4).unbind(0)
        scores = q * (c // 2) ** -0.5 @ k.transpose(-2, -1)
        scores = scores + self.bias[self.index.view(-1)].view(4, 4, 2).permute(2, 0, 1).contiguous().unsqueeze(0)
        n = self.mask.shape[0]
        scores = (scores.view(-1, n, 2, 4, 4) + self.mask.unsqueeze(1).unsqueeze(0)).view(-1, 2, 4, 4)
        y = (scores.softmax(-1) @ v).transpose(1, 2).reshape(-1, 2, 2, c)
        y = y.view(b, h // 2, w // 2, 2, 2, c).permute(0, 1, 3, 2, 4, 5).reshape(b, h, w, c)
        return torch.roll(y, shifts=(1, 1), dims=(1, 2))


class GPT(nn.Module):
    """Written out, with the mask made in forward and a tied head."""

    def __init__(self) -> None:
        super().__init__()
        self.wte, self.wpe = nn.Embedding(11, 8), nn.Embedding(6, 8)
        self.ln_1, self.ln_2 = nn.LayerNorm(8), nn.LayerNorm(8, bias=False)
        self.c_attn, self.c_proj = nn.Linear(8, 24), nn.Linear(8, 8)
        self.c_fc, self.c_out = nn.Linear(8, 32), nn.Linear(32, 8)
        self.drop = nn.Dropout(0.1)

    def forward(self, ids: Tensor) -> Tensor:
        b, t = ids.size()
        x = self.drop(self.wte(ids) + self.wpe(torch.arange(0, t, dtype=torch.long, device=ids.device)))
        q, k, v = self.c_attn(self.ln_1(x)).split(8, dim=2)
        q, k, v = (y.view(b, t, 2, 4).transpose(1, 2) for y in (q, k, v))
        scores = (q @ k.transpose(-2, -1)) / math.sqrt(k.size(-1))
        scores = scores.masked_fill(torch.tril(torch.ones(t, t)).view(1, 1, t, t) == 0, float("-inf"))
        y = (F.softmax(scores, dim=-1) @ v).transpose(1, 2).contiguous().view(b, t, 8)
        x = x + self.c_proj(y)
        h = self.c_fc(self.ln_2(x))
        h = 0.5 * h * (1.0 + torch.tanh(math.sqrt(2.0 / math.pi) * (h + 0.044715 * torch.pow(h, 3.0))))
        return (x + self.c_out(h)) @ self.wte.weight.T


class Bert(nn.Module):
    """An encoder that is told by a mask which tokens are padding."""

    def __init__(self) -> None:
        super().__init__()
        self.words, self.types = nn.Embedding(11, 8, padding_idx=0), nn.Embedding(2, 8)
        self.norm = nn.LayerNorm(8, eps=1e-12)
        self.query, self.key, self.value = nn.Linear(8, 8), nn.Linear(8, 8), nn.Linear(8, 8)

    def split(self, x: Tensor) -> Tensor:
        return x.view(*x.size()[:-1], 2, 4).permute(0, 2, 1, 3)

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        x = self.norm(self.words(input_ids) + self.types(torch.zeros_like(input_ids)))
        bias = (1.0 - attention_mask[:, None, None, :].to(dtype=x.dtype)) * -10000.0
        scores = (
            torch.matmul(self.split(self.query(x)), self.split(self.key(x)).transpose(-1, -2)) / math.sqrt(4) + bias
        )
        context = torch.matmul(nn.Softmax(dim=-1)(scores), self.split(self.value(x))).permute(0, 2, 1, 3).contiguous()
        y = context.view(*context.size()[:-2], 8) + F.one_hot(attention_mask, 8).to(x.dtype)
        weight = attention_mask.unsqueeze(-1).type_as(y)
        return F.normalize((y * weight).sum(1) / torch.clamp(weight.sum(1), min=1e-9), p=2, dim=1)


class Mixer(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.tokens = nn.Sequential(nn.Linear(5, 7), nn.GELU(approximate="tanh"), nn.Linear(7, 5))
        self.channels = nn.Sequential(nn.Linear(6, 9), nn.SiLU(), nn.Linear(9, 6))

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.tokens(x.transpose(1, 2)).transpose(1, 2)
        return (x + self.channels(x)).mean(dim=1)


class Shared(nn.Module):
    """One module twice, weights computed from parameters, a constant tensor, a batch size by len."""

    def __init__(self) -> None:
        super().__init__()
        self.block = nn.Sequential(nn.Linear(6, 6), nn.Tanh())
        self.head = nn.utils.parametrizations.weight_norm(nn.Linear(6, 4))
        self.scale = torch.tensor(0.5)
        self.shift = nn.Parameter(torch.randn(4))

    def forward(self, x: Tensor) -> Tensor:
        x = self.block(self.block(x)).view(len(x), -1)
        return self.head(x) * self.scale.item() + self.shift.detach()


class Norms(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(3, 6, 3), nn.GroupNorm(2, 6), nn.PReLU(6), nn.InstanceNorm2d(6, affine=True), nn.LeakyReLU(0.1),
            nn.BatchNorm2d(6, affine=False), nn.Upsample(scale_factor=2), nn.ReflectionPad2d(1), nn.AvgPool2d(2),
            nn.Flatten(1, 2), nn.RMSNorm(5), nn.Unflatten(1, (6, 5)), nn.PixelShuffle(1), nn.Softmax2d(),
        )  # fmt: skip

    def forward(self, x: Tensor) -> Tensor:
        return self.body(x)


def images(*shape: int) -> Tensor:
    return torch.zeros(1, *shape)


NETWORKS: dict[str, tuple[Callable[[], nn.Module], Tensor]] = {
    "resnet": (ResNet, images(3, 32, 32)),
    "pre-activation": (PreActivation, images(4, 5, 5)),
    "mobile": (MobileBlock, images(4, 6, 6)),
    "shuffle": (ShuffleUnit, images(8, 6, 6)),
    "convnext": (ConvNeXtBlock, images(6, 8, 8)),
    "unet": (UNet, images(3, 8, 8)),
    "inception": (Inception, images(3, 12, 12)),
    "wavenet": (WaveNet, images(1, 20)),
    "vit": (VisionTransformer, images(3, 8, 8)),
    "swin": (Swin, images(4, 4, 8)),
    "mixer": (Mixer, images(5, 6)),
    "shared": (Shared, images(6)),
    "norms": (Norms, images(3, 6, 6)),
    "encoder": (lambda: nn.TransformerEncoderLayer(8, 2, 16, batch_first=True, activation="gelu"), images(5, 8)),
    "encoder of two": (
        lambda: nn.TransformerEncoder(
            nn.TransformerEncoderLayer(8, 2, 16, batch_first=True), 2, enable_nested_tensor=False
        ),
        images(5, 8),
    ),
}
