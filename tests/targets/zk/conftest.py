"""A small network, its circuit on disk, and one real proof, made once."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

from arithmos.ir.build import Builder
from arithmos.ir.codec import digest
from arithmos.ir.graph import Graph
from arithmos.ir.interval import unsigned
from arithmos.targets.zk.circuit import Circuit, planned
from arithmos.targets.zk.export import WTNS_FILE, write_circuit, write_witness
from arithmos.targets.zk.proof import setup_and_prove
from arithmos.targets.zk.statement import statement
from factories import conv, int8_weight


def network(seed: int = 0) -> Graph:
    """conv 3x3 -> 3, rounding to 0 .. 15, max pool 2, linear -> 4."""
    rng = np.random.default_rng(seed)
    b = Builder("int")
    x = b.input("image", (-1, 1, 6, 6), unsigned(4))
    acc = conv(b, x, int8_weight(rng, 3, 1, 3, 3) // 8, rng.integers(-50, 50, 3), name="acc")
    mul = b.constant("mul", np.array([[[37]], [[51]], [[64]]]))
    y = b.add("requantize", acc, mul, shift=10, lo=0, hi=15, name="relu")
    y = b.add("max_pool", y, kernel=(2, 2), stride=(2, 2), padding=((0, 0), (0, 0)), name="pool")
    flat = b.add("reshape", y, shape=(-1, 12), name="flat")
    return b.graph(b.add("linear", flat, b.constant("fc", int8_weight(rng, 4, 12) // 8), name="logits"))


def image(seed: int = 0) -> dict[str, np.ndarray]:
    """One input of `network`."""
    return {"image": np.random.default_rng(seed).integers(0, 16, (1, 1, 6, 6))}


@dataclass(frozen=True)
class Written:
    """A circuit on disk with the witness of one image."""

    net: Graph
    circuit: Circuit
    folder: Path


@pytest.fixture(scope="session")
def written(tmp_path_factory: pytest.TempPathFactory) -> Written:
    """The network with outputs and inputs public."""
    folder, net = tmp_path_factory.mktemp("circuit"), network()
    circuit = planned(statement(net), ("input", "output"))
    write_circuit(circuit, folder, model=digest(net), output="values")
    write_witness(circuit, image(), folder / WTNS_FILE)
    return Written(net, circuit, folder)


@dataclass(frozen=True)
class Proved:
    """Keys and a proof on disk."""

    keys: Path
    proof: Path
    model_hash: str


@pytest.fixture(scope="session")
def proved_once(written: Written, tmp_path_factory: pytest.TempPathFactory) -> Proved:
    """A real proof. Skipped without groth16py."""
    if find_spec("groth16py") is None:
        pytest.skip('needs groth16py: pip install "arithmos[groth16]"')
    keys, proof = tmp_path_factory.mktemp("keys"), tmp_path_factory.mktemp("proof")
    stamp = setup_and_prove(written.folder, written.folder / WTNS_FILE, keys, proof)
    return Proved(keys, proof, stamp["model_hash"])


@pytest.fixture
def proof(proved_once: Proved, tmp_path: Path) -> Proved:
    """A copy of the proof and the keys that a test may change."""
    shutil.copytree(proved_once.proof, tmp_path / "proof")
    shutil.copytree(proved_once.keys, tmp_path / "keys")
    return Proved(tmp_path / "keys", tmp_path / "proof", proved_once.model_hash)
