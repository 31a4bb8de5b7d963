"""The iden3 `.r1cs` file, written as constraints arrive and read back whole.

Public format: https://github.com/iden3/r1csfile/blob/master/doc/r1cs_bin_format.md. Little-endian. Magic "r1cs",
version 1, three sections (type u32, size u64): 1 header (bytes of an element, prime, wires, public outputs, public
inputs, private inputs u32 each, labels u64, constraints u32), 2 constraints (A, B, C each: number of terms, then wire
u32 and coefficient), 3 the label of each wire (u64). The number of constraints and the sizes are mended at the end.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np

from arithmos.errors import UsageError
from arithmos.targets.zk.combination import Combination, canonical
from arithmos.targets.zk.field import MODULUS, N_BYTES, integer, limbs, signed
from arithmos.targets.zk.system import Block

MAGIC, VERSION = b"r1cs", 1
_HEADER = struct.Struct(f"<I{N_BYTES}sIIIIQI")
_TERM = 1 + N_BYTES // 4
"""32-bit words of a term."""

_CHUNK = 1 << 16
"""Constraints encoded at once: the encoded form is four times the size of the combinations."""


@dataclass(frozen=True, slots=True)
class Header:
    """What the header says of the system."""

    n_wires: int
    n_outputs: int
    n_inputs: int
    n_private: int
    n_constraints: int


class R1csWriter:
    """A file under construction: a class because it owns an open file and counts what went into it."""

    def __init__(self, path: Path, header: Header) -> None:
        self._file: BinaryIO = path.open("wb")
        self._header = header
        self.n_constraints = 0
        self.n_nonzeros = 0
        self._file.write(MAGIC + struct.pack("<II", VERSION, 3) + struct.pack("<IQ", 1, _HEADER.size))
        self._file.write(self._packed())
        self._size_at = self._file.tell() + 4
        self._file.write(struct.pack("<IQ", 2, 0))

    def add(self, block: Block) -> None:
        """Append a block of constraints."""
        rows = len(block.a)
        for first in range(0, rows, _CHUNK):
            part = np.arange(first, min(first + _CHUNK, rows))
            whole = rows <= _CHUNK
            sides = [side if whole else side[part] for side in (block.a, block.b, block.c)]
            words = encoded(sides)
            self._file.write(words.data.cast("B"))
            self.n_nonzeros += (words.size - 3 * part.size) // _TERM
        self.n_constraints += rows

    def close(self) -> None:
        """Write the labels (wire i has label i), then mend sizes and counts."""
        end = self._file.tell()
        n = self._header.n_wires
        self._file.write(struct.pack("<IQ", 3, 8 * n))
        for first in range(0, n, 1 << 20):
            self._file.write(np.arange(first, min(first + (1 << 20), n), dtype="<u8").tobytes())
        self._file.seek(self._size_at)
        self._file.write(struct.pack("<Q", end - self._size_at - 8))
        self._file.seek(24)
        self._file.write(self._packed())
        self._file.close()

    def _packed(self) -> bytes:
        h, prime = self._header, MODULUS.to_bytes(N_BYTES, "little")
        return _HEADER.pack(
            N_BYTES, prime, h.n_wires, h.n_outputs, h.n_inputs, h.n_private, h.n_wires, self.n_constraints
        )


def encoded(sides: list[Combination]) -> np.ndarray:
    """The words of constraints, A, B and C of each in turn."""
    terms = [canonical(with_one(side)) for side in sides]
    counts = np.stack([side.counts for side in terms], axis=1).reshape(-1)
    starts = np.concatenate([[0], np.cumsum(counts)])
    body = np.empty((starts[-1], _TERM), dtype="<u4")
    for k, side in enumerate(terms):
        here = np.repeat(starts[k:-1:3] - side.starts[:-1], side.counts) + np.arange(side.wires.size)
        body[here, 0] = side.wires
        body[here, 1:] = limbs(side.coefficients).view("<u4")
    words = np.empty(counts.size + body.size, dtype="<u4")
    at = starts[:-1] * _TERM + np.arange(counts.size)
    is_term = np.ones(words.size, dtype=bool)
    is_term[at] = False
    words[at] = counts
    words[is_term] = body.reshape(-1)
    return words


def with_one(rows: Combination) -> Combination:
    """The constants as terms of wire 0."""
    has = rows.constant != 0
    if not has.any():
        return rows
    starts = rows.starts + np.concatenate([[0], np.cumsum(has)])
    wires, coefficients = np.zeros(starts[-1], np.int64), np.empty(starts[-1], np.int64)
    inside = np.ones(starts[-1], dtype=bool)
    inside[starts[:-1][has]] = False
    wires[inside], coefficients[inside] = rows.wires, rows.coefficients
    coefficients[~inside] = rows.constant[has]
    return Combination(np.zeros(len(rows), np.int64), starts, wires, coefficients)


@dataclass(frozen=True, slots=True, eq=False)
class Part:
    """Constraints that follow one another. first: the number of the first; sides: A, B and C, constants as terms of
    wire 0; wide: {(side, term): coefficient} for coefficients that are no int64 (0 in the arrays)."""

    first: int
    sides: tuple[Combination, Combination, Combination]
    wide: dict[tuple[int, int], int]


def part_of(first: int, block: Block) -> Part:
    """A block as it would be read back."""
    return Part(first, (with_one(block.a), with_one(block.b), with_one(block.c)), {})


def read_header(path: Path) -> Header:
    """The header. Raises UsageError for a file that is not a .r1cs over BN254, or is cut short."""
    found = sections(path, MAGIC, VERSION)
    if not {1, 2} <= set(found) or found[1].size != _HEADER.size:
        raise bad_file(path, "it has no header or no constraints")
    n_bytes, prime, n_wires, n_out, n_in, n_private, _, n = _HEADER.unpack(found[1].tobytes())
    if n_bytes != N_BYTES or int.from_bytes(prime, "little") != MODULUS:
        raise bad_file(path, "it is over another field than bn254")
    return Header(n_wires, n_out, n_in, n_private, n)


def read_parts(path: Path) -> Iterator[Part]:
    """The constraints, some ten thousand at a time. Raises UsageError for a file that is not what its header says."""
    header = read_header(path)
    body = sections(path, MAGIC, VERSION)[2]
    if body.size % 4:
        raise bad_file(path, "its constraints end in the middle of a word")
    words, at = body.view("<u4"), 0
    for first in range(0, header.n_constraints, _CHUNK):
        n = min(_CHUNK, header.n_constraints - first)
        places = _count_places(path, words, at, 3 * n)
        at = int(places[-1]) + 1 + _TERM * int(words[places[-1]])
        if at > words.size:
            raise bad_file(path, "it ends before its last constraint")
        yield _part(path, header, first, words[places[0] : at], places - places[0])
    if at != words.size:
        raise bad_file(path, "its constraints are not as long as it says")


def _part(path: Path, header: Header, first: int, words: np.ndarray, places: np.ndarray) -> Part:
    counts = words[places].astype(np.int64)
    is_term = np.ones(words.size, dtype=bool)
    is_term[places] = False
    body = words[is_term].reshape(-1, _TERM)
    if body.size and int(body[:, 0].max()) >= header.n_wires:
        raise bad_file(path, f"a constraint names wire {int(body[:, 0].max())}, there are {header.n_wires}")
    elements = np.ascontiguousarray(body[:, 1:]).view("<u8")
    coefficients, small = signed(elements)
    starts = np.concatenate([[0], np.cumsum(counts)])
    sides: list[Combination] = []
    wide: dict[tuple[int, int], int] = {}
    for k in range(3):
        ends = np.concatenate([[0], np.cumsum(counts[k::3])])
        here = np.repeat(starts[k:-1:3] - ends[:-1], counts[k::3]) + np.arange(ends[-1])
        sides.append(
            Combination(np.zeros(places.size // 3, np.int64), ends, body[here, 0].astype(np.int64), coefficients[here])
        )
        wide |= {(k, int(term)): integer(elements[here[term]]) for term in np.flatnonzero(~small[here])}
    return Part(first, (sides[0], sides[1], sides[2]), wide)


def _count_places(path: Path, words: np.ndarray, at: int, n: int) -> np.ndarray:
    """Where the next n numbers of terms stand: each is known only when the one before it is."""
    places = np.empty(n, np.int64)
    for i in range(n):
        if at >= words.size:
            raise bad_file(path, "it ends before its last constraint")
        places[i] = at
        at += 1 + _TERM * int(words[at])
    return places


def sections(path: Path, magic: bytes, version: int) -> dict[int, np.ndarray]:
    """{type: bytes, mapped and not read} of an iden3 binary file. Raises UsageError for another format or version, or a
    file cut short."""
    data = np.memmap(path, dtype=np.uint8, mode="r") if path.stat().st_size else np.zeros(0, np.uint8)
    if data[:4].tobytes() != magic or data.size < 12:
        raise bad_file(path, f"it does not begin with '{magic.decode()}'")
    found_version, n = struct.unpack_from("<II", data[:12].tobytes(), 4)
    if found_version != version:
        raise bad_file(path, f"it has version {found_version}, this reads {version}")
    found, at = {}, 12
    for _ in range(n):
        kind, size = struct.unpack("<IQ", data[at : at + 12].tobytes()) if at + 12 <= data.size else (0, data.size)
        if at + 12 + size > data.size:
            raise bad_file(path, "it is cut short")
        found[kind] = data[at + 12 : at + 12 + size]
        at += 12 + size
    return found


def bad_file(path: Path, why: str) -> UsageError:
    """The refusal of a file that is not what it claims to be."""
    return UsageError(f"{path.name} cannot be read", where=str(path), why=why, fix="write it again")
