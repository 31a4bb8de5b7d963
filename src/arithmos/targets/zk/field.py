"""The scalar field of BN254, and signed integers as its elements: v is v, -v is p - v.

Everything in a network is an integer of at most 64 bits, so elements stay int64 until they are written: 32 bytes each,
little-endian, least non-negative residue (iden3's binary formats).
"""

from __future__ import annotations

import numpy as np

NAME = "bn254"
MODULUS = 21888242871839275222246405745257275088548364400416034343698204186575808495617
"""The order of the curve's group: what proofs over BN254 (alt_bn128 on Ethereum) compute modulo."""

N_BYTES = 32
_LIMBS = np.array([(MODULUS >> (64 * i)) & ((1 << 64) - 1) for i in range(4)], dtype=np.uint64)
_MAGNITUDE = 1 << 63
_LIMIT = np.uint64(_MAGNITUDE)


def limbs(values: np.ndarray) -> np.ndarray:
    """(n, 4) uint64, little-endian, of n int64: v where v >= 0, else p - |v|."""
    result = np.zeros((values.size, 4), dtype="<u8")
    flat = values.reshape(-1)
    negative = np.flatnonzero(flat < 0)
    result[:, 0] = flat.view(np.uint64) if flat.dtype == np.int64 else flat.astype(np.int64).view(np.uint64)
    if negative.size:
        magnitude = np.uint64(0) - result[negative, 0]
        result[negative] = _LIMBS
        result[negative, 0] = _LIMBS[0] - magnitude
        result[negative, 1] = _LIMBS[1] - (magnitude > _LIMBS[0])  # the borrow ends here: the second limb is not 0
    return result


def signed(elements: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(int64, True where the element is one): v for elements below 2**63, -v for those above p - 2**63; else 0, False.

    elements: (n, 4) uint64. An element that is not below p is none.
    """
    small = (elements[:, 1:] == 0).all(axis=1) & (elements[:, 0] < _LIMIT)
    values = np.where(small, elements[:, 0], np.uint64(0)).astype(np.int64)
    rest = np.flatnonzero(~small)
    if rest.size:
        magnitude = _LIMBS[0] - elements[rest, 0]
        borrow = (elements[rest, 0] > _LIMBS[0]).astype(np.uint64)
        near = (elements[rest, 1] + borrow == _LIMBS[1]) & (elements[rest, 2:] == _LIMBS[2:]).all(axis=1)
        near &= (magnitude <= _LIMIT) & (magnitude > 0)
        values[rest[near]] = (np.uint64(0) - magnitude[near]).view(np.int64)
        small[rest[near]] = True
    return values, small


def residue(value: int) -> int:
    """The least non-negative residue."""
    return value % MODULUS


def integer(element: np.ndarray) -> int:
    """The Python integer of four limbs."""
    return sum(int(limb) << (64 * i) for i, limb in enumerate(element))
