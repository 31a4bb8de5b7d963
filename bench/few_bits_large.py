"""Few bits at size: ResNet-18 as a whole, and single layers of ResNet-50's and VGG's, each in a process of its own."""

from __future__ import annotations

import os
import sys
import time
from typing import Any

import torch
from torch import nn

import arithmos as ar
from arithmos.lower.quantize import decide
from arithmos.models.registry import build, entry
from arithmos.targets.clear import stream
from arithmos.targets.clear.nodes import run_node
from arithmos.train.data.datasets import load
from record import data_dir, in_child, peak_mib, record

CODE = """
import json, sys
sys.path.insert(0, "bench")
from few_bits_large import {function}
print(json.dumps({function}(*{given!r})))
"""

BITS = 4


def apart(function: str, *given: Any) -> dict[str, Any]:
    """What a function of this file returns, called in a process of its own."""
    return in_child(CODE.format(function=function, given=given))


def solved(model: nn.Module, images: torch.Tensor, method: str) -> dict[str, Any]:
    """Trace, calibrate, solve every layer at 4 bits: seconds, processor seconds, peak memory, errors."""
    torch.set_num_threads(1)
    images = images.numpy()
    graph = ar.trace(model.eval(), torch.zeros(2, *images.shape[1:]))
    recipe = ar.Recipe(rounding=method, error_correction="weights", overrides={"*": {"weight_bits": BITS}})
    wall, cpu = time.perf_counter(), time.process_time()
    stats = ar.calibrate(graph, [images], keep=len(images), stream=stream)
    between = time.perf_counter(), time.process_time()
    _, choice = decide(graph, stats, recipe, run=run_node)
    fits = choice.fits.values()
    return {
        "images": len(images),
        "layers": len(fits),
        "columns": max(fit.columns for fit in fits),
        "calibrate_s": round(between[0] - wall, 2),
        "wall_s": round(time.perf_counter() - wall, 2),
        "cpu_s": round(time.process_time() - cpu, 2),
        "peak_mib": round(peak_mib()),
        "largest_error": round(max(fit.relative_error or 0.0 for fit in fits), 4),
    }


def resnet18(n: int, method: str) -> dict[str, Any]:
    """cifar_resnet18, 11 M parameters, fresh weights whose batch norms have seen the images it is solved on."""
    torch.manual_seed(0)
    model, preparation = build("cifar_resnet18"), entry("cifar_resnet18").preparation
    images = torch.from_numpy(load("cifar10", "train", data_dir("cifar10"), limit=n, preparation=preparation)[0])
    with torch.no_grad():
        for piece in images.split(64):
            model.train()(piece)
    return solved(model, images, method)


def conv4608(n: int, method: str) -> dict[str, Any]:
    """The largest 3x3 convolution of ResNet-50: 512 rows of 4,608 columns, on n made images of 7 x 7."""
    torch.manual_seed(0)
    return solved(nn.Conv2d(512, 512, 3, padding=1), torch.randn(n, 512, 7, 7).relu(), method)


def vgg_fc1(n: int, method: str) -> dict[str, Any]:
    """The first fully connected layer of VGG: 4,096 rows of 25,088 columns, on n made vectors."""
    torch.manual_seed(0)
    return solved(nn.Linear(25088, 4096), torch.randn(n, 25088).relu(), method)


def main(quick: bool = False) -> dict[str, Any]:
    """ResNet-18 on 256 training images, layers on 512 made ones (quick: a sixteenth)."""
    os.environ |= {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
    wanted = [("conv4608", 512), ("vgg_fc1", 512)]
    if data_dir("cifar10") is not None:
        wanted = [("resnet18", 256), *wanted]
    figures: dict[str, Any] = {}
    for function, n in wanted:
        for method in ("gpfq",) if quick or function == "vgg_fc1" else ("gpfq", "gptq_corrected+descent"):
            figures[f"{function}, {method}"] = apart(function, n // 16 if quick else n, method)
            print(function, method, figures[f"{function}, {method}"], file=sys.stderr, flush=True)
    return record("few_bits_large", figures) if not quick else figures


if __name__ == "__main__":
    print(main("--quick" in sys.argv))
