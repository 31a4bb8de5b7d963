"""The polynomial op: its formula, its shapes and attributes, what the checker refuses, and levels."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

import samples
from arithmos.errors import UnsupportedNetwork
from arithmos.ir.build import Builder
from arithmos.ir.check import check, problems_of
from arithmos.ir.codec import decode, digest, encode, load, save
from arithmos.ir.graph import Graph
from arithmos.ir.interpret import evaluate
from arithmos.ir.ops import FLOAT, INT, POLY
from arithmos.ir.ops.polynomial import OPS, degree, levels, multiplications

EXAMPLES = OPS["polynomial"].examples


def net(*stages: list[float], **attrs: object) -> Graph:
    b = Builder("poly")
    x = b.input("x", (-1, 3))
    names = [b.constant(f"stage{i}", np.array(stage)) for i, stage in enumerate(stages, 1)]
    return b.graph(
        b.add("polynomial", x, *names, name="y", **{"bound": 2.0, "form": "relu", "offset": 0.0, "gain": 1.0, **attrs})
    )


def test_the_op_set() -> None:
    """Additions and multiplications; all rows but one are those of float graphs."""
    assert {name: row for name, row in POLY.items() if name != "polynomial"}.items() <= FLOAT.items()
    assert "polynomial" not in FLOAT and "polynomial" not in INT and "relu" not in POLY


@pytest.mark.parametrize("number", range(len(EXAMPLES)))
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_shapes_types_and_the_file_form(number: int, dtype: type) -> None:
    example = EXAMPLES[number]
    graph = samples.example_graph("polynomial", example, seed=number, op_set="poly")
    check(graph)
    again = decode(encode(graph), graph.constants)
    assert digest(again) == digest(graph)
    for n in (1, 3):
        x = np.random.default_rng(4).uniform(-5, 5, samples.with_batch(example.operands[0].shape, n)).astype(dtype)
        y = evaluate(graph, {"x0": x}, dtype=dtype)["y"]
        assert y.shape == x.shape and y.dtype == dtype


def test_the_formula() -> None:
    """T_1 = y, T_2 = 2y^2 - 1, T_3 = 4y^3 - 3y; the second stage reads the first."""
    x = np.array([[-1.5, 0.25, 2.0]])
    y = x / 2
    first = 0.5 * y + 0.25 * (4 * y**3 - 3 * y)
    relu = evaluate(net([0, 0.5, 0, 0.25], [0, 1.0], offset=0.125), {"x": x}, dtype=np.float64)["y"]
    assert np.allclose(relu, x * (1 + first) / 2 + 0.125 * 2, rtol=1e-15)
    value = evaluate(net([1, 0, 2], form="value", gain=3.0, offset=-1.0), {"x": x}, dtype=np.float64)["y"]
    assert np.allclose(value, 3 * (1 + 2 * (2 * y**2 - 1)) - 1, rtol=1e-15)
    plain = evaluate(net([0.5, 0, 0.5], form="value", bound=None), {"x": 10 * x}, dtype=np.float64)["y"]
    assert np.allclose(plain, (10 * x) ** 2)


def test_coefficients_keep_their_precision_in_float32() -> None:
    """The result is that of float64, rounded once."""
    stage = [0.0, 1 / 3, 0.0, 1e-9]
    x = np.linspace(-2, 2, 999).reshape(-1, 3)
    x32 = x.astype(np.float32)
    exact = evaluate(net(stage), {"x": x32}, dtype=np.float64)["y"]
    assert np.array_equal(evaluate(net(stage), {"x": x32})["y"], exact.astype(np.float32))


@pytest.mark.parametrize(
    ("attrs", "why"),
    [
        ({"bound": 0.0}, "the bound must be positive, got 0.0"),
        ({"bound": float("nan")}, "the bound must be positive, got nan"),
        ({"bound": None}, "the form relu needs a bound"),
        ({"form": "sign"}, "there are the forms relu and value, not 'sign'"),
        ({"gain": float("inf")}, "offset 0.0 and scale inf must be finite"),
    ],
)
def test_attributes_that_make_no_polynomial(attrs: dict, why: str) -> None:
    with pytest.raises(UnsupportedNetwork) as caught:
        net([0.0, 1.0], **attrs)
    assert caught.value.why == why.replace("scale", "gain")


def test_the_checker_looks_at_the_coefficients() -> None:
    graph = net([0.0, 1.0], [0.0, float("nan")])
    assert problems_of(graph) == ["'y': stage 2 holds coefficients that are no finite real numbers"]
    b = Builder("poly")
    x, c = b.input("x", (-1, 3)), b.input("c", (4,))
    computed = b.graph(b.add("polynomial", x, c, name="y", bound=1.0, form="relu", offset=0.0, gain=1.0))
    assert problems_of(computed) == ["'y': stage 1 is not a constant"]
    node = dataclasses.replace(graph.nodes[0], inputs=("x",))
    assert "'y': a polynomial needs at least one stage" in problems_of(dataclasses.replace(graph, nodes=(node,)))


def test_a_bundle_keeps_every_bit(tmp_path) -> None:  # type: ignore[no-untyped-def]
    graph = net([0.0, 1 / 3], [0.0, 0.1, 0.0, 1e-300], bound=1 / 7, offset=2**-60)
    save(graph, tmp_path / "net", golden=np.full((1, 3), 0.125, dtype=np.float32))
    again = load(tmp_path / "net")
    assert digest(again) == digest(graph) and again.op_set == "poly"
    assert again.constants["stage2"].dtype == np.float64 and again.nodes[0].attrs["bound"] == 1 / 7


def test_levels_and_multiplications() -> None:
    assert [levels([d]) for d in (1, 2, 3, 5, 7, 13, 15, 27, 31)] == [1, 2, 2, 3, 3, 4, 4, 5, 5]
    assert levels((7, 15, 27)) == 12 and multiplications((7, 15, 27)) == 23
    assert multiplications((15, 27, 29)) == 29 and multiplications((2,)) == 1 and multiplications((33,)) == 12
    assert degree(np.array([0.0, 1.0, 0.0, 2.0, 0.0])) == 3 and degree(np.zeros(3)) == 0
