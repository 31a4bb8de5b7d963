"""The iden3 `.wtns` file: what every wire holds, written as it is computed.

Public format: https://github.com/iden3/snarkjs (src/wtns_utils.js). Little-endian. Magic "wtns", version 2, two
sections (type u32, size u64): 1 header (bytes of an element, prime, number of wires u32), 2 the elements.
"""

from __future__ import annotations

import struct
from pathlib import Path
from typing import BinaryIO

import numpy as np

from arithmos.targets.zk.field import MODULUS, N_BYTES, limbs
from arithmos.targets.zk.r1cs import bad_file, sections

MAGIC, VERSION = b"wtns", 2
_CHUNK = 1 << 18


class WtnsWriter:
    """A witness under construction: a class because it owns an open file."""

    def __init__(self, path: Path, n_wires: int) -> None:
        self._file: BinaryIO = path.open("wb")
        self._n_wires, self._written = n_wires, 0
        prime = MODULUS.to_bytes(N_BYTES, "little")
        self._file.write(MAGIC + struct.pack("<II", VERSION, 2))
        self._file.write(struct.pack(f"<IQI{N_BYTES}sI", 1, 8 + N_BYTES, N_BYTES, prime, n_wires))
        self._file.write(struct.pack("<IQ", 2, N_BYTES * n_wires))
        self.add(np.ones(1, np.int64))

    def add(self, values: np.ndarray) -> None:
        """The next wires."""
        flat = values.reshape(-1)
        for first in range(0, flat.size, _CHUNK):
            self._file.write(limbs(flat[first : first + _CHUNK]).data.cast("B"))
        self._written += flat.size

    def close(self) -> None:
        """Every wire must have its value by now."""
        self._file.close()
        assert self._written == self._n_wires, f"{self._written} values for {self._n_wires} wires"


def read_wtns(path: Path) -> np.ndarray:
    """(n, 4) uint64: every element. Raises UsageError for a file that is not a .wtns over BN254, or is cut short."""
    found = sections(path, MAGIC, VERSION)
    if not {1, 2} <= set(found) or found[1].size < 8 + N_BYTES:
        raise bad_file(path, "it has no header or no elements")
    n_bytes, prime, n = struct.unpack_from(f"<I{N_BYTES}sI", found[1].tobytes())
    if n_bytes != N_BYTES or int.from_bytes(prime, "little") != MODULUS:
        raise bad_file(path, "it is over another field than bn254")
    if found[2].size != N_BYTES * n:
        raise bad_file(path, f"it says {n} elements and holds {found[2].size // N_BYTES}")
    return np.ascontiguousarray(found[2]).view("<u8").reshape(-1, 4)
