"""zkCNN's rule once more, word by word and number by number: what the replica is compared with."""

from __future__ import annotations

import math
from collections.abc import Iterator
from itertools import product


def direct(words: list[str], image: tuple[int, int, int], layers: list[dict[str, int]]) -> list[dict[tuple, int]]:
    """The accumulators of every layer by index. layers: co; of convolutions k, stride, padding, pool, pool_stride."""
    numbers = iter(map(float, words))
    channels, height, width = image
    raw = take(numbers, channels * height * width)
    x_bits = fitting(max(raw) - min(raw))
    x = dict(zip(product(range(channels), range(height), range(width)), scaled(raw, x_bits), strict=True))
    found = []
    for number, layer in enumerate(layers):
        k, stride, padding = layer.get("k", 0), layer.get("stride", 1), layer.get("padding", 0)
        co_all, ci_all = range(layer["co"]), range(channels if k else len(x))
        n_w = len(co_all) * len(ci_all) * (k * k if k else 1)
        raw = take(numbers, n_w)
        w_bits = fitting(max(raw) - min(raw))
        w = iter(scaled(raw, w_bits))
        bias = scaled(take(numbers, len(co_all)), w_bits + x_bits)
        acc: dict[tuple, int] = {}
        if k:
            kernel = {place: next(w) for place in product(co_all, ci_all, range(k), range(k))}
            height, width = (height + 2 * padding - k) // stride + 1, (width + 2 * padding - k) // stride + 1
            for co, i, j in product(co_all, range(height), range(width)):
                acc[co, i, j] = bias[co] + sum(
                    kernel[co, ci, di, dj] * x.get((ci, i * stride + di - padding, j * stride + dj - padding), 0)
                    for ci, di, dj in product(ci_all, range(k), range(k))
                )
        else:
            flat = [x[place] for place in sorted(x)]
            for co in co_all:
                acc[(co,)] = bias[co] + sum(next(w) * value for value in flat)
        found.append(acc)
        if number == len(layers) - 1:
            break
        extent = max(0, *acc.values()) + max(0, *(-a for a in acc.values()))
        next_bits = int(math.log2(255 / (extent / 2.0 ** (w_bits + x_bits))))
        shift = x_bits + w_bits - next_bits
        x_bits, channels = next_bits, layer["co"]
        x = {place: max(a, 0) >> shift for place, a in acc.items()}
        if size := layer.get("pool"):
            step = layer["pool_stride"]
            height, width = (height - size) // step + 1, (width - size) // step + 1
            x = {
                (c, i, j): max(x[c, i * step + di, j * step + dj] for di, dj in product(range(size), range(size)))
                for c, i, j in product(co_all, range(height), range(width))
            }
    assert next(numbers, None) is None
    return found


def take(numbers: Iterator[float], count: int) -> list[float]:
    return [next(numbers) for _ in range(count)]


def fitting(extent: float) -> int:
    bits = int(math.log(255 / extent) / math.log(2))
    return bits - 1 if int(extent * 2.0**bits) > 255 else bits


def scaled(numbers: list[float], bits: int) -> list[int]:
    return [int(number * 2.0**bits) for number in numbers]
