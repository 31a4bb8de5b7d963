"""What a verifier expects of a proof, as the command line says it: a model hash, integers of public values."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np

from arithmos.errors import UsageError
from arithmos.ir.interval import INT64


def expected_hash(text: str | None) -> str:
    """What must be compared, "" for nothing; an empty variable of a script is not nothing."""
    text = text if text is None else text.lower()
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
    """As int64, in any shape: a verifier compares exactly."""
    path = Path(text)
    try:
        if path.suffix == ".npy":
            with path.open("rb") as file:
                found = np.asarray(np.load(file, allow_pickle=False))
        else:
            found = np.array(json.loads(path.read_bytes() if path.suffix == ".json" else f"[{text}]"), dtype=object)
    except OSError as error:
        raise UsageError(
            f"{path.name} cannot be read",
            where=str(path.absolute()),
            why=error.strerror or str(error),
            fix="give a .npy or .json file, or 1,2,3",
        ) from error
    except (ValueError, TypeError, EOFError, RecursionError, BadZipFile) as error:
        raise _no_integers(text, str(error) or type(error).__name__) from error
    if not found.size:
        raise _no_integers(text, "it holds no number")
    numbers = found.reshape(-1).tolist()
    if wrong := [number for number in numbers if type(number) is not int]:
        raise _no_integers(text, f"{_short(wrong[0])} is of type {type(wrong[0]).__name__}")
    if wrong := [number for number in numbers if not INT64.lo <= number <= INT64.hi]:
        raise _no_integers(text, f"{_short(wrong[0])} has more than 64 bits")
    return found.astype(np.int64)


def _no_integers(text: str, why: str) -> UsageError:
    return UsageError(
        f"'{_short(text)}' is not integers",
        why=why,
        fix="give integers of at most 64 bits, as many as the proof shows: 1,2,3, or a .npy or .json file",
    )


def _short(entry: object) -> str:
    text = str(entry)
    return text if len(text) <= 80 else f"{text[:80]}…"
