"""Four ways to write tensors one after the other, and to read any one of them back.

safetensors  values.safetensors; read it with the safetensors library or anything else that knows the format.
npz          values.npz, uncompressed; numpy.load.
hex          tensors/NUMBER_NAME.hex: one element a line, row-major, two's complement of the dtype's width, lower case
             digits without prefix (int8 -1 is ff, int16 -1 is ffff); Verilog's $readmemh reads it.
c            tensors/NUMBER_NAME.h with one `static const` array each, and values.h that includes them all.
"""

from __future__ import annotations

import json
import re
import zipfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import safetensors

from arithmos.evidence.manifest import Entry

Put = Callable[[int, np.ndarray], None]
"""put(number of the entry, its contiguous little-endian array) writes one tensor."""


@dataclass(frozen=True, slots=True)
class Format:
    """where(number, entry) -> how the manifest locates the tensor; the writer is a context that gives `put`."""

    where: Callable[[int, Entry], dict[str, str]]
    writer: Callable[[Path, Sequence[Entry], str], AbstractContextManager[Put]]
    read: Callable[[Path, int, Entry], np.ndarray]


@contextmanager
def _write_safetensors(folder: Path, entries: Sequence[Entry], model: str) -> Iterator[Put]:
    """The library's writer wants all tensors in memory at once; shapes and types are known here, so the header is."""
    offsets, header = safetensors_layout(entries, model)
    with open(folder / SAFETENSORS, "wb") as file:
        file.write(header)

        def put(number: int, array: np.ndarray) -> None:
            file.seek(len(header) + offsets[number])
            file.write(_bytes(array))

        yield put


def safetensors_layout(entries: Sequence[Entry], model: str) -> tuple[list[int], bytes]:
    """(offset of each entry, the file's head): the widest types first, so that every tensor is aligned."""
    offsets, end = [0] * len(entries), 0
    for number in sorted(range(len(entries)), key=lambda n: -entries[n].item_bytes):
        offsets[number], end = end, end + entries[number].size_bytes
    table: dict[str, object] = {"__metadata__": {"producer": "arithmos", "model": model}}
    for entry, offset in zip(entries, offsets, strict=True):
        kind = entry.dtype.replace("uint", "U").replace("int", "I")
        table[entry.name] = {
            "dtype": kind,
            "shape": list(entry.shape),
            "data_offsets": [offset, offset + entry.size_bytes],
        }
    text = json.dumps(table, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    return offsets, len(text).to_bytes(8, "little") + text


def _read_safetensors(folder: Path, number: int, entry: Entry) -> np.ndarray:
    with safetensors.safe_open(folder / SAFETENSORS, framework="numpy") as file:
        return np.asarray(file.get_tensor(entry.name))


@contextmanager
def _write_npz(folder: Path, entries: Sequence[Entry], model: str) -> Iterator[Put]:
    with zipfile.ZipFile(folder / NPZ, "w", zipfile.ZIP_STORED) as archive:

        def put(number: int, array: np.ndarray) -> None:
            member = zipfile.ZipInfo(f"{entries[number].name}.npy")  # a fixed date: equal dumps are equal files
            with archive.open(member, "w", force_zip64=True) as file:
                np.lib.format.write_array(file, array, allow_pickle=False)

        yield put


def _read_npz(folder: Path, number: int, entry: Entry) -> np.ndarray:
    with np.load(folder / NPZ, allow_pickle=False) as archive:
        return np.asarray(archive[entry.name])


@contextmanager
def _write_hex(folder: Path, entries: Sequence[Entry], model: str) -> Iterator[Put]:
    (folder / TENSORS).mkdir()

    def put(number: int, array: np.ndarray) -> None:
        width = array.dtype.itemsize
        text = array.byteswap().tobytes().hex("\n", width)
        (folder / _file(number, entries[number], "hex")).write_text(text + "\n")

    yield put


def _read_hex(folder: Path, number: int, entry: Entry) -> np.ndarray:
    digits = bytes.fromhex((folder / _file(number, entry, "hex")).read_text())
    return np.frombuffer(digits, dtype=np.dtype(entry.dtype).newbyteorder(">")).astype(entry.dtype).reshape(entry.shape)


@contextmanager
def _write_c(folder: Path, entries: Sequence[Entry], model: str) -> Iterator[Put]:
    (folder / TENSORS).mkdir()
    includes = "".join(f'#include "{_file(number, entry, "h")}"\n' for number, entry in enumerate(entries))
    guard = "#ifndef ARITHMOS_VALUES_H\n#define ARITHMOS_VALUES_H\n"
    (folder / HEADER).write_text(f"/* Network {model} */\n{guard}#include <stdint.h>\n{includes}#endif\n")

    def put(number: int, array: np.ndarray) -> None:
        entry = entries[number]
        numbers = [_literal(int(x), entry.dtype) for x in array.reshape(-1)] or ["0"]
        lines = [", ".join(numbers[i : i + 16]) for i in range(0, len(numbers), 16)]
        comment = f"/* {entry.name.replace('*/', '* /')} {list(entry.shape)} {entry.role} */"
        body = ",\n  ".join(lines)
        text = f"{comment}\n#include <stdint.h>\nstatic const {entry.dtype}_t {_identifier(number, entry)}"
        (folder / _file(number, entry, "h")).write_text(f"{text}[{len(numbers)}] = {{\n  {body}\n}};\n")

    yield put


def _read_c(folder: Path, number: int, entry: Entry) -> np.ndarray:
    text = (folder / _file(number, entry, "h")).read_text()
    body = text[text.rindex("{") + 1 : text.rindex("}")].replace(_LOWEST, str(-(1 << 63)))
    numbers = [int(item.strip().rstrip("UL")) for item in body.split(",")]
    size = entry.size_bytes // entry.item_bytes
    return np.array(numbers[:size] if size == 0 else numbers, dtype=entry.dtype).reshape(entry.shape)


_LOWEST = "(-9223372036854775807LL - 1)"
_SUFFIX = {"uint32": "U", "int64": "LL", "uint64": "ULL"}


def _literal(number: int, dtype: str) -> str:
    return _LOWEST if number == -(1 << 63) else f"{number}{_SUFFIX.get(dtype, '')}"


def _identifier(number: int, entry: Entry) -> str:
    """A C identifier; the number keeps names apart that differ in other characters only."""
    return f"v{number:04d}_" + re.sub(r"[^A-Za-z0-9_]", "_", entry.name)[:100]


def _file(number: int, entry: Entry, extension: str) -> str:
    return f"{TENSORS}/{number:04d}_{re.sub(r'[^A-Za-z0-9_.-]', '_', entry.name)[:100]}.{extension}"


def _bytes(array: np.ndarray) -> memoryview:
    return array.reshape(-1).view(np.uint8).data


SAFETENSORS, NPZ, HEADER, TENSORS = "values.safetensors", "values.npz", "values.h", "tensors"

FORMATS: dict[str, Format] = {
    "safetensors": Format(lambda n, e: {"file": SAFETENSORS, "key": e.name}, _write_safetensors, _read_safetensors),
    "npz": Format(lambda n, e: {"file": NPZ, "key": e.name}, _write_npz, _read_npz),
    "hex": Format(lambda n, e: {"file": _file(n, e, "hex")}, _write_hex, _read_hex),
    "c": Format(lambda n, e: {"file": _file(n, e, "h"), "key": _identifier(n, e)}, _write_c, _read_c),
}
"""What `dump --format` takes."""
