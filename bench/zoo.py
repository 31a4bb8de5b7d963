"""The zoo at its registered sizes: seconds and peak memory from module to comparison, each network in its own process.

Random weights that are alive (tests/zoo_networks.py), one image of noise; every value of every runner against the
interpreter, by ==. C is compiled where the network has under 30 million parameters. cpu_s is what a shared machine does
not inflate. A network that is recorded already is kept; `--again` measures it anew, a pattern chooses some.
"""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

from arithmos.models.registry import entry, names
from record import RESULTS, in_child, record

COMPILED = 30_000_000
CODE = """
import json, resource, sys, time
sys.path[:0] = ["bench", "tests"]
import numpy as np
import torch
import arithmos as ar
from arithmos.evidence.dump import dump, dump_bytes
from arithmos.ir.cost import cost
from arithmos.models.registry import entry
from record import peak_mib
from zoo_networks import alive
import tempfile
facts, row = entry({name!r}), {{}}
def cpu():
    own, child = (resource.getrusage(w) for w in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return own.ru_utime + own.ru_stime + child.ru_utime + child.ru_stime
class step:
    def __init__(self, name): self.name = name
    def __enter__(self): self.wall, self.cpu = time.perf_counter(), cpu()
    def __exit__(self, *_):
        row[self.name] = {{"wall_s": round(time.perf_counter() - self.wall, 1), "cpu_s": round(cpu() - self.cpu, 1)}}
module = alive({name!r})
images = np.random.default_rng(0).standard_normal((2, *facts.input_shape), dtype=np.float32)
with step("trace"):
    graph = ar.trace(module, torch.zeros(1, *facts.input_shape))
with step("calibrate"):
    stats = ar.calibrate(graph, [images[:1], images[1:]])
with step("quantize"):
    net = ar.quantize(graph, stats)
del module, graph, stats
with step("interpreter"):
    ar.run(net, images[:1])
row["peak_mib_before_targets"] = round(peak_mib())
row["runners"] = {{}}
for target in {targets!r}:
    with step(target):
        check = ar.verify(net, images[:1], targets=[target], uniform=0, corners=0, ties=0)
    row["runners"][target] = {{
        "equal": check.ok, "values": max(r.values for r in check.rows), "integers": sum(r.elements for r in check.rows),
        "skipped": " ".join(r.skipped for r in check.rows)}}
with tempfile.TemporaryDirectory() as folder, step("dump"):
    dump(net, images[:1], folder + "/dump", target="engine", witness=True)
total = cost(net)
row |= {{"nodes": len(net.nodes), "macs": total.macs, "parameters": total.parameters, "peak_mib": round(peak_mib()),
    "dump_mb": round(dump_bytes(net, 1, witness=True) / 1e6), "input": "x".join(map(str, facts.input_shape))}}
print(json.dumps(row))
"""


def main(pattern: str = "*", *, again: bool = False) -> dict[str, Any]:
    """Measure what the pattern matches, one network after the other; each is recorded as soon as it is measured."""
    file = RESULTS / "zoo.json"
    figures: dict[str, Any] = json.loads(file.read_text())["figures"] if file.exists() else {}
    for name in names(pattern):
        if again or name not in figures:
            targets = ["engine", "onnx", *(["c"] if entry(name).parameters < COMPILED else [])]
            try:
                figures[name] = in_child(CODE.format(name=name, targets=targets))
            except subprocess.CalledProcessError as failure:
                print(f"{name}: {failure.stderr.strip().splitlines()[-1]}", file=sys.stderr)
                continue
            record("zoo", {n: figures[n] for n in names() if n in figures})
            print(name, {t: r["equal"] for t, r in figures[name]["runners"].items()}, figures[name]["peak_mib"], "MiB")
    return figures


if __name__ == "__main__":
    chosen = [argument for argument in sys.argv[1:] if not argument.startswith("--")]
    main(*chosen, again="--again" in sys.argv)
