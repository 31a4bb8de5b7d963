"""Arrays of a run: written to a file, or printed."""

from __future__ import annotations

import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import save_file

from arithmos.cli.output import table
from arithmos.errors import UsageError


def _npz(path: Path, arrays: dict[str, np.ndarray]) -> None:
    # Not by np.savez, which would take a value named "file" for its own argument.
    with zipfile.ZipFile(path, "w") as archive:
        for name, array in arrays.items():
            with archive.open(f"{name}.npy", "w", force_zip64=True) as stream:
                np.lib.format.write_array(stream, np.asarray(array))


WRITERS: Mapping[str, Callable[[Path, dict[str, np.ndarray]], Any]] = {
    ".npy": lambda path, arrays: np.save(path, next(iter(arrays.values()))),
    ".npz": _npz,
    ".safetensors": lambda path, arrays: save_file({n: np.asarray(a, order="C") for n, a in arrays.items()}, path),
}
"""Suffix of --out -> how the arrays are written."""


def check_writable(out: Path | None, *, several: bool) -> None:
    """Raise UsageError where the file's suffix is none that is written, or holds one array and there are several."""
    if out is not None and (out.suffix not in WRITERS or (several and out.suffix == ".npy")):
        raise UsageError(
            f"cannot write {'several values' if out.suffix == '.npy' else 'arrays'} to {out.name}",
            why=f"known are {', '.join(WRITERS)}; .npy holds one array",
            fix="name a .safetensors or .npz file",
        )


def as_text(arrays: dict[str, np.ndarray]) -> str:
    """The numbers themselves where there are few, else what they span."""
    if len(arrays) == 1:
        (array,) = arrays.values()
        if array.size <= 1000:
            samples = array.reshape(len(array) if array.ndim else 1, -1)
            return "\n".join(" ".join(map(str, sample)) for sample in samples)
    ends = {n: (a.min().item(), a.max().item()) if a.size else ("", "") for n, a in arrays.items()}
    rows = [(n, str(a.shape), a.dtype.name, *ends[n]) for n, a in arrays.items()]
    return table(("value", "shape", "type", "min", "max"), rows)
