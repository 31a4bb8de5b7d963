"""Run in Brevitas' own environment: `gpfq_mode` on a CIFAR-10 ResNet, 4-bit weights, float activations.

Arguments: a folder with weights.safetensors and images.safetensors, the network's name, one JSON object of settings.
The last line of the output is one JSON object: seconds, processor seconds, and top-1 on the test images.
"""

from __future__ import annotations

import json
import sys
import time
import warnings
from pathlib import Path
from typing import Any

warnings.simplefilter("ignore")

import torch  # noqa: E402, what it and Brevitas warn of at their import is silenced first
from brevitas.graph.gpfq import gpfq_mode  # noqa: E402
from brevitas.graph.quantize import layerwise_quantize  # noqa: E402
from brevitas.nn import QuantConv2d, QuantLinear  # noqa: E402
from brevitas.quant import Int8WeightPerChannelFloat, Int8WeightPerChannelFloatMSE  # noqa: E402
from safetensors.torch import load_file  # noqa: E402
from torch import nn  # noqa: E402
from torch.nn.utils.fusion import fuse_conv_bn_eval  # noqa: E402

from arithmos.models.registry import build  # noqa: E402

STEPS = {"maximum": Int8WeightPerChannelFloat, "mse": Int8WeightPerChannelFloatMSE}


def folded(model: nn.Module) -> nn.Module:
    """The model with every bnN folded into the convN beside it."""
    for module in list(model.modules()):
        for name, child in list(module.named_children()):
            if isinstance(child, nn.BatchNorm2d):
                conv = name.replace("bn", "conv")
                setattr(module, conv, fuse_conv_bn_eval(getattr(module, conv), child))
                setattr(module, name, nn.Identity())
    return model


def quantised(model: nn.Module, bits: int, step: str) -> nn.Module:
    """The model with quantised weights, symmetric, narrow, a scale a channel; activations and biases stay float."""
    wanted = {"weight_quant": STEPS[step], "weight_bit_width": bits, "return_quant_tensor": False}
    return layerwise_quantize(
        model, compute_layer_map={nn.Conv2d: (QuantConv2d, wanted), nn.Linear: (QuantLinear, wanted)}
    )


def top1(model: nn.Module, images: torch.Tensor, labels: torch.Tensor) -> float:
    """Share of images whose largest output is the label's."""
    outputs = torch.cat([model(piece) for piece in images.split(100)])
    return float((outputs.argmax(dim=1) == labels).double().mean())


def measured(
    model: nn.Module, calibration: torch.Tensor, images: torch.Tensor, labels: torch.Tensor, wish: dict[str, Any]
) -> dict[str, Any]:
    """One run of gpfq_mode over all layers: both forwards and matrices, and the solves (`update`) apart."""
    exact = top1(folded(model), images, labels)
    model = quantised(model, wish["bits"], wish["step"])
    model(calibration[:2])  # scales are initialised by a forward
    solve_wall = solve_cpu = 0.0
    by_layer = []
    cpu, wall = time.process_time(), time.perf_counter()
    with gpfq_mode(model, act_order=wish["act_order"], use_quant_activations=False) as gpfq:
        for _ in range(gpfq.num_layers):
            for piece in calibration.split(wish["batch"]):
                gpfq.model(piece)
            before_cpu, before_wall = time.process_time(), time.perf_counter()
            gpfq.update()
            by_layer.append(time.perf_counter() - before_wall)
            solve_cpu += time.process_time() - before_cpu
            solve_wall += by_layer[-1]
    figures = {"wall_s": time.perf_counter() - wall, "cpu_s": time.process_time() - cpu}
    figures |= {"solve_wall_s": solve_wall, "solve_cpu_s": solve_cpu, "slowest_layer_s": max(by_layer)}
    accuracy = {"float_top1": 100 * exact, "top1": 100 * top1(model, images, labels)}
    return {key: round(value, 3) for key, value in figures.items()} | accuracy


def main(folder: Path, network: str, wish: dict[str, Any]) -> dict[str, Any]:
    """The figures of one run."""
    torch.set_num_threads(1)
    weights, data = load_file(folder / "weights.safetensors"), load_file(folder / "images.safetensors")
    model = build(network)
    model.load_state_dict(weights)
    with torch.no_grad():
        return measured(model.eval(), data["calibration"], data["images"], data["labels"], wish)


if __name__ == "__main__":
    print(json.dumps(main(Path(sys.argv[1]), sys.argv[2], json.loads(sys.argv[3]))))
