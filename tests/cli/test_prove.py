"""`arithmos prove` and `arithmos verify-proof` on a small bundle."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
import time
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

import arithmos as ar
from arithmos.cli.main import main
from arithmos.cli.proving import dry_text, proved_text, sample_of
from arithmos.ir.build import Builder
from arithmos.ir.codec import save
from arithmos.ir.interval import signed
from arithmos.targets.zk.cost import cost
from arithmos.targets.zk.statement import statement
from targets.zk.conftest import image, network

needs_groth16 = pytest.mark.skipif(
    find_spec("groth16py") is None, reason='needs groth16py: pip install "arithmos[groth16]"'
)


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    return save(network(), tmp_path / "net", golden=image())


def run(*arguments: object) -> tuple[int, str]:
    done = CliRunner().invoke(main, [str(a) for a in arguments])
    return done.exit_code, done.output


def test_the_plan_comes_before_the_work(bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("arithmos.cli.proving.available_bytes", lambda: 1 << 40)
    code, text = run("prove", bundle, "-o", tmp_path / "out", "--dry-run")
    assert code == 0 and text.strip() == dry_text(cost(network()), 1 << 40, "free").strip()
    code, text = run("prove", bundle, "--dry-run", "--max-memory", "1")
    assert code == 0 and "(15.3 to 34.4) MB: fits into the 1.00 GB that are allowed\n" in text, text
    code, text = run("prove", bundle, "--dry-run", "--max-memory", "0.01")
    assert code == 2 and ": does not fit into the 10.0 MB that are allowed\n" in text
    assert "error: the proof needs about 22.9 MB, 10.0 MB are allowed\n" in text
    code, text = run("prove", bundle)
    assert code == 2 and "error: there is nothing to write\n" in text
    assert not (tmp_path / "out").exists()
    code, text = run("prove", bundle, "-o", tmp_path / "out", "--dry-run", "--json")
    assert json.loads(text)["constraints"] == cost(network()).constraints


def test_too_little_memory_is_refused_before_anything_is_made(bundle: Path, tmp_path: Path) -> None:
    code, text = run("prove", bundle, "-o", tmp_path / "out", "--max-memory", "0.001")
    assert code == 2 and "the proof needs about 22.9 MB, 1.0 MB are allowed" in text
    assert not (tmp_path / "out").exists()


def test_the_free_memory_is_the_limit(bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("arithmos.cli.proving.available_bytes", lambda: 2_000_000)
    code, text = run("prove", bundle, "-o", tmp_path / "out")
    assert code == 2 and "the proof needs about 22.9 MB, 2.0 MB are free" in text
    assert not (tmp_path / "out").exists()


def test_every_node_without_a_gadget_is_named(tmp_path: Path) -> None:
    b = Builder("int")
    x = b.input("x", (-1, 2), signed(43))
    for name in ("first", "second"):
        b.add("requantize", x, b.constant(f"{name}.mul", np.asarray(1 << 20)), shift=20, lo=-100, hi=100, name=name)
    bundle = save(b.graph("first", "second"), tmp_path / "net")
    code, text = run("prove", bundle, "-o", tmp_path / "out", "--dry-run")
    assert code == 4 and text == (
        "error: target 'zk' cannot run 2 of 2 nodes\n"
        "  why  first: its numbers need 64 bits, a gadget holds 62\n"
        "       second: its numbers need 64 bits, a gadget holds 62\n"
        "  fix  choose another target, or quantize the network so that these nodes do not arise\n"
    )


@pytest.mark.parametrize("amount", ["nan", "inf", "1e300"])
def test_memory_is_a_number(bundle: Path, tmp_path: Path, amount: str) -> None:
    code, text = run("prove", bundle, "-o", tmp_path / "out", "--max-memory", amount)
    assert code == 2 and text == (
        f"error: --max-memory cannot be {float(amount)}\n"
        "  why  it is a number of GB\n"
        "  fix  give one, or leave it out: then the limit is what is free\n"
    )


@pytest.mark.parametrize("read", ["bundle", "--keys", "--zkey", "--input"])
def test_what_is_read_is_not_replaced(bundle: Path, tmp_path: Path, read: str) -> None:
    (tmp_path / "out" / "keys").mkdir(parents=True)
    file = tmp_path / "out" / "keys" / "some.npy"
    file.write_bytes(b"")
    if read == "bundle":
        bundle = Path(shutil.move(bundle, tmp_path / "out" / "net"))
    given = [] if read == "bundle" else [read, file.parent if read == "--keys" else file]
    for more in ([], ["--dry-run"]):
        code, text = run("prove", bundle, *given, "-o", tmp_path / "out", "--force", *more)
        assert code == 2 and f"error: {tmp_path / 'out'} is read from and cannot be the output\n" in text
    assert file.exists()


def test_of_several_inputs_the_first_is_proved(bundle: Path, tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", np.concatenate([image(i)["image"] for i in (2, 3, 4)]))
    n, sample = sample_of(network(), bundle, tmp_path / "x.npy")
    assert n == 3 and np.array_equal(sample["image"], image(2)["image"])
    stamp = {"curve": "bn254", "model_hash": "5" * 64, "setup": "some"}
    assert proved_text(cost(network()), stamp, tmp_path, 3).endswith("\nit is of the first of 3 inputs")
    assert "inputs" not in proved_text(cost(network()), stamp, Path("out"), 1)


@pytest.mark.parametrize(("what", "why"), [("input-hash", "Poseidon"), ("weights-hash", "a constraint for each")])
def test_hashes_are_refused_with_the_reason(bundle: Path, tmp_path: Path, what: str, why: str) -> None:
    code, text = run("prove", bundle, "-o", tmp_path / "out", "--public", what)
    assert code == 2 and f"error: '{what}' cannot be public" in text and why in text


@needs_groth16
def test_a_proof_and_its_verification(bundle: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    code, text = run("prove", bundle, "-o", out, "--public", "input,output")
    assert code == 0 and "single-party, development grade" in text, text
    assert sorted(p.name for p in (out / "proof").iterdir()) == [
        "proof.bin",
        "proof.json",
        "public.json",
        "verifying_key.json",
    ]
    assert sorted(p.name for p in (out / "keys").iterdir()) == [
        "circuit.json",
        "key.json",
        "proving.key",
        "verifier.sol",
        "verifying_key.json",
    ]
    assert not list(out.rglob("*.wtns")), "the witness holds what is secret"
    stamp = json.loads((out / "proof" / "proof.json").read_text())
    logits = ar.run(network(), image()).reshape(-1)
    np.save(tmp_path / "x.npy", image()["image"])
    given = ["--model-hash", stamp["model_hash"].upper(), "--input", tmp_path / "x.npy"]
    shown = ["--output", ",".join(map(str, logits))]
    code, text = run("verify-proof", out / "proof", *given, *shown)
    assert code == 0 and text.startswith("the proof holds, verified in ") and "the expected model" in text, text
    assert "\nsetup, in the prover's words: single-party, development grade" in text
    code, text = run("verify-proof", out / "proof", *given, "--output", ",".join(map(str, logits + 1)))
    assert code == 1 and "'logits' differs at element 0" in text
    code, text = run("verify-proof", out / "proof", "--model-hash", "0" * 64)
    assert code == 1 and "the proof is for another model" in text
    for flag, value, said in (
        ("--output", "a,b", "error: 'a,b' is not integers"),
        ("--model-hash", "", "error: '' is no model hash\n  why  a model hash has 64 hexadecimal digits"),
        ("--model-hash", stamp["model_hash"][:16], "is no model hash"),
    ):
        code, text = run("verify-proof", out / "proof", flag, value)
        assert code == 2 and said in text, text
    code, text = run("verify-proof", out)
    assert code == 2 and f"error: there is no proof.json\n  at   {out}\n" in text
    assert text.rstrip().endswith(f"fix  give {out / 'proof'}")
    (out / "proof" / "proof.bin").unlink()
    code, text = run("verify-proof", out / "proof")
    assert code == 2 and "error: there is no proof.bin\n" in text


def test_two_keys_are_one_too_many(bundle: Path, tmp_path: Path) -> None:
    code, text = run("prove", bundle, "-o", tmp_path / "out", "--keys", tmp_path, "--zkey", tmp_path)
    assert code == 2 and text == (
        "error: --keys and --zkey name two keys\n"
        "  why  keys of an earlier proof hold their own, whether a ceremony made it or not\n"
        "  fix  give --zkey once to make keys of it, then --keys\n"
    )


@needs_groth16
def test_keys_are_missed_before_anything_is_made(bundle: Path, tmp_path: Path) -> None:
    code, text = run("prove", bundle, "-v", "-o", tmp_path / "out", "--keys", tmp_path)
    assert code == 2 and f"error: there is no key.json\n  at   {tmp_path}\n" in text
    assert "OUT/keys" in text and "circuit" not in text and not (tmp_path / "out").exists()


@needs_groth16
def test_keys_are_used_again(bundle: Path, tmp_path: Path) -> None:
    assert run("prove", bundle, "-o", tmp_path / "one", "--output", "argmax")[0] == 0
    np.save(tmp_path / "x.npy", image(3)["image"])
    keys = tmp_path / "one" / "keys"
    code, text = run(
        "prove", bundle, "-o", tmp_path / "two", "--output", "argmax", "--keys", keys, "--input", tmp_path / "x.npy"
    )
    assert code == 0 and not (tmp_path / "two" / "keys").exists(), text
    stamps = [json.loads((tmp_path / name / "proof" / "proof.json").read_text()) for name in ("one", "two")]
    assert stamps[0]["model_hash"] == stamps[1]["model_hash"]
    winner = int(ar.run(statement(network(), "argmax"), image(3))[0])
    assert run("verify-proof", tmp_path / "two" / "proof", "--output", winner)[0] == 0
    code, text = run("verify-proof", tmp_path / "two" / "proof", "--input", "1")
    assert code == 2 and "its input is secret" in text
    code, text = run("prove", bundle, "-o", tmp_path / "three", "--keys", keys)
    assert code == 2 and "these keys are not this circuit's" in text and not (tmp_path / "three").exists()


def test_without_the_tool_the_command_is_named(bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bare = tmp_path / "python"
    bare.write_text(f'#!/bin/sh\nexec {shutil.which("python3")} -S "$@"\n')
    bare.chmod(0o755)
    monkeypatch.setattr("sys.executable", str(bare))
    code, text = run("prove", bundle, "-o", tmp_path / "out")
    assert code == 3 and 'fix  pip install "arithmos[groth16]"' in text, text
    assert not (tmp_path / "out").exists()


@needs_groth16
@pytest.mark.slow
@pytest.mark.parametrize(
    ("number", "code", "said"),
    [
        (signal.SIGINT, 130, "interrupted; nothing was left behind"),
        (signal.SIGTERM, 143, "ended by SIGTERM; nothing was left behind"),
        (signal.SIGHUP, 129, "ended by SIGHUP; nothing was left behind"),
    ],
)
def test_an_end_half_way_leaves_nothing(tmp_path: Path, number: int, code: int, said: str) -> None:
    """Interrupted while the prover's process sets up: no folder, no scratch, no process is left."""
    b = Builder("int")
    x = b.input("x", (-1, 600), signed(16))
    net = b.graph(b.add("requantize", x, b.constant("m", np.asarray(12345)), shift=20, lo=0, hi=255, name="y"))
    bundle = save(net, tmp_path / "net")
    command = [sys.executable, "-m", "arithmos", "prove", str(bundle), "-o", str(tmp_path / "out")]
    before = signal.signal(number, signal.SIG_DFL)  # under nohup SIGHUP is ignored, and children inherit that
    try:
        started = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    finally:
        signal.signal(number, before)
    with started:
        deadline = time.monotonic() + 60
        while not list(tmp_path.rglob("witness.wtns")) and time.monotonic() < deadline:
            time.sleep(0.01)
        time.sleep(0.3)
        children = Path(f"/proc/{started.pid}/task/{started.pid}/children").read_text().split()
        started.send_signal(number)
        _, errors = started.communicate(timeout=60)
    assert started.returncode == code, errors
    assert said in errors and "Traceback" not in errors
    assert [p.name for p in tmp_path.iterdir()] == ["net"]
    assert children and not any(Path(f"/proc/{child}").exists() for child in children)
