"""The files of a run: weights to use, one file to resume from, a record for people; each whole or not at all."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from safetensors import SafetensorError, safe_open

from arithmos.atomic import output_file
from arithmos.errors import UsageError
from arithmos.extras import require

if TYPE_CHECKING:
    from torch import Tensor

BEST, LAST = "best.safetensors", "last.safetensors"
RESUME, RECORD = "resume.safetensors", "training.json"
KEY = "training"
"""The entry of a safetensors header that holds the record as JSON."""


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """What a resume needs. record: plain JSON, with the position; tensors: model/… and optimizer/…"""

    record: dict[str, Any]
    tensors: dict[str, Tensor]


def write_weights(file: Path, tensors: Mapping[str, Tensor], facts: Mapping[str, Any]) -> None:
    """A state dict, with facts about it in the header."""
    _write(file, tensors, {key: value if isinstance(value, str) else json.dumps(value) for key, value in facts.items()})


def facts_of(file: Path) -> dict[str, str]:
    """The header of a weights file, such as `write_weights` leaves; {} where there is none."""
    try:
        with safe_open(file, framework="np") as opened:
            return dict(opened.metadata() or {})
    except (SafetensorError, OSError):
        return {}


def write_checkpoint(folder: Path, record: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> None:
    """The state to resume from and the record in one file, which is therefore consistent; then the record as JSON."""
    _write(folder / RESUME, tensors, {KEY: json.dumps(record)})
    with output_file(folder / RECORD, force=True) as draft:
        draft.write_text(json.dumps(record, indent=1) + "\n")


def weights_of(path: Path) -> Path:
    """The best weights of a run where `path` is its folder, else `path` itself."""
    return path / BEST if (path / BEST).is_file() else path


def read_record(folder: Path) -> dict[str, Any]:
    """The record of a checkpoint, without its tensors. Raises UsageError as `read_checkpoint`."""
    return _read(folder, tensors=False).record


def read_checkpoint(folder: Path) -> Checkpoint:
    """What `write_checkpoint` wrote. Raises UsageError where there is none, and where it is damaged."""
    return _read(folder, tensors=True)


def _read(folder: Path, *, tensors: bool) -> Checkpoint:
    file = folder / RESUME
    if not file.is_file():
        raise UsageError(
            f"there is nothing to resume in {folder}" if folder.exists() else f"there is no {folder}",
            where=str(file.absolute()),
            why="a training leaves this file, and no file has this path",
            fix="check --out, or leave --resume out to start anew",
        )
    try:
        with safe_open(file, framework="pt") as opened:
            record = json.loads((opened.metadata() or {})[KEY])
            names = opened.keys() if tensors else ()
            found = {name: opened.get_tensor(name) for name in names}
    except (SafetensorError, OSError, ValueError, KeyError) as problem:
        raise UsageError(
            "the checkpoint cannot be read",
            where=str(file.absolute()),
            why=f"it is cut off, damaged, or not written by a training: {problem}",
            fix="start anew with --force; best.safetensors and last.safetensors can still be used",
        ) from problem
    return Checkpoint(record, found)


def _write(file: Path, tensors: Mapping[str, Tensor], metadata: dict[str, str]) -> None:
    # Clones, because safetensors refuses tensors that share memory, as tied weights do. Not by save_file: it gives the
    # file to its owner alone, whatever the umask.
    plain = {name: tensor.detach().cpu().contiguous().clone() for name, tensor in tensors.items()}
    with output_file(file, force=True) as draft:
        draft.write_bytes(_sorted_header(require("safetensors.torch", "torch").save(plain, metadata)))


def _sorted_header(data: bytes) -> bytes:
    """The file with its facts in the order of their names, which the library leaves to chance: equal runs, equal bytes.

    A file is the length of the header in 8 bytes, the header as JSON filled up with spaces to a multiple of 8, the
    numbers: https://github.com/huggingface/safetensors#format.
    """
    end = 8 + int.from_bytes(data[:8], "little")
    header = json.loads(data[8:end])
    facts = {"__metadata__": dict(sorted(header.pop("__metadata__", {}).items()))}
    text = json.dumps(facts | header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text + data[end:]
