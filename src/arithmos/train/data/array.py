"""The user's own inputs from a file: arrays as they are, pictures prepared for the network."""

from __future__ import annotations

import tokenize
import zipfile
import zlib
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load_file

from arithmos.errors import UsageError
from arithmos.extras import require
from arithmos.train.data.preparation import Preparation, prepare

Inputs = np.ndarray | dict[str, np.ndarray]

_TO_UNIT = Preparation()
# What the readers were seen to raise on files with flipped or missing bytes.
_DAMAGE = (
    *(ValueError, EOFError, OSError, SyntaxError, LookupError, RuntimeError, TypeError, OverflowError, MemoryError),
    *(tokenize.TokenError, zlib.error, zipfile.BadZipFile, SafetensorError),
)


def load_array(path: Path | str, preparation: Preparation = _TO_UNIT) -> Inputs:
    """The array in .npy, .npz or .safetensors, unchanged: float images, or integers that are already quantized.

    A file of several arrays gives {name: array}. A picture (.png, .jpg) gives float32 (1, channels, height, width),
    prepared: in [0, 1] unless `preparation` normalises; its 8-bit pixels are never taken for quantized integers.
    Raises UsageError for a missing, damaged, empty or unknown file, and for arrays that are not numbers.
    """
    file = Path(path).expanduser().absolute()
    reader = READERS.get(file.suffix.lower())
    if reader is None:
        raise UsageError(
            f"inputs cannot be read from '{file.suffix or file.name}' files",
            where=str(file),
            why=f"known are {', '.join(READERS)}",
            fix="save the array with numpy.save",
        )
    if not file.is_file():
        raise UsageError(
            "there is no such input file" if not file.exists() else "the input file is not a file",
            where=str(file),
            why="the network's inputs are read from it",
            fix="check the path",
        )
    try:
        arrays = reader(file, preparation)
    except _DAMAGE as problem:
        reason = (str(problem).strip() or type(problem).__name__).splitlines()[0]
        raise UsageError(
            f"the {file.suffix} file cannot be read",
            where=str(file),
            why=f"it is cut off, damaged, or holds Python objects: {reason}",
            fix="write it again, as plain numbers",
        ) from problem
    _check_numbers(arrays, file)
    return next(iter(arrays.values())) if len(arrays) == 1 else arrays


def _check_numbers(arrays: Mapping[str, np.ndarray], file: Path) -> None:
    wrong = [f"{name}: {array.dtype}" for name, array in arrays.items() if array.dtype.kind not in "biuf"]
    empty = [f"{name}: shape {array.shape}" for name, array in arrays.items() if array.size == 0]
    if wrong or empty or not arrays:
        raise UsageError(
            "the file holds no usable input",
            where=str(file),
            why="; ".join(
                [*(f"not numbers: {w}" for w in wrong), *(f"empty: {e}" for e in empty)] or ["it holds no array"]
            ),
            fix="save arrays of floats or integers, the batch first",
        )


def _npy(file: Path, _: Preparation) -> dict[str, np.ndarray]:
    with file.open("rb") as stream:
        return {"input": np.load(stream, allow_pickle=False)}


def _npz(file: Path, _: Preparation) -> dict[str, np.ndarray]:
    # numpy leaves a file it opened itself open where the archive is damaged.
    with file.open("rb") as stream, np.load(stream, allow_pickle=False) as archive:
        return {name: archive[name] for name in archive.files}


def _safetensors(file: Path, _: Preparation) -> dict[str, np.ndarray]:
    return load_file(file)


def _picture(file: Path, preparation: Preparation) -> dict[str, np.ndarray]:
    with require("PIL.Image", "data").open(file) as image:
        return {"input": prepare(image, preparation, str(file))[np.newaxis]}


READERS: Mapping[str, Callable[[Path, Preparation], dict[str, np.ndarray]]] = MappingProxyType(
    {".npy": _npy, ".npz": _npz, ".safetensors": _safetensors, ".png": _picture, ".jpg": _picture, ".jpeg": _picture}
)
