"""Why a weights file cannot be read: what the file is instead, where its first bytes say so."""

from __future__ import annotations

import zipfile
from pathlib import Path

_BEGINNINGS = (
    (b"\x1f\x8b", "it is compressed by gzip: unpack it"),
    (b"BZh", "it is compressed by bzip2: unpack it"),
    (b"\xfd7zXZ", "it is compressed by xz: unpack it"),
    (b"<", "it is a web page or XML: perhaps the page that leads to the file"),
    (b"version https://git-lfs", "it is a pointer of Git LFS: fetch the file itself with `git lfs pull`"),
    (b"\x89HDF", "it is an HDF5 file: these are Keras weights"),
    (b"\x80", "it is a pickle that torch.save did not write"),
)
"""How a file begins -> what it is then."""

_OLD_TORCH_SAVE = b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19."


def reason(file: Path, problem: Exception) -> str:
    """One line: what the file is where that is known, else what the library says of it, its advice left out."""
    with file.open("rb") as stream:
        start = stream.read(64).lstrip()
    if file.stat().st_size == 0:
        return "it is empty"
    if zipfile.is_zipfile(file):
        with zipfile.ZipFile(file) as archive:
            if found := _archive([name.partition("/")[2] for name in archive.namelist()]):
                return found
    for beginning, what in () if start.startswith(_OLD_TORCH_SAVE) else _BEGINNINGS:
        if start.startswith(beginning):
            return what
    said = (str(problem).strip() or type(problem).__name__).splitlines()[0]
    # torch advises to load what it refuses by executing it, and its unpickler says little but the byte it met.
    return "it is no pickle of tensors" if "weights_only" in said or said.isdigit() else said


def _archive(names: list[str]) -> str:
    if "constants.pkl" in names:
        return "it is a TorchScript archive: save the state dict of the Python module"
    if any(name.startswith("models/") for name in names):
        return "it is an exported program: give it as --model, with the suffix .pt2, and no WEIGHTS"
    return "" if "data.pkl" in names else "it is a zip archive of other files"
