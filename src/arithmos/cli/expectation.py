"""What a verifier expects of a proof, as the command line says it: a model hash, integers of public values."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np

from arithmos.errors import UsageError


def expected_hash(text: str | None) -> str:
    """What must be compared, "" for nothing; an empty variable of a script is not nothing."""
    if text is not None and not re.fullmatch("[0-9a-f]{64}", text):
        raise UsageError(
            f"'{text}' is no model hash",
            why="a model hash has 64 hexadecimal digits",
            fix="give the one that `arithmos prove` printed",
        )
    return text or ""


def expected_values(ports: list[dict[str, Any]], role: str, text: str) -> dict[str, np.ndarray]:
    """{the one public value of the role: the integers of the text, or of the file that it names}."""
    names = [port["value"] for port in ports if port["role"] == role]
    if len(names) != 1:
        raise UsageError(
            f"this proof shows {len(names)} public {role}s",
            why=f"--{role} compares the one that there is" if names else f"its {role} is secret",
            fix=f"leave --{role} out, or compare in Python: arithmos.targets.zk.verification.verify",
        )
    return {names[0]: _integers(text)}


def _integers(text: str) -> np.ndarray:
    path = Path(text)
    try:
        if path.suffix == ".npy":
            array = np.load(path, allow_pickle=False)
        else:
            array = np.array(json.loads(path.read_text() if path.suffix == ".json" else f"[{text}]"))
    except (OSError, ValueError) as error:
        raise UsageError(
            f"'{text}' is not integers", why=str(error), fix="give a .npy or .json file, or 1,2,3"
        ) from error
    if array.dtype.kind not in "iu" or not array.size:
        raise UsageError(
            f"'{text}' is not integers",
            why=f"it holds {array.size} numbers of type {array.dtype}",
            fix="give integers of at most 64 bits, as many as the proof shows",
        )
    return np.asarray(array)
