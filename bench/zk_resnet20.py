"""Zero knowledge at the size of ResNet-20: the trained network with power-of-two scales, proved where memory allows."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import torch

import arithmos as ar
from arithmos.cli.memory import available_bytes
from arithmos.models.registry import build, entry
from arithmos.models.weights import load_weights
from arithmos.targets.zk.circuit import planned
from arithmos.targets.zk.cost import plan_of
from arithmos.targets.zk.export import WTNS_FILE, write_circuit, write_witness
from arithmos.targets.zk.proof import setup_and_prove
from arithmos.targets.zk.statement import statement
from arithmos.targets.zk.verification import verify
from arithmos.train.data.datasets import load
from record import data_dir, record


def main() -> dict[str, Any]:
    """The image stays secret, ten logits are public. Where memory does not allow it, nothing is recorded."""
    folder, weights = data_dir("cifar10"), data_dir("weights/cifar10-resnet20.safetensors")
    assert folder is not None and weights is not None, "trained weights and images of CIFAR-10 are needed"
    model, preparation = build("resnet20"), entry("resnet20").preparation
    load_weights(model, weights)
    seen, _ = load("cifar10", "train", folder, preparation=preparation, limit=256)
    image, label = load("cifar10", "test", folder, preparation=preparation, limit=1)
    graph = ar.trace(model, torch.zeros(1, 3, 32, 32))
    net = ar.quantize(graph, ar.calibrate(graph, [seen]), ar.Recipe(scales="power_of_two"))
    circuit = planned(statement(net))
    plan = plan_of(circuit)
    row: dict[str, Any] = {
        "constraints": plan.constraints,
        "predicted": {
            "memory_gb": round(plan.memory_bytes.expected / 1e9, 1),
            "setup_cpu_s": round(plan.setup_s.expected),
            "prove_cpu_s": round(plan.prove_s.expected),
        },
    }
    if plan.memory_bytes.expected > available_bytes():
        return row | {"not_proved": f"{available_bytes() / 1e9:.1f} GB are free"}
    values = ar.run(net, image, every=True)
    with tempfile.TemporaryDirectory() as scratch:
        place = Path(scratch)
        write_circuit(circuit, place)
        write_witness(circuit, {net.inputs[0]: values[net.inputs[0]]}, place / WTNS_FILE)
        for part in ("keys", "proof"):
            (place / part).mkdir()
        stamp = setup_and_prove(place, place / WTNS_FILE, place / "keys", place / "proof")
        for step in ("setup", "prove", "verify"):
            row |= {f"{step}_{key}": round(stamp["steps"][step][key], 3) for key in ("cpu_s", "wall_s", "peak_mb")}
        row["key_bytes"] = (place / "keys" / "proving.key").stat().st_size
        logits = {net.outputs[0]: values[net.outputs[0]]}
        verify(place / "proof", expected_hash=stamp["model_hash"], outputs=logits)
        row["right"] = int(logits[net.outputs[0]].argmax()) == int(label[0])
    return record("zk_resnet20", {"power_of_two": row})


if __name__ == "__main__":
    print(main())
