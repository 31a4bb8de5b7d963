"""Checkpoints: whole or not at all, damage is said, tied weights are kept."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

torch = pytest.importorskip("torch", reason='pip install "arithmos[torch]"')

from arithmos.errors import UsageError  # noqa: E402
from arithmos.train.checkpoint import facts_of, read_checkpoint, read_record, write_checkpoint, write_weights  # noqa: E402
from train.small import stored  # noqa: E402

TENSORS = {"model/a": torch.randn(2, 3), "optimizer/a/step": torch.tensor(3.0), "model/n": torch.tensor(7)}


def test_there_and_back(tmp_path: Path) -> None:
    write_checkpoint(tmp_path, {"position": {"epoch": 3, "total": 0.1 + 0.2}}, TENSORS)
    found = read_checkpoint(tmp_path)
    assert found.record == read_record(tmp_path) == {"position": {"epoch": 3, "total": 0.1 + 0.2}}
    assert all(torch.equal(found.tensors[k], TENSORS[k]) for k in TENSORS) and len(found.tensors) == 3
    assert (tmp_path / "resume.safetensors").stat().st_mode & 0o044


def test_tied_and_transposed_weights_are_stored_as_they_are(tmp_path: Path) -> None:
    shared = torch.randn(3, 4)
    write_weights(tmp_path / "w.safetensors", {"a": shared, "b": shared, "c": shared.T}, {"accuracy": 0.5})
    found = stored(tmp_path, "w")
    assert torch.equal(found["a"], shared) and torch.equal(found["b"], shared) and torch.equal(found["c"], shared.T)


def test_the_facts_of_weights_are_read_back_and_stand_in_order(tmp_path: Path) -> None:
    file, names = tmp_path / "w.safetensors", [f"fact{i}" for i in range(9)]
    for order in (names, names[::-1]):
        write_weights(file, {"a": torch.ones(3)}, {name: [name] for name in order})
        assert list(json.loads(file.read_bytes()[8:].split(b"}}")[0] + b"}}")["__metadata__"]) == names
    assert facts_of(file) == {name: json.dumps([name]) for name in names}
    assert torch.equal(stored(tmp_path, "w")["a"], torch.ones(3)) and file.read_bytes()[0] % 8 == 0


def test_other_files_have_no_facts(tmp_path: Path) -> None:
    (tmp_path / "w.pt").write_bytes(b"no tensors")
    assert facts_of(tmp_path / "w.pt") == facts_of(tmp_path) == facts_of(tmp_path / "none") == {}


def test_nothing_to_resume(tmp_path: Path) -> None:
    with pytest.raises(UsageError) as caught:
        read_checkpoint(tmp_path)
    assert str(caught.value) == (
        f"there is nothing to resume in {tmp_path}\n"
        f"  at   {tmp_path}/resume.safetensors\n"
        "  why  a training leaves this file, and no file has this path\n"
        "  fix  check --out, or leave --resume out to start anew"
    )
    with pytest.raises(UsageError, match="there is no "):
        read_checkpoint(tmp_path / "none")


@pytest.mark.parametrize("damage", ["cut", "text", "weights"])
def test_a_damaged_checkpoint_is_said(damage: str, tmp_path: Path) -> None:
    write_checkpoint(tmp_path, {"position": {}}, TENSORS)
    file = tmp_path / "resume.safetensors"
    if damage == "cut":
        file.write_bytes(file.read_bytes()[:-9])
    elif damage == "text":
        file.write_text("no tensors")
    else:
        write_weights(file, TENSORS, {})
    for read in (read_checkpoint, read_record):
        with pytest.raises(UsageError, match="the checkpoint cannot be read"):
            read(tmp_path)
