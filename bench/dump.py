"""Dump: megabytes a second of every value of ResNet-20 to safetensors, and the peak memory, in a fresh process."""

from __future__ import annotations

import sys
from typing import Any

from record import in_child, record

CODE = """
import json, os, resource, tempfile, time
from pathlib import Path
import sys
sys.path.insert(0, "bench")
from engine import network
import arithmos as ar
from arithmos.evidence.dump import dump, dump_bytes
_, net, images = network("resnet20", {n})
ar.run(net, images[:2], target="engine")
size = dump_bytes(net, {n})
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
rates = {{}}
for place in ("disk", "memory"):
    best = float("inf")
    with tempfile.TemporaryDirectory(dir=None if place == "disk" else "/dev/shm") as folder:
        for i in range({rounds}):
            start = time.perf_counter()
            dump(net, images, Path(folder) / str(i), target="engine")
            best = min(best, time.perf_counter() - start)
        block = os.urandom(1 << 20)
        start = time.perf_counter()
        with open(Path(folder) / "plain", "wb") as file:
            for _ in range(size >> 20):
                file.write(block)
            os.fsync(file.fileno())
        plain = time.perf_counter() - start
    rates[place] = {{"mb_per_s": round(size / best / 1e6), "plain_write_mb_per_s": round(size / plain / 1e6)}}
after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
print(json.dumps({{"images": {n}, "megabytes": round(size / 1e6), **rates,
    "peak_mib_before": round(before), "peak_mib_after": round(after)}}))
"""


def main(quick: bool = False) -> dict[str, Any]:
    """128 images (quick: 16), the fastest of three, to disk and to a file system in memory; a plain write for scale."""
    n, rounds = (16, 1) if quick else (128, 3)
    return record("dump", {"resnet20": in_child(CODE.format(n=n, rounds=rounds))})


if __name__ == "__main__":
    print(main("--quick" in sys.argv))
