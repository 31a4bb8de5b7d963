"""The engine against float32 eager PyTorch on the same cores: ratios of one run, exactness checked before timing."""

from __future__ import annotations

import copy
import sys
import time
from collections.abc import Callable
from functools import partial
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

import arithmos as ar
from arithmos.ir.border import admit
from arithmos.ir.graph import Graph
from arithmos.models.registry import build, entry
from arithmos.targets.engine import prepare, stream
from arithmos.targets.engine.library import instructions, kernels
from record import record

NETWORKS = {"resnet20": 64, "resnet18": 4}
"""Network -> images in a batch."""


def folded(model: nn.Module) -> nn.Module:
    """A copy of the model with every batch norm folded into the convolution before it."""
    model = copy.deepcopy(model)
    for parent in list(model.modules()):
        children = list(parent.named_children())
        for (conv_name, conv), (norm_name, norm) in pairwise(children):
            if isinstance(conv, nn.Conv2d) and isinstance(norm, nn.BatchNorm2d):
                setattr(parent, conv_name, fuse_conv_bn_eval(conv, norm))
                setattr(parent, norm_name, nn.Identity())
    return model


def fastest(calls: dict[str, Callable[[], object]], rounds: int) -> dict[str, float]:
    """Seconds of the fastest of `rounds` calls of each; they take turns, so that all meet the same disturbances."""
    for call in calls.values():
        call()
    best = dict.fromkeys(calls, float("inf"))
    for _ in range(rounds):
        for name, call in calls.items():
            start = time.perf_counter()
            call()
            best[name] = min(best[name], time.perf_counter() - start)
    return best


def network(name: str, n: int) -> tuple[nn.Module, Graph, np.ndarray]:
    """The model with random weights in evaluation mode, its W8A8 integer network, and n images."""
    torch.manual_seed(0)
    model = build(name).eval()
    shape = entry(name).input_shape
    images = np.random.default_rng(0).standard_normal((n, *shape), dtype=np.float32)
    graph = ar.trace(model, torch.zeros(2, *shape))
    return model, ar.quantize(graph, ar.calibrate(graph, [images[:4]])), images


def is_exact(net: Graph, images: np.ndarray) -> bool:
    """Whether the engine gives the interpreter's integers for every value, and for the outputs of the fused plan."""
    want = ar.run(net, images, every=True)
    every = ar.run(net, images, target="engine", every=True)
    outputs = prepare(net, False)(admit(net, {net.inputs[0]: images}))
    return all(np.array_equal(want[k], every[k]) for k in want) and all(
        np.array_equal(want[k], outputs[k]) for k in outputs
    )


def compare(name: str, threads: int, rounds: int) -> dict[str, Any]:
    """Microseconds an image of the engine and of three float32 forms, and the ratios."""
    n = NETWORKS[name]
    model, net, images = network(name, n)
    x, plain = torch.from_numpy(images), folded(model)
    last = copy.deepcopy(plain).to(memory_format=torch.channels_last)
    x_last = x.contiguous(memory_format=torch.channels_last)
    torch.set_num_threads(threads)
    calls: dict[str, Callable[[], object]] = {
        "engine": partial(prepare(net, False, threads=threads), admit(net, {net.inputs[0]: images})),
        "eager": partial(model, x),
        "eager_folded": partial(plain, x),
        "eager_folded_channels_last": partial(last, x_last),
    }
    with torch.no_grad():
        seconds = fastest(calls, rounds)
    row: dict[str, Any] = {f"{k}_us": round(1e6 * s / n, 1) for k, s in seconds.items()}
    row["ratio"] = {k: round(s / seconds["engine"], 2) for k, s in seconds.items() if k != "engine"}
    row["gmac_per_s"] = round(entry(name).macs * n / seconds["engine"] / 1e9, 1)
    return row


def every_value(net: Graph, inputs: dict[str, np.ndarray]) -> float:
    """Megabytes of values a second, streamed one by one."""
    size = sum(array.nbytes for _, array in stream(net, inputs))
    start = time.perf_counter()
    for _ in stream(net, inputs):
        pass
    return size / (time.perf_counter() - start) / 1e6


def main(quick: bool = False) -> dict[str, Any]:
    """ResNet-20 at batch 64 and ResNet-18 at 224x224 and batch 4, random weights, one and two threads."""
    rounds = 3 if quick else 15
    figures: dict[str, Any] = {"instructions": instructions(kernels())}
    for name in ("resnet20",) if quick else NETWORKS:
        _, net, images = network(name, NETWORKS[name])
        figures[name] = {"exact": is_exact(net, images[:1])}
        for threads in (1, 2):
            figures[name][f"threads_{threads}"] = compare(name, threads, rounds)
    _, net, images = network("resnet20", 100)
    start = time.perf_counter()
    ar.run(net, images[:2])
    figures["interpreter_s_per_image"] = round((time.perf_counter() - start) / 2, 3)
    figures["every_value_mb_per_s"] = round(every_value(net, admit(net, {net.inputs[0]: images})))
    return record("engine", figures)


if __name__ == "__main__":
    print(main("--quick" in sys.argv))
