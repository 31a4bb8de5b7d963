"""The demonstration's proof on a small network: another logit is refused, and a verifier that takes it has failed."""

from __future__ import annotations

import re
import shutil
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

import arithmos as ar
from arithmos.cli.digit_proof import prove_digit, refused_change
from arithmos.cli.progress import Steps
from arithmos.errors import VerificationError
from arithmos.targets.zk.keys import DEVELOPMENT
from arithmos.targets.zk.verification import verify
from targets.zk.conftest import image, network

needs_groth16 = pytest.mark.skipif(
    find_spec("groth16py") is None, reason='needs groth16py: pip install "arithmos[groth16]"'
)


def quiet() -> Steps:
    return Steps(Console(stderr=True), False)


@pytest.fixture(scope="module")
def shown(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str, dict[str, Any], Steps]:
    folder, steps = tmp_path_factory.mktemp("demo"), quiet()
    text, facts = prove_digit(network(), image()["image"], folder, steps)
    return folder, text, facts, steps


@needs_groth16
def test_the_proof_holds_and_another_logit_is_refused(shown: tuple[Path, str, dict[str, Any], Steps]) -> None:
    folder, text, facts, steps = shown
    digit = int(ar.run(network(), image()["image"]).argmax())
    first, times, change, setup = text.splitlines()
    assert first == (
        f"proof holds: a secret image, 4 public logits, digit {digit}; {facts['constraints']:,} constraints, 256 bytes"
    )
    assert re.fullmatch(r"set up [\d.]+ s, prove [\d.]+ s, verify [\d.]+ s; \d+ MB", times)
    assert change == "the same proof with logit 3 changed by 1: rejected" and setup == f"setup: {DEVELOPMENT}"
    assert {part.name for part in folder.iterdir()} == {"keys", "proof"}
    assert not list(folder.rglob("*.wtns")), "the witness holds the image"
    assert [step.step for step in steps.done] == [
        "plan the proof",
        "circuit",
        "witness",
        "set up, prove and verify",
        "verify the proof",
        "verify another logit",
    ]


@needs_groth16
def test_a_change_that_is_accepted_is_the_failure(shown: tuple[Path, str, dict[str, Any], Steps]) -> None:
    """The unchanged proof stands for a verifier that takes anything."""
    proof = shown[0] / "proof"
    with pytest.raises(VerificationError) as caught:
        refused_change(proof, verify(proof), 3, by=0)
    assert str(caught.value) == (
        "the same proof with logit 3 changed by 0 was accepted\n"
        "  why  a proof that holds for another output says nothing about the network\n"
        "  fix  report it: this is a defect of the circuit, or of the prover"
    )


@needs_groth16
def test_the_changed_logit_stays_in_its_range(shown: tuple[Path, str, dict[str, Any], Steps]) -> None:
    """Otherwise the range alone would refuse it, and nothing would have been shown of the proof."""
    proof = shown[0] / "proof"
    found = verify(proof)
    (port,) = found["statement"]["public"]
    port["range"] = [port["range"][0], int(found["values"]["logits"].reshape(-1)[3])]
    assert refused_change(proof, found, 3) == "the same proof with logit 3 changed by -1"
    with pytest.raises(VerificationError, match="public value 'logits' is outside its range"):
        refused_change(proof, found, 3, by=1 << 40)


def test_without_the_prover_the_command_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bare, folder = tmp_path / "python", tmp_path / "demo"
    bare.write_text(f'#!/bin/sh\nexec {shutil.which("python3")} -S "$@"\n')
    bare.chmod(0o755)
    folder.mkdir()
    monkeypatch.setattr("sys.executable", str(bare))
    text, facts = prove_digit(network(), image()["image"], folder, quiet())
    assert text == 'no proof: groth16py is not installed; to see one: pip install "arithmos[groth16]"'
    assert facts == {} and not list(folder.iterdir())
