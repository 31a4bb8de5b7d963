"""Zero knowledge: constraints, seconds and megabytes of circuits of several sizes; the cost model is fitted to them."""

from __future__ import annotations

import json
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch

import arithmos as ar
from arithmos.ir.graph import Graph
from arithmos.models.registry import build, entry
from arithmos.targets.zk.circuit import planned
from arithmos.targets.zk.cost import cost
from arithmos.targets.zk.export import R1CS_FILE, WTNS_FILE, write_circuit, write_witness
from arithmos.targets.zk.keys import PROVING_KEY
from arithmos.targets.zk.layout import MAP_FILE
from arithmos.targets.zk.proof import setup_and_prove
from arithmos.targets.zk.r1cs import read_parts
from arithmos.targets.zk.satisfied import satisfied
from arithmos.targets.zk.statement import statement
from arithmos.targets.zk.verification import verify
from arithmos.targets.zk.wtns import read_wtns
from record import in_child, record

SHIFTS = ar.Recipe(scales="power_of_two")
NETWORKS = {
    "mnist_mlp": ("mnist_mlp", ar.Recipe()),
    "digits_cnn": ("digits_cnn", ar.Recipe()),
    "digits_cnn, power_of_two": ("digits_cnn", SHIFTS),
    "lenet5": ("lenet5", ar.Recipe()),
    "cifar_lenet5": ("cifar_lenet5", ar.Recipe()),
    "cifar_lenet5, power_of_two": ("cifar_lenet5", SHIFTS),
}
NOTE = {"digits_cnn": 56_074, "cifar_lenet5": 266_782}
"""Constraints by the counts of 31 for an activation and 11 for a max pair, which ours are compared with."""


RESNET = """
import json, resource, sys, tempfile, time
from pathlib import Path
sys.path.insert(0, "bench")
import arithmos as ar
from zk import network, row_of
net, image = network("resnet20", ar.Recipe())
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
with tempfile.TemporaryDirectory() as folder:
    row = row_of(net, image, Path(folder), proved=False, check={check})
after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
row |= {{"peak_mib_before": round(before), "peak_mib": round(after)}}
print(json.dumps(row))
"""


def network(name: str, recipe: ar.Recipe) -> tuple[Graph, np.ndarray]:
    """The W8A8 integer network with random weights, and one image."""
    torch.manual_seed(0)
    model, shape = build(name).eval(), entry(name).input_shape
    images = np.random.default_rng(0).standard_normal((16, *shape), dtype=np.float32)
    graph = ar.trace(model, torch.zeros(1, *shape))
    return ar.quantize(graph, ar.calibrate(graph, [images]), recipe), images[:1]


def row_of(net: Graph, image: np.ndarray, folder: Path, *, proved: bool, check: bool = True) -> dict[str, Any]:
    """One network from the integer graph to a verified proof, inputs and outputs public."""
    start = time.perf_counter()
    circuit = planned(statement(net), ("input", "output"))
    planning = time.perf_counter() - start
    start = time.perf_counter()
    write_circuit(circuit, folder)
    writing = time.perf_counter() - start
    given = {net.inputs[0]: ar.run(net, image, every=True)[net.inputs[0]]}
    start = time.perf_counter()
    write_witness(circuit, given, folder / WTNS_FILE)
    witness = time.perf_counter() - start
    start = time.perf_counter()
    if check:
        assert satisfied(read_parts(folder / R1CS_FILE), read_wtns(folder / WTNS_FILE), circuit.n_wires) is None
    checking = time.perf_counter() - start
    nonzeros = json.loads((folder / MAP_FILE).read_text())["n_nonzeros"]
    row: dict[str, Any] = {
        "constraints": circuit.n_constraints,
        "wires": circuit.n_wires,
        "nonzeros": nonzeros,
        "plan_s": round(planning, 2),
        "write_s": round(writing, 2),
        "nonzeros_per_s": round(nonzeros / writing),
        "witness_s": round(witness, 2),
        "check_s": round(checking, 2),
        "r1cs_bytes": (folder / R1CS_FILE).stat().st_size,
        "wtns_bytes": (folder / WTNS_FILE).stat().st_size,
    }
    if proved:
        for part in ("keys", "proof"):
            (folder / part).mkdir()
        stamp = setup_and_prove(folder, folder / WTNS_FILE, folder / "keys", folder / "proof")
        for step in ("setup", "prove", "verify"):
            row |= {f"{step}_{key}": round(stamp["steps"][step][key], 3) for key in ("cpu_s", "wall_s", "peak_mb")}
        row["key_bytes"] = (folder / "keys" / PROVING_KEY).stat().st_size
        verify(folder / "proof", expected_hash=stamp["model_hash"])
    return row


def main(quick: bool = False) -> dict[str, Any]:
    """Each network once (quick: the two smallest). ResNet-20 is written and checked, not proved."""
    figures: dict[str, Any] = {}
    for label in list(NETWORKS)[: 2 if quick else None]:
        name, recipe = NETWORKS[label]
        with tempfile.TemporaryDirectory() as folder:
            figures[label] = row_of(*network(name, recipe), Path(folder), proved=True)
        if name in NOTE:
            figures[label]["of_the_note"] = round(figures[label]["constraints"] / NOTE[name], 3)
    if not quick:
        figures["resnet20"] = in_child(RESNET.format(check=True))
        plan = cost(network("resnet20", ar.Recipe())[0], ("input", "output"))
        figures["resnet20"]["predicted"] = {
            "memory_gb": round(plan.memory_bytes.expected / 1e9, 1),
            "setup_cpu_s": round(plan.setup_s.expected),
            "prove_cpu_s": round(plan.prove_s.expected),
        }
    return record("zk", figures)


if __name__ == "__main__":
    print(main("--quick" in sys.argv))
