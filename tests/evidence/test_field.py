"""Integers in a field come back; elements are v mod p; limbs stand where a field is too small; dumps are rechecked."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import safetensors.numpy

import factories
from arithmos.evidence.dump import dump, dump_bytes
from arithmos.evidence.field import FIELDS, Field, embed, integers, n_limbs, stored
from arithmos.evidence.manifest import Entry
from arithmos.evidence.recheck import verify_dump
from arithmos.evidence.tensor_files import FORMATS
from arithmos.ir.codec import random_inputs
from arithmos.ir.interval import Interval, narrowest_dtype, signed, unsigned

RANGES = [
    *(Interval(0, 0), unsigned(8), signed(8), unsigned(32), signed(32), signed(64)),
    *(Interval(-((1 << 30) - 1), (1 << 30) - 1), Interval(0, 1 << 30), Interval(-(1 << 40), 5)),
]
EVERY = pytest.mark.parametrize("field", FIELDS.values(), ids=list(FIELDS))


def entry(interval: Interval, shape: tuple[int, ...]) -> Entry:
    dtype = narrowest_dtype(interval).name
    return Entry("x", "activation", "", dtype, shape, "row-major", None, (interval.lo, interval.hi), "")


def elements(field: Field, words: np.ndarray) -> list[int]:
    """The numbers below p that the words stand for."""
    rows = words.reshape(-1, field.words).tolist()
    return [sum(word << (field.word_bits * k) for k, word in enumerate(row)) for row in rows]


@EVERY
@pytest.mark.parametrize("interval", RANGES, ids=str)
def test_elements_are_residues_and_come_back(field: Field, interval: Interval) -> None:
    corners = {interval.lo, interval.hi, interval.lo + 1, (interval.lo + interval.hi) // 2, 0, -1, 1}
    numbers = [n for n in corners if interval.lo <= n <= interval.hi]
    facts = entry(interval, (len(numbers), 1))
    array = np.array(numbers, dtype=facts.dtype).reshape(facts.shape)
    words, lies = embed(field, facts, array), stored(field, facts)
    assert (words.dtype.name, words.shape) == (lies.dtype, lies.shape)
    np.testing.assert_array_equal(integers(field, facts, words), array)
    limbs = n_limbs(field, interval)
    found = elements(field, words)
    if limbs == 1:
        assert found == [n % field.modulus for n in numbers]
    for row, number in enumerate(numbers):
        mine = found[row * limbs : (row + 1) * limbs]
        half = field.modulus >> 1
        centred = [e - field.modulus if e > half else e for e in mine]
        assert number == sum(e << (field.limb_bits * k) for k, e in enumerate(centred))
        assert all(0 <= e < 1 << field.limb_bits for e in centred[:-1])


def test_the_small_field_takes_limbs_where_a_sign_could_not_be_told() -> None:
    m31 = FIELDS["m31"]
    assert n_limbs(m31, Interval(-((1 << 30) - 1), (1 << 30) - 1)) == 1
    assert n_limbs(m31, Interval(0, 1 << 30)) == 2
    assert n_limbs(m31, signed(64)) == 4
    assert [n_limbs(FIELDS[name], signed(64)) for name in ("bn254", "bls12-381", "goldilocks")] == [1, 1, 2]


@EVERY
def test_a_scalar_and_an_empty_tensor(field: Field) -> None:
    for array in (np.array(-7, dtype=np.int8), np.zeros((0, 3), dtype=np.int8)):
        facts = entry(signed(8), array.shape)
        np.testing.assert_array_equal(integers(field, facts, embed(field, facts, array)), array)


@EVERY
def test_what_no_integer_of_the_range_stands_for_is_refused(field: Field) -> None:
    facts = entry(signed(8), (1,))
    words = embed(field, facts, np.array([-128], dtype=np.int8))
    with pytest.raises(ValueError, match="holds elements that are no integers in"):
        integers(field, facts, words - 1 if field.words == 1 else words | np.array([0, 0, 0, 1 << 63], dtype=np.uint64))
    with pytest.raises(ValueError, match="it is int8"):
        integers(field, facts, np.array([1], dtype=np.int8))


@EVERY
@pytest.mark.parametrize("format", FORMATS)
def test_a_dump_in_a_field_is_rechecked_and_keeps_its_roots(tmp_path: Path, field: Field, format: str) -> None:
    graph = factories.residual_cnn()
    inputs = random_inputs(graph, 1)
    folder = dump(graph, inputs, tmp_path / "out", format=format, field=field.name, witness=format == "safetensors")
    check = verify_dump(folder)
    assert check.ok, str(check)
    document = json.loads((folder / "manifest.json").read_text())
    assert document["field"]["modulus"] == str(field.modulus)
    plain = json.loads((dump(graph, inputs, tmp_path / "plain") / "manifest.json").read_text())
    assert document["roots"] == plain["roots"]
    kinds = {t["name"]: t["stored"] for t in document["tensors"]}
    sizes = sum(np.dtype(k["dtype"]).itemsize * int(np.prod(k["shape"])) for k in kinds.values())
    assert dump_bytes(graph, 1, field=field.name, witness=format == "safetensors") == sizes
    if format == "safetensors":
        tensors = safetensors.numpy.load_file(folder / "values.safetensors")
        assert {n: (a.dtype.name, list(a.shape)) for n, a in tensors.items()} == {
            n: (k["dtype"], k["shape"]) for n, k in kinds.items()
        }


def test_one_changed_element_is_named(tmp_path: Path) -> None:
    graph = factories.residual_cnn()
    folder = dump(graph, random_inputs(graph, 1), tmp_path / "out", field="goldilocks")
    file = folder / "values.safetensors"
    tensors = safetensors.numpy.load_file(file)
    tensors["block1.relu2"].reshape(-1)[-1] ^= 1
    safetensors.numpy.save_file(tensors, file)
    check = verify_dump(folder)
    assert check.first_difference is not None
    assert (check.first_difference.value, check.first_difference.index) == ("block1.relu2", (0, 7, 11, 11))
