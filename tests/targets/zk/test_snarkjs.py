"""snarkjs, an independent reader of both formats, agrees on the circuit and the witness."""

from __future__ import annotations

import re
import shutil
import subprocess
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

from arithmos.ir.build import Builder
from arithmos.ir.interval import unsigned
from arithmos.targets.zk.export import export
from arithmos.targets.zk.keys import file_hash
from arithmos.targets.zk.proof import setup_and_prove
from arithmos.targets.zk.verification import verify
from arithmos.targets.zk.wtns import read_wtns
from targets.zk.conftest import Written

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(shutil.which("snarkjs") is None, reason="needs snarkjs: npm install -g snarkjs@0.7.6"),
]


def snarkjs(*arguments: object) -> tuple[int, str]:
    done = subprocess.run(["snarkjs", *map(str, arguments)], capture_output=True, text=True, check=False)
    return done.returncode, re.sub(r"\x1b\[[0-9;]*m", "", done.stdout)


def test_the_circuit_is_what_we_say(written: Written) -> None:
    code, text = snarkjs("r1cs", "info", written.folder / "circuit.r1cs")
    assert code == 0
    circuit = written.circuit
    for line in (f"# of Wires: {circuit.n_wires}", f"# of Constraints: {circuit.n_constraints}", "# of Outputs: 4"):
        assert line in text
    assert "# of Public Inputs: 36" in text and "# of Private Inputs: 0" in text


def test_the_witness_is_correct_and_a_changed_one_is_not(written: Written, tmp_path: Path) -> None:
    files = written.folder / "circuit.r1cs", written.folder / "witness.wtns"
    assert "WITNESS IS CORRECT" in snarkjs("wtns", "check", *files)[1]
    data = bytearray(files[1].read_bytes())
    data[76 + 32 * (len(read_wtns(files[1])) // 2)] ^= 1
    (tmp_path / "bad.wtns").write_bytes(bytes(data))
    assert "WITNESS IS CORRECT" not in snarkjs("wtns", "check", files[0], tmp_path / "bad.wtns")[1]


def test_a_ceremonys_key(tmp_path: Path) -> None:
    """A key of two contributions, made by snarkjs, gives proofs that hold, and says whose it is."""
    if find_spec("groth16py") is None:
        pytest.skip('needs groth16py: pip install "arithmos[groth16]"')
    b = Builder("int")
    x = b.input("x", (-1, 2), unsigned(3))
    net = b.graph(b.add("clip", x, lo=2, hi=5, name="y"))
    circuit, keys, proof = (tmp_path / name for name in ("circuit", "keys", "proof"))
    for folder in (circuit, keys, proof):
        folder.mkdir()
    export(net, circuit, golden={"x": np.array([[7, 3]])})
    place = {name: tmp_path / name for name in ("p0.ptau", "p1.ptau", "p2.ptau", "c0.zkey", "c1.zkey")}
    for step in (
        ("powersoftau", "new", "bn128", "6", place["p0.ptau"]),
        ("powersoftau", "contribute", place["p0.ptau"], place["p1.ptau"], "-e=first"),
        ("powersoftau", "prepare", "phase2", place["p1.ptau"], place["p2.ptau"]),
        ("groth16", "setup", circuit / "circuit.r1cs", place["p2.ptau"], place["c0.zkey"]),
        ("zkey", "contribute", place["c0.zkey"], place["c1.zkey"], "-e=second"),
    ):
        assert snarkjs(*step)[0] == 0
    stamp = setup_and_prove(circuit, circuit / "witness.wtns", keys, proof, zkey=place["c1.zkey"])
    assert stamp["setup"] == f"ceremony key, sha256 {file_hash(place['c1.zkey'])}"
    found = verify(proof, expected_hash=stamp["model_hash"], outputs={"y": np.array([5, 3])})
    assert found["values"]["y"].tolist() == [[5, 3]]
