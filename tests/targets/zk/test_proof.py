"""A real proof: it holds, and nothing that was changed does."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import arithmos as ar
from arithmos.errors import UsageError, VerificationError
from arithmos.ir.codec import digest
from arithmos.targets.zk.circuit import planned
from arithmos.targets.zk.export import WTNS_FILE, write_circuit, write_witness
from arithmos.targets.zk.field import MODULUS
from arithmos.targets.zk.groth16 import ProverOutOfMemory, run_steps
from arithmos.targets.zk.keys import DEVELOPMENT, PROVING_KEY, VERIFYING_KEY, setup, solidity
from arithmos.targets.zk.proof import PROOF_FILE, PUBLIC_FILE, prove
from arithmos.targets.zk.statement import statement
from arithmos.targets.zk.verification import verify
from arithmos.targets.zk.versioned import KEY_FILE, STAMP_FILE
from targets.zk.conftest import Proved, Written, image, network


def changed(path: Path, **facts: Any) -> None:
    path.write_text(json.dumps({**json.loads(path.read_text()), **facts}))


def test_the_proof_holds_and_shows_the_networks_integers(proved_once: Proved, written: Written) -> None:
    outputs = {"logits": ar.run(written.net, image())}
    found = verify(proved_once.proof, expected_hash=proved_once.model_hash, inputs=image(), outputs=outputs)
    assert found["setup"] == DEVELOPMENT and found["curve"] == "bn254"
    assert (found["values"]["logits"] == outputs["logits"]).all()
    assert (proved_once.proof / PROOF_FILE).stat().st_size == 256
    assert json.loads((proved_once.keys / KEY_FILE).read_text())["setup"] == DEVELOPMENT


def test_other_values_are_named(proved_once: Proved, written: Written) -> None:
    logits = ar.run(written.net, image()).reshape(-1)
    with pytest.raises(VerificationError) as caught:
        verify(
            proved_once.proof, inputs={"image": image(1)["image"]}, outputs={"logits": logits + np.array([0, 1, 0, 0])}
        )
    first = int(np.flatnonzero((image()["image"] != image(1)["image"]).reshape(-1))[0])
    pair = image()["image"].reshape(-1)[first], image(1)["image"].reshape(-1)[first]
    assert str(caught.value) == (
        "the proof shows other values\n"
        f"  why  'image' differs at element {first}: the proof says {pair[0]}, expected was {pair[1]}\n"
        f"       'logits' differs at element 1: the proof says {logits[1]}, expected was {logits[1] + 1}\n"
        "  fix  ask for a proof of these values, or expect those that it shows"
    )


def test_a_proof_of_another_model(proof: Proved) -> None:
    with pytest.raises(VerificationError) as caught:
        verify(proof.proof, expected_hash="0" * 64)
    assert str(caught.value) == (
        "the proof is for another model\n"
        f"  at   {proof.proof}\n"
        f"  why  its model hash is {proof.model_hash}, expected was {'0' * 64}\n"
        "  fix  ask for a proof under the verifying key of this model"
    )


@pytest.mark.parametrize("place", range(0, 256, 37))
def test_no_byte_of_the_proof_may_change(proof: Proved, place: int) -> None:
    data = bytearray((proof.proof / PROOF_FILE).read_bytes())
    data[place] ^= 1
    (proof.proof / PROOF_FILE).write_bytes(bytes(data))
    with pytest.raises((VerificationError, UsageError)) as caught:
        verify(proof.proof)
    assert caught.value.what in ("the proof does not hold", "the prover refuses 'verify'")


@pytest.mark.parametrize("place", [0, 3, 4, 39])
def test_no_public_value_may_change(proof: Proved, place: int) -> None:
    numbers = [int(text) for text in json.loads((proof.proof / PUBLIC_FILE).read_text())]
    numbers[place] = numbers[place] - 1 if numbers[place] else 1
    (proof.proof / PUBLIC_FILE).write_text(json.dumps([str(number) for number in numbers]))
    with pytest.raises(VerificationError, match="the proof does not hold"):
        verify(proof.proof)


def test_public_values_outside_field_and_range(proof: Proved) -> None:
    path = proof.proof / PUBLIC_FILE
    numbers = json.loads(path.read_text())
    path.write_text(json.dumps([str(int(numbers[0]) + MODULUS), *numbers[1:]]))
    with pytest.raises(VerificationError) as caught:
        verify(proof.proof)
    assert str(caught.value) == (
        "a public value is outside the field\n"
        f"  at   {path}\n"
        "  why  number 0 is not in 0 .. p - 1 of bn254\n"
        "  fix  a negative number v is written p - |v|; ask the prover for the file again"
    )
    path.write_text(json.dumps([*numbers[:4], "16", *numbers[5:]]))
    with pytest.raises(VerificationError) as caught:
        verify(proof.proof)
    assert str(caught.value) == (
        "public value 'image' is outside its range\n"
        "  why  element 0 is 16, not in 0 .. 15\n"
        "  fix  a proof says nothing about such a value; ask the prover for the files again"
    )


def test_what_the_wires_mean_is_part_of_the_models_hash(proof: Proved) -> None:
    stamp = json.loads((proof.proof / STAMP_FILE).read_text())
    stamp["statement"]["public"][0]["range"] = [-(1 << 60), 1 << 60]
    changed(proof.proof / STAMP_FILE, statement=stamp["statement"])
    with pytest.raises(VerificationError, match="another model"):
        verify(proof.proof, expected_hash=proof.model_hash)


@pytest.mark.parametrize("name", [PROOF_FILE, PUBLIC_FILE, STAMP_FILE, VERIFYING_KEY])
def test_truncated_files(proof: Proved, name: str) -> None:
    path = proof.proof / name
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises((UsageError, VerificationError)):
        verify(proof.proof, expected_hash=proof.model_hash)


def test_files_of_another_version(proof: Proved) -> None:
    changed(proof.proof / STAMP_FILE, schema=2)
    with pytest.raises(UsageError) as caught:
        verify(proof.proof)
    assert str(caught.value) == (
        "proof.json has schema 2\n"
        f"  at   {proof.proof / STAMP_FILE}\n"
        "  why  this version of arithmos reads 1\n"
        "  fix  make it again with this version: arithmos prove"
    )


def test_a_second_input_with_the_same_keys(proof: Proved, written: Written, tmp_path: Path) -> None:
    (tmp_path / "second").mkdir()
    write_witness(written.circuit, image(7), tmp_path / "w.wtns")
    stamp = prove(written.folder, tmp_path / "w.wtns", proof.keys, tmp_path / "second")
    assert stamp["model_hash"] == proof.model_hash
    outputs = {"logits": ar.run(written.net, image(7))}
    verify(tmp_path / "second", expected_hash=proof.model_hash, inputs=image(7), outputs=outputs)
    shutil.copy(tmp_path / "second" / PUBLIC_FILE, proof.proof / PUBLIC_FILE)
    with pytest.raises(VerificationError, match="the proof does not hold"):
        verify(proof.proof)


def test_keys_of_another_circuit(proof: Proved, tmp_path: Path) -> None:
    other, folder = network(1), tmp_path / "other"
    folder.mkdir()
    circuit = planned(statement(other), ("input", "output"))
    write_circuit(circuit, folder, model=digest(other), output="values")
    write_witness(circuit, image(), folder / WTNS_FILE)
    with pytest.raises(UsageError) as caught:
        prove(folder, folder / WTNS_FILE, proof.keys, tmp_path)
    assert caught.value.what == "these keys are not this circuit's" and "they are for circuit" in caught.value.why


def test_a_dishonest_witness_names_its_constraint(proof: Proved, written: Written, tmp_path: Path) -> None:
    data = bytearray((written.folder / WTNS_FILE).read_bytes())
    data[76 + 32 * 200] ^= 1
    (tmp_path / "bad.wtns").write_bytes(bytes(data))
    with pytest.raises(VerificationError) as caught:
        prove(written.folder, tmp_path / "bad.wtns", proof.keys, tmp_path)
    assert caught.value.what == "the proof does not hold"
    assert caught.value.why.startswith("the witness breaks ") and ", element " in caught.value.why


def test_a_witness_of_another_circuit(proof: Proved, written: Written, tmp_path: Path) -> None:
    data = (written.folder / WTNS_FILE).read_bytes()
    (tmp_path / "short.wtns").write_bytes(data[:-32])
    with pytest.raises(UsageError, match=r"short\.wtns cannot be read"):
        prove(written.folder, tmp_path / "short.wtns", proof.keys, tmp_path)


def test_truncated_keys(proof: Proved, written: Written, tmp_path: Path) -> None:
    path = proof.keys / PROVING_KEY
    path.write_bytes(path.read_bytes()[:5000])
    with pytest.raises(UsageError) as caught:
        prove(written.folder, written.folder / WTNS_FILE, proof.keys, tmp_path)
    assert caught.value.what == "the prover refuses 'load'"


def test_the_proving_key_of_another_circuit(proof: Proved, written: Written, tmp_path: Path) -> None:
    """The stamp is this circuit's; the key beside it was made for the same shapes and other weights."""
    other, folder = network(1), tmp_path / "other"
    for name in (folder, made := tmp_path / "made"):
        name.mkdir()
    write_circuit(planned(statement(other), ("input", "output")), folder, model=digest(other), output="values")
    setup(folder, made)
    shutil.copy(made / PROVING_KEY, proof.keys / PROVING_KEY)
    with pytest.raises((UsageError, VerificationError)):
        prove(written.folder, written.folder / WTNS_FILE, proof.keys, tmp_path)


def test_out_of_memory_is_reported_with_the_prediction(written: Written) -> None:
    files = {"r1cs": written.folder / "circuit.r1cs"}
    with pytest.raises(ProverOutOfMemory) as caught:
        run_steps(["setup"], predicted="predicted were 0.1 to 0.2 GB", max_memory=24 << 20, **files)
    assert caught.value.what.startswith("the prover ran out of memory in") and "predicted were" in caught.value.why


def test_the_solidity_verifier(proved_once: Proved, tmp_path: Path) -> None:
    solidity(proved_once.keys / VERIFYING_KEY, tmp_path / "verifier.sol")
    assert "contract" in (tmp_path / "verifier.sol").read_text()
