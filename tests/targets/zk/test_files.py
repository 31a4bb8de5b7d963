"""The files are iden3's, byte for byte; what is read back is what was written; a damaged file is refused in words."""

from __future__ import annotations

import struct
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import arithmos as ar
from arithmos.errors import UsageError
from arithmos.ir.interval import interval_of
from arithmos.targets.zk.circuit import constrain, planned
from arithmos.targets.zk.combination import Combination, constants
from arithmos.targets.zk.field import MODULUS, integer, limbs, signed
from arithmos.targets.zk.layout import named
from arithmos.targets.zk.r1cs import Header, R1csWriter, part_of, read_header, read_parts
from arithmos.targets.zk.satisfied import satisfied
from arithmos.targets.zk.statement import statement
from arithmos.targets.zk.system import Block, Label
from arithmos.targets.zk.versioned import MAP_FILE, read_versioned
from arithmos.targets.zk.wtns import WtnsWriter, read_wtns
from targets.zk.conftest import Written, image

EDGES = [
    0,
    1,
    -1,
    5,
    -5,
    (1 << 62) - 1,
    -(1 << 62),
    (1 << 63) - 1,
    -(1 << 63),
    -4891460686036598785,
    -4891460686036598786,
]


def test_elements_are_least_residues_and_come_back() -> None:
    found = limbs(np.array(EDGES, dtype=np.int64))
    assert [integer(row) for row in found] == [v % MODULUS for v in EDGES]
    values, small = signed(found)
    assert small.all() and values.tolist() == EDGES
    large = np.array([[0, 0, 0, 1], [1 << 63, 0, 0, 0], [5, 6, 7, 8]], dtype=np.uint64)
    assert not signed(large)[1].any()


def row(constant: int, *terms: tuple[int, int]) -> Combination:
    wires, coefficients = (np.array(column, dtype=np.int64) for column in zip(*terms, strict=True))
    return Combination(np.array([constant]), np.array([0, len(terms)]), wires, coefficients)


def test_an_r1cs_byte_for_byte(tmp_path: Path) -> None:
    path = tmp_path / "c.r1cs"
    writer = R1csWriter(path, Header(4, 1, 0, 2, 0))
    # (2 w3 + w2) * (w1 - 1) = 7, given out of order and with a wire twice
    writer.add(Block(Label(), row(0, (3, 1), (2, 1), (3, 1)), row(-1, (1, 1)), constants(np.array([7]))))
    writer.close()
    prime = MODULUS.to_bytes(32, "little")

    def term(wire: int, value: int) -> bytes:
        return struct.pack("<I", wire) + (value % MODULUS).to_bytes(32, "little")

    header = struct.pack("<I32sIIIIQI", 32, prime, 4, 1, 0, 2, 4, 1)
    sides = [[(2, 1), (3, 2)], [(0, -1), (1, 1)], [(0, 7)]]
    body = b"".join(struct.pack("<I", len(side)) + b"".join(term(*t) for t in side) for side in sides)
    labels = struct.pack("<4Q", 0, 1, 2, 3)
    expected = b"r1cs" + struct.pack("<II", 1, 3)
    for kind, data in ((1, header), (2, body), (3, labels)):
        expected += struct.pack("<IQ", kind, len(data)) + data
    assert path.read_bytes() == expected


def test_a_wtns_byte_for_byte(tmp_path: Path) -> None:
    path = tmp_path / "w.wtns"
    writer = WtnsWriter(path, 3)
    writer.add(np.array([5, -2]))
    writer.close()
    prime = MODULUS.to_bytes(32, "little")
    header = struct.pack("<I32sI", 32, prime, 3)
    body = b"".join(v.to_bytes(32, "little") for v in (1, 5, MODULUS - 2))
    expected = b"wtns" + struct.pack("<II", 2, 2)
    for kind, data in ((1, header), (2, body)):
        expected += struct.pack("<IQ", kind, len(data)) + data
    assert path.read_bytes() == expected


def test_the_honest_witness_satisfies(written: Written) -> None:
    witness = read_wtns(written.folder / "witness.wtns")
    assert satisfied(read_parts(written.folder / "circuit.r1cs"), witness, written.circuit.n_wires) is None


@pytest.mark.parametrize("kind", ["bit", "negated", "large"])
def test_every_changed_wire_breaks_a_constraint(written: Written, kind: str) -> None:
    """Every wire in turn; the failure is named by layer, gadget and element."""
    witness = read_wtns(written.folder / "witness.wtns")
    parts = list(read_parts(written.folder / "circuit.r1cs"))
    map_ = read_versioned(written.folder / MAP_FILE)
    rng = np.random.default_rng(0)
    for wire in range(1, written.circuit.n_wires) if kind == "bit" else rng.integers(1, written.circuit.n_wires, 60):
        changed = witness.copy()
        if kind == "bit":
            changed[wire, 0] ^= np.uint64(1)
        elif kind == "large":
            changed[wire] = limbs(np.array([3]))[0] + np.array([0, 1, 2, 3], dtype=np.uint64)
        else:
            negative = (-integer(witness[wire]) - 1) % MODULUS
            changed[wire] = [(negative >> (64 * i)) & ((1 << 64) - 1) for i in range(4)]
        failure = satisfied(parts, changed, written.circuit.n_wires)
        unread = not any((side.wires == wire).any() for part in parts for side in part.sides)
        assert (failure is None) == unread, wire
        assert failure is None or named(map_, failure.constraint).count(", ") >= 3


@pytest.mark.parametrize("place", range(0, 48, 7))
def test_a_changed_weight_is_another_circuit(written: Written, place: int) -> None:
    """The honest witness does not satisfy the circuit of a network with one weight changed by one."""
    net = written.net
    weights = net.constants["fc"].copy()
    weights.reshape(-1)[place] += 1 if weights.reshape(-1)[place] < 15 else -1
    moved = statement(net)
    value = replace(moved.values["fc"], range=interval_of(weights))
    constants_ = {**moved.constants, "fc": weights}
    changed = replace(moved, constants=constants_, values={**moved.values, "fc": value})
    blocks: list[Block] = []
    circuit = planned(changed, ("input", "output"))
    constrain(circuit, blocks.append)
    firsts = np.cumsum([0, *(len(block.a) for block in blocks)])
    parts = [part_of(int(first), block) for first, block in zip(firsts[:-1], blocks, strict=True)]
    witness = read_wtns(written.folder / "witness.wtns")
    failure = satisfied(parts, witness, circuit.n_wires)
    activation = ar.run(net, image(), every=True)["flat"].reshape(-1)[place % 12]
    assert (failure is not None) == (activation != 0)


def test_pixels_that_no_window_reads_are_the_only_free_wires(written: Written) -> None:
    """All pixels of the image are read by some window here: nothing is free."""
    read = {int(w) for part in read_parts(written.folder / "circuit.r1cs") for side in part.sides for w in side.wires}
    assert read == set(range(written.circuit.n_wires))


def test_names(written: Written) -> None:
    map_ = read_versioned(written.folder / MAP_FILE)
    first, n, value, gadget, per, _ = map_["constraints"][-1]
    assert named(map_, first) == f"logits, output, element (0, 0), constraint {first}"
    assert (value, gadget, per, n) == ("logits", "output", 1, 4)


def damaged(path: Path, name: str, cut: slice | None = None, **words: bytes) -> Path:
    data = bytearray(path.read_bytes())
    for place, new in words.items():
        at = int(place[2:])
        data[at : at + len(new)] = new
    (made := path.parent / name).write_bytes(bytes(data[cut] if cut else data))
    return made


@pytest.mark.parametrize(
    ("cut", "words", "why"),
    [
        (None, {"at0": b"r2cs"}, "it does not begin with 'r1cs'"),
        (None, {"at4": b"\x02"}, "it has version 2, this reads 1"),
        (None, {"at28": b"\x02"}, "it is over another field than bn254"),
        (slice(0, 5000), {}, "it is cut short"),
        (slice(0, 0), {}, "it does not begin with 'r1cs'"),
        (None, {"at84": b"\x93"}, "its constraints are not as long as it says"),
        (None, {"at100": b"\xff\xff\xff"}, "it ends before its last constraint"),
        (None, {"at104": b"\xff\xff"}, "a constraint names wire 65535, there are 649"),
    ],
)
def test_damaged_circuits(
    written: Written, tmp_path: Path, cut: slice | None, words: dict[str, bytes], why: str
) -> None:
    (tmp_path / "circuit.r1cs").write_bytes((written.folder / "circuit.r1cs").read_bytes())
    path = damaged(tmp_path / "circuit.r1cs", "bad.r1cs", cut, **words)
    with pytest.raises(UsageError) as caught:
        list(read_parts(path))
    assert str(caught.value) == f"bad.r1cs cannot be read\n  at   {path}\n  why  {why}\n  fix  write it again"


def test_a_witness_of_another_circuit(written: Written) -> None:
    witness = read_wtns(written.folder / "witness.wtns")
    parts = list(read_parts(written.folder / "circuit.r1cs"))
    n = read_header(written.folder / "circuit.r1cs").n_wires
    with pytest.raises(UsageError) as caught:
        satisfied(parts, witness[:-1], n)
    assert str(caught.value) == (
        "this witness is not one of this circuit\n"
        f"  why  it holds {n - 1} wires, the circuit has {n}\n"
        "  fix  give the .wtns and the .r1cs that were written together"
    )
    for wire, element, why in (
        (0, [2, 0, 0, 0], "wire 0 is 2, it must be 1"),
        (5, [0, 0, 0, 1 << 63], "wire 5 is not an element of bn254's field"),
    ):
        changed = witness.copy()
        changed[wire] = np.array(element, dtype=np.uint64)
        with pytest.raises(UsageError) as caught:
            satisfied(parts, changed, n)
        assert caught.value.why == why
