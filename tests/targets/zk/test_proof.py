"""A real proof: it holds, and nothing that was changed does."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import arithmos as ar
from arithmos.errors import UsageError, VerificationError
from arithmos.ir.build import Builder
from arithmos.ir.codec import digest
from arithmos.ir.interval import unsigned
from arithmos.targets.zk.circuit import planned
from arithmos.targets.zk.export import WTNS_FILE, export, write_circuit, write_witness
from arithmos.targets.zk.field import MODULUS
from arithmos.targets.zk.groth16 import ProverOutOfMemory, run_steps
from arithmos.targets.zk.keys import DEVELOPMENT, PROVING_KEY, VERIFYING_KEY, model_hash, setup, solidity
from arithmos.targets.zk.proof import PROOF_FILE, PUBLIC_FILE, prove, setup_and_prove
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
    with pytest.raises(VerificationError) as caught:
        verify(proof.proof)
    assert caught.value.what == "the proof does not hold" and caught.value.where == str(proof.proof)
    assert "circuit" not in str(caught.value), "a verifier has none"


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
    changed(proof.proof / STAMP_FILE, schema=1)
    with pytest.raises(UsageError) as caught:
        verify(proof.proof)
    assert str(caught.value) == (
        "proof.json has schema 1\n"
        f"  at   {proof.proof / STAMP_FILE}\n"
        "  why  this version of arithmos reads 2\n"
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
    assert (
        "they are for another statement: other model, circuit, public (the network, --public, --output)"
        in caught.value.why
    )


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


@pytest.mark.parametrize(
    "ends",
    [
        "kill -9 $$",
        """echo '{"error": "no memory", "kind": "memory", "step": "setup"}'""",
        "echo memory allocation of 9 bytes failed >&2; exit 1",
    ],
)
def test_out_of_memory_is_reported_with_the_prediction(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ends: str
) -> None:
    python = tmp_path / "python"
    python.write_text(f"#!/bin/sh\ncat >/dev/null\n{ends}\n")
    python.chmod(0o755)
    monkeypatch.setattr("sys.executable", str(python))
    with pytest.raises(ProverOutOfMemory) as caught:
        run_steps(["setup"], predicted="predicted were 0.1 to 0.2 GB")
    assert str(caught.value) == (
        "the prover ran out of memory in 'setup'\n"
        "  why  predicted were 0.1 to 0.2 GB\n"
        "  fix  use a machine with more memory, or a smaller network; --dry-run predicts the need"
    )


def numbers_in(entry: Any) -> set[str]:
    """The coordinates in a verifying key, 0 and 1 left out."""
    if isinstance(entry, list):
        return set().union(*(numbers_in(item) for item in entry))
    return {entry} - {"0", "1"}


def test_the_solidity_verifier(proved_once: Proved, tmp_path: Path) -> None:
    """Every constant of the key stands in it."""
    solidity(proved_once.keys / VERIFYING_KEY, tmp_path / "verifier.sol")
    key = json.loads((proved_once.keys / VERIFYING_KEY).read_text())
    wanted = numbers_in([key[name] for name in ("vk_alpha_1", "vk_beta_2", "vk_gamma_2", "vk_delta_2", "IC")])
    assert len(wanted) >= 2 + 3 * 4 + 2 * 41
    assert wanted <= set(re.findall(r"\d+", (tmp_path / "verifier.sol").read_text()))


def test_the_models_hash_is_over_two_hashes(proof: Proved) -> None:
    stamp, key = json.loads((proof.proof / STAMP_FILE).read_text()), (proof.proof / VERIFYING_KEY).read_bytes()
    text = json.dumps(stamp["statement"], sort_keys=True, separators=(",", ":")).encode()
    parts = hashlib.sha256(key).digest() + hashlib.sha256(text).digest()
    assert hashlib.sha256(parts).hexdigest() == proof.model_hash == model_hash(key, stamp["statement"])
    assert model_hash(key + text[:1], stamp["statement"]) != proof.model_hash


def test_the_key_that_verifies_is_the_one_that_was_hashed(proof: Proved, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another key, put in its place after it was read, changes nothing."""

    def swapped(steps: list[str], **files: Any) -> list[dict[str, Any]]:
        (proof.proof / VERIFYING_KEY).write_text("{}")
        (proof.proof / PROOF_FILE).write_bytes(b"")
        return run_steps(steps, **files)

    monkeypatch.setattr("arithmos.targets.zk.verification.run_steps", swapped)
    assert verify(proof.proof)["model_hash"] == proof.model_hash


@pytest.mark.parametrize("name", [PROOF_FILE, PUBLIC_FILE, STAMP_FILE, VERIFYING_KEY])
def test_files_that_are_too_large(proof: Proved, name: str) -> None:
    most = 256 if name == PROOF_FILE else 64 << 20
    with (proof.proof / name).open("r+b") as file:
        file.truncate(most + 1)
    with pytest.raises(UsageError) as caught:
        verify(proof.proof)
    assert str(caught.value) == (
        f"{name} cannot be read\n"
        f"  at   {proof.proof / name}\n"
        f"  why  it has more than {most:,} bytes, which no such file of a proof has\n"
        "  fix  ask the prover for it again"
    )


def test_the_stamp_says_what_is_computed(proof: Proved) -> None:
    changed(proof.proof / STAMP_FILE, curve="bls12-381", model_hash="0" * 64)
    with pytest.raises(VerificationError) as caught:
        verify(proof.proof, expected_hash=proof.model_hash)
    assert str(caught.value) == (
        "proof.json does not fit the files beside it\n"
        f"  at   {proof.proof}\n"
        "  why  its curve is bls12-381, proofs here are over bn254\n"
        f"       it says model hash {'0' * 64}, its key and statement have {proof.model_hash}\n"
        "  fix  ask the prover for the whole folder again"
    )


@pytest.mark.parametrize("number", ["+5", " 5", "5_0", "05", "٥", "-1", "", "5\n"])
def test_public_numbers_are_decimal_digits(proof: Proved, number: str) -> None:
    path = proof.proof / PUBLIC_FILE
    path.write_text(json.dumps([number, *json.loads(path.read_text())[1:]]))
    with pytest.raises(UsageError) as caught:
        verify(proof.proof)
    assert "it is not a list of numbers in quotes, each in decimal digits alone" in caught.value.why


def test_a_file_that_is_no_ceremonys_key_is_named(written: Written, tmp_path: Path) -> None:
    (tmp_path / "no.zkey").write_text("no")
    with pytest.raises(UsageError, match="the prover refuses 'ceremony'") as caught:
        setup(written.folder, tmp_path, zkey=tmp_path / "no.zkey")
    assert caught.value.where == str(tmp_path / "no.zkey")


def test_keys_of_two_setups(proof: Proved, written: Written, tmp_path: Path) -> None:
    (made := tmp_path / "made").mkdir()
    setup(written.folder, made)
    shutil.copy(made / PROVING_KEY, proof.keys / PROVING_KEY)
    with pytest.raises(VerificationError) as caught:
        prove(written.folder, written.folder / WTNS_FILE, proof.keys, tmp_path)
    assert caught.value.why == "the proving key and the verifying key are not of one setup"


def test_a_proof_of_another_length(proof: Proved) -> None:
    path = proof.proof / PROOF_FILE
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(UsageError) as caught:
        verify(proof.proof)
    assert caught.value.why == "it has 255 bytes, a proof has 256"


@pytest.mark.parametrize(("change", "n", "takes"), [("none", 41, 40), ("fewer", 40, 36), ("twice", 40, 40)])
def test_every_public_number_has_one_name(proof: Proved, change: str, n: int, takes: int) -> None:
    stamp = json.loads((proof.proof / STAMP_FILE).read_text())
    public, path = stamp["statement"]["public"], proof.proof / PUBLIC_FILE
    if change == "none":
        path.write_text(json.dumps([*json.loads(path.read_text()), "0"]))
    elif change == "fewer":
        public = [{**public[1], "first": 1}]
    else:
        public = [{**public[0], "first": 5}, public[1]]
    changed(proof.proof / STAMP_FILE, statement={**stamp["statement"], "public": public})
    with pytest.raises(VerificationError) as caught:
        verify(proof.proof)
    assert str(caught.value) == (
        "the public numbers are not those of the values\n"
        f"  at   {proof.proof}\n"
        f"  why  public.json has {n} numbers, the values in proof.json take {takes}, one after another from the first\n"
        "  fix  ask the prover for the whole folder again"
    )


def test_an_input_that_is_an_output_has_two_expectations(proved_once: Proved, tmp_path: Path) -> None:
    b = Builder("int")
    x = b.input("x", (-1, 2), unsigned(3))
    net = b.graph(x, b.add("clip", x, lo=2, hi=5, name="y"))
    folders = circuit, keys, proof = [tmp_path / name for name in ("circuit", "keys", "proof")]
    for folder in folders:
        folder.mkdir()
    given = {"x": np.array([[7, 3]])}
    export(net, circuit, public="input,output", golden=given)
    setup_and_prove(circuit, circuit / WTNS_FILE, keys, proof)
    verify(proof, inputs=given, outputs=given)
    other = {"x": np.array([[7, 4]])}
    for expected in ({"inputs": other, "outputs": given}, {"inputs": given, "outputs": other}):
        with pytest.raises(VerificationError, match="'x' differs at element 1: the proof says 3, expected was 4"):
            verify(proof, **expected)
    with pytest.raises(VerificationError, match="'y' is not public in this proof"):
        verify(proof, inputs={"y": given["x"]})
