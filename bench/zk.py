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
from arithmos.targets.zk.circuit import Circuit, planned, size
from arithmos.targets.zk.cost import cost
from arithmos.targets.zk.export import R1CS_FILE, WTNS_FILE, write_circuit, write_witness
from arithmos.targets.zk.keys import PROVING_KEY
from arithmos.targets.zk.proof import setup_and_prove
from arithmos.targets.zk.r1cs import read_parts
from arithmos.targets.zk.satisfied import satisfied
from arithmos.targets.zk.statement import statement
from arithmos.targets.zk.verification import verify
from arithmos.targets.zk.versioned import MAP_FILE
from arithmos.targets.zk.wtns import read_wtns
from record import in_child, record

SHIFTS, SHORT = ar.Recipe(scales="power_of_two"), ar.Recipe(multiplier_bits=8)
NETWORKS = {
    "mnist_mlp": ("mnist_mlp", ar.Recipe()),
    "digits_cnn": ("digits_cnn", ar.Recipe()),
    "digits_cnn, multipliers of 8 bits": ("digits_cnn", SHORT),
    "digits_cnn, power_of_two": ("digits_cnn", SHIFTS),
    "lenet5": ("lenet5", ar.Recipe()),
    "cifar_lenet5": ("cifar_lenet5", ar.Recipe()),
    "cifar_lenet5, multipliers of 8 bits": ("cifar_lenet5", SHORT),
    "cifar_lenet5, power_of_two": ("cifar_lenet5", SHIFTS),
}
NOTE = {"digits_cnn": 56_074, "cifar_lenet5": 266_782}
"""Constraints of the same layers where every activation is rounded by itself, for B + 5 (B bits of acc * M: 26 here, 28
in LeNet-5, with multipliers of 8 bits), before maxima of 8-bit numbers for 11 a pair: what ours are compared with."""

NAMES = {"requantize": "rounding", "maximum": "pair"}
"""gadget -> what one of it is called in the figures."""

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


def gadgets(net: Graph, circuit: Circuit) -> dict[str, Any]:
    """How many roundings and max pairs are left, what one costs, and what an activation of the network costs in all.

    Maxima are taken before the rounding, on wide numbers: a pair costs more, three roundings of four are gone.
    """
    counts = {name: [c for (_, gadget), c in circuit.counts.items() if gadget.startswith(name)] for name in NAMES}
    made = circuit.graph.nodes
    n = {
        "requantize": sum(size(circuit.graph, node.output) for node in made if node.op in ("requantize", "clip")),
        "maximum": sum(
            size(circuit.graph, node.inputs[0]) - size(circuit.graph, node.output)
            for node in made
            if node.op == "max_pool"
        ),
    }
    activations = sum(size(net, node.output) for node in net.nodes if node.op in ("requantize", "clip"))
    spent = {name: sum(count.constraints for count in counts[name]) for name in NAMES}
    return {
        **{f"{label}s": n[name] for name, label in NAMES.items()},
        **{f"per_{label}": round(spent[name] / n[name], 1) for name, label in NAMES.items() if n[name]},
        "activations": activations,
        "per_activation": round(sum(spent.values()) / activations, 1),
    }


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
        **gadgets(net, circuit),
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
            figures[label]["note_per_activation"] = round(NOTE[name] / figures[label]["activations"], 1)
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
