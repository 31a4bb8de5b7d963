"""Integers as elements of a prime field: v is stored as v mod p, so that a negative one is p + v.

An integer is embedded whole where its proven range lies in [-(p-1)/2, (p-1)/2], so that its sign can be told; else
it is cut into signed limbs first: v = sum over k of limb[k] * 2**(b * k), 0 <= limb[k] < 2**b but for the last, which
has the sign. Limbs stand along a new last axis, the least significant first, and so do the words of an element that is
wider than one, behind them. Moduli: bn254 and bls12-381 are the scalar fields of the two curves (EIP-196, and
draft-irtf-cfrg-pairing-friendly-curves); goldilocks is 2**64 - 2**32 + 1; m31 is 2**31 - 1.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from arithmos.errors import UsageError
from arithmos.evidence.manifest import Entry
from arithmos.ir.interval import Interval


@dataclass(frozen=True, slots=True)
class Field:
    """A prime field and how an element lies in a file: `words` little-endian words of `word_bits`, not Montgomery."""

    name: str
    modulus: int
    word_bits: int
    words: int
    limb_bits: int


FIELDS = {
    field.name: field
    for field in (
        Field("bn254", 0x30644E72E131A029B85045B68181585D2833E84879B9709143E1F593F0000001, 64, 4, 64),
        Field("bls12-381", 0x73EDA753299D7D483339D80809A1D80553BDA402FFFE5BFEFFFFFFFF00000001, 64, 4, 64),
        Field("goldilocks", (1 << 64) - (1 << 32) + 1, 64, 1, 32),
        Field("m31", (1 << 31) - 1, 32, 1, 16),
    )
}
"""What `dump --field` takes."""


def find(name: str) -> Field | None:
    """The field of this name, None for "". Raises UsageError for an unknown one."""
    if name and name not in FIELDS:
        raise UsageError(
            f"there is no field '{name}'", why=f"the fields are {', '.join(FIELDS)}", fix="choose one of them"
        )
    return FIELDS.get(name)


def n_limbs(field: Field, interval: Interval) -> int:
    """How many elements hold one integer of this range: 1, or as many limbs as its bits need."""
    half = field.modulus >> 1
    return 1 if interval in Interval(-half, half) else -(-interval.bits // field.limb_bits)


def stored(field: Field | None, entry: Entry) -> Entry:
    """The entry as its tensor lies in the file: words of the field, with axes for limbs and words if there are any."""
    if field is None:
        return entry
    limbs = n_limbs(field, Interval(*entry.bound))
    axes = (*([limbs] if limbs > 1 else []), *([field.words] if field.words > 1 else []))
    return replace(entry, dtype=f"uint{field.word_bits}", shape=(*entry.shape, *axes))


def stored_facts(field: Field | None, entry: Entry) -> dict[str, Any]:
    """What the manifest says of the tensor in the file where that is not the integers themselves."""
    if field is None:
        return {}
    lies = stored(field, entry)
    return {"stored": {"dtype": lies.dtype, "shape": list(lies.shape), "limbs": n_limbs(field, Interval(*entry.bound))}}


def document(field: Field | None) -> dict[str, Any] | None:
    """The field in the manifest; the modulus in decimal digits, because JSON numbers end at 2**53 for many readers."""
    if field is None:
        return None
    return {"name": field.name, "modulus": str(field.modulus), "word_bits": field.word_bits, "words": field.words} | {
        "limb_bits": field.limb_bits
    }


def of_document(found: Mapping[str, Any] | None) -> Field | None:
    """The field that a manifest names. Raises ValueError where it is none of ours."""
    if found is None:
        return None
    field = FIELDS.get(str(found.get("name")))
    if field is None or document(field) != found:
        raise ValueError(f"its field is {found}")
    return field


def embed(field: Field, entry: Entry, array: np.ndarray) -> np.ndarray:
    """The integers of an entry as its tensor lies in the file."""
    limbs = n_limbs(field, Interval(*entry.bound))
    whole = _limbs(array.astype(np.int64), limbs, field.limb_bits) if limbs > 1 else array.astype(np.int64)
    words = _words(field, whole.reshape(-1))
    lies = stored(field, entry)
    return np.ascontiguousarray(words.astype(lies.dtype)).reshape(lies.shape)


def integers(field: Field, entry: Entry, elements: np.ndarray) -> np.ndarray:
    """The inverse of `embed`, in the entry's type. Raises ValueError for what `embed` does not make."""
    lies = stored(field, entry)
    if elements.dtype != np.dtype(lies.dtype) or elements.shape != lies.shape:
        raise ValueError(f"it is {elements.dtype} {elements.shape}, not {lies.dtype} {lies.shape}")
    limbs = n_limbs(field, Interval(*entry.bound))
    whole = _signed(field, elements.astype(np.uint64).reshape(-1, field.words)).reshape(-1, limbs)
    added: np.ndarray = (whole << (field.limb_bits * np.arange(limbs))).sum(axis=-1)
    result = added.reshape(entry.shape).astype(entry.dtype)
    if not np.array_equal(embed(field, entry, result), elements):
        raise ValueError(f"it holds elements that are no integers in {Interval(*entry.bound)} of {field.name}")
    return result


def _limbs(array: np.ndarray, n: int, bits: int) -> np.ndarray:
    """Two's complement cut into pieces, the last one signed; >> of an int64 keeps the sign."""
    pieces = array[..., None] >> (bits * np.arange(n))
    pieces[..., :-1] &= (1 << bits) - 1
    return pieces


def _words(field: Field, array: np.ndarray) -> np.ndarray:
    """v mod p as 64-bit words along a new last axis: p - |v| word by word, with a borrow, where v is negative."""
    magnitude = np.where(array < 0, 0 - array.view(np.uint64), array.view(np.uint64))
    negative = array < 0
    words = np.zeros((*array.shape, field.words), dtype=np.uint64)
    borrow: np.ndarray = np.zeros(array.shape, dtype=bool)
    for number in range(field.words):
        word = np.uint64((field.modulus >> (64 * number)) & ((1 << 64) - 1))
        taken = magnitude if number == 0 else np.zeros_like(magnitude)
        words[..., number] = np.where(negative, word - taken - borrow, taken)
        borrow = (word < taken) | ((word == taken) & borrow)
    return words


def _signed(field: Field, words: np.ndarray) -> np.ndarray:
    """v in int64 of v mod p: the first word where it is at most (p-1)/2, else minus what is missing to p in it."""
    low, lowest = words[..., 0], np.uint64(field.modulus & ((1 << 64) - 1))
    above = words[..., 1:].any(axis=-1) if field.words > 1 else low > np.uint64(field.modulus >> 1)
    return np.where(above, (low - lowest).view(np.int64), low.view(np.int64))
