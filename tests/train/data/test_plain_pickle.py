"""Pickles of plain data are read as Python reads them; nothing else is, and nothing is ever called."""

from __future__ import annotations

import os
import pickle
from collections import OrderedDict
from contextlib import suppress
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from arithmos.errors import UsageError
from arithmos.train.data.plain_pickle import read_plain
from picture_files import cifar_batch, cifar_meta, pixels

PYTHON_2 = cifar_batch(pixels(3), [6, 9, 0])


def refused(data: bytes) -> UsageError:
    with pytest.raises(UsageError) as caught:
        read_plain(data, "batch")
    return caught.value


def test_a_batch_of_python_2() -> None:
    theirs = pickle.loads(PYTHON_2, encoding="latin1")  # the test writes what Python itself reads
    ours = read_plain(PYTHON_2, "batch")
    assert ours["labels"] == theirs["labels"] == [6, 9, 0]
    assert ours["batch_label"] == theirs["batch_label"] == "test"
    assert ours["data"].dtype == np.uint8
    np.testing.assert_array_equal(ours["data"], theirs["data"])
    np.testing.assert_array_equal(ours["data"].reshape(3, 3, 32, 32).transpose(0, 2, 3, 1), pixels(3))


def test_names_of_classes() -> None:
    assert read_plain(cifar_meta(["cat", "dog"]), "meta") == {"label_names": ["cat", "dog"]}


@pytest.mark.parametrize("protocol", [0, 1, 2, 3, 4])
@pytest.mark.parametrize("dtype", ["u1", "<i4", ">i4", "<f8", "?"])
def test_what_python_3_writes(protocol: int, dtype: str) -> None:
    array = np.asfortranarray(np.random.default_rng(0).integers(0, 9, (4, 5)).astype(dtype))
    value = {"data": array, "labels": [1, 2], "t": (1, (2,), ()), "none": None, "yes": True, "x": -1.5, "big": 10**30}
    found = read_plain(pickle.dumps(value, protocol), "batch")
    np.testing.assert_array_equal(found.pop("data"), array)
    assert found == {k: v for k, v in value.items() if k != "data"}


class Bomb:
    """What an unpickler would run."""

    def __reduce__(self) -> Any:
        return os.system, ("false",)


@pytest.mark.parametrize(
    ("value", "named"),
    [
        (Bomb(), "a reference to posix.system"),
        (OrderedDict(), "a reference to collections.OrderedDict"),
        (np.asarray([{}, None]), "numpy arrays of kind 'O8'"),
        (np.float32(1.5), "a reference to numpy._core.multiarray.scalar"),
        ({1, 2}, "a reference to"),
        (complex(1, 2), "a reference to"),
    ],
)
@pytest.mark.parametrize("protocol", [2, 4])
def test_anything_else_is_refused_by_name(value: Any, named: str, protocol: int) -> None:
    error = refused(pickle.dumps({"data": value}, protocol))
    if named == "a reference to" and protocol == 4:
        assert error.what.startswith("the pickle holds ")
    else:
        assert error.what.startswith(f"the pickle holds {named}")
    assert error.where == "batch"


def test_a_call_of_what_may_only_be_mentioned() -> None:
    assert str(refused(b"\x80\x02cnumpy\nndarray\n)R.")) == (
        "the pickle holds a call of numpy.ndarray\n"
        "  at   batch\n"
        "  why  only numbers, strings, lists, dicts and numpy arrays of numbers are read: other objects can run code\n"
        "  fix  fetch the original archive; if this is it, do not open it elsewhere either"
    )
    assert refused(b"\x80\x02cposix\nsystem\n.").what == "the pickle holds a reference to posix.system"
    assert refused(b"(S'ls'\nios\nsystem\n.").what == "the pickle holds the instruction INST"
    assert refused(b"Pname\n.").what == "the pickle holds the instruction PERSID"


@pytest.mark.parametrize("share", [0.0, 0.01, 0.3, 0.9, 0.9999])
def test_one_that_is_cut_off(share: float) -> None:
    assert refused(PYTHON_2[: int(share * len(PYTHON_2))]).what == "the pickle cannot be read"


def test_no_dict() -> None:
    assert refused(pickle.dumps([1, 2])).what == "the pickle holds a list"


@settings(max_examples=300)
@given(st.binary(max_size=60))
def test_any_bytes_are_read_or_refused(noise: bytes) -> None:
    with suppress(UsageError):
        assert isinstance(read_plain(b"\x80\x02" + noise + b"K\x01.", "noise"), dict)


@settings(max_examples=300)
@given(st.integers(0, 250), st.integers(0, 255))
def test_any_damage_is_read_or_refused(place: int, byte: int) -> None:
    damaged = bytearray(PYTHON_2)
    damaged[place if place < 200 else -place + 199] = byte
    with suppress(UsageError):
        assert isinstance(read_plain(bytes(damaged), "batch"), dict)
