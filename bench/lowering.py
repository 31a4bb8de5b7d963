"""Trace, calibrate and quantize: wall time and peak memory of ResNet-20 and ResNet-50, each in a process of its own."""

from __future__ import annotations

import sys
from typing import Any

from record import in_child, record

CODE = """
import json, resource, time
import numpy as np
import torch
import arithmos as ar
from arithmos.models.registry import build
model = build({name!r})
shape = {shape!r}
times, start = {{}}, time.perf_counter()
graph = ar.trace(model, torch.zeros(2, *shape))
times["trace_s"] = time.perf_counter() - start
rng = np.random.default_rng(0)
batches = [rng.standard_normal((8, *shape), dtype=np.float32) for _ in range({n} // 8)]
start = time.perf_counter()
stats = ar.calibrate(graph, batches)
times["calibrate_s"] = time.perf_counter() - start
start = time.perf_counter()
ar.quantize(graph, stats)
times["quantize_s"] = time.perf_counter() - start
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
print(json.dumps({{**{{k: round(v, 2) for k, v in times.items()}}, "images": {n}, "peak_mib": round(peak)}}))
"""


def main(quick: bool = False) -> dict[str, Any]:
    """ResNet-20 on 256 images of 32x32 and ResNet-50 (random weights) on 16 of 224x224 (quick: 32 and none)."""
    figures = {"resnet20": in_child(CODE.format(name="resnet20", shape=(3, 32, 32), n=32 if quick else 256))}
    if not quick:
        figures["resnet50"] = in_child(CODE.format(name="resnet50", shape=(3, 224, 224), n=16))
    for row in figures.values():
        row["total_s"] = round(row["trace_s"] + row["calibrate_s"] + row["quantize_s"], 2)
    return record("lowering", figures)


if __name__ == "__main__":
    print(main("--quick" in sys.argv))
