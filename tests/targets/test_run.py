"""run: every form of an input, and what is no graph, no input, no target or no type, in words."""

from __future__ import annotations

import numpy as np
import pytest

import factories
from arithmos.errors import UsageError
from arithmos.ir.build import Builder
from arithmos.ir.graph import Graph
from arithmos.ir.interval import signed
from arithmos.targets.run import run
from arithmos.targets.target import find, write


def two_inputs() -> Graph:
    b = Builder("int")
    return b.graph(b.add("add", b.input("a", (-1, 2), signed(8)), b.input("b", (-1, 2), signed(8)), name="sum"))


def floats() -> Graph:
    b = Builder("float")
    x = b.input("x", (-1, 2))
    return b.graph(b.add("mul", x, x, name="square"))


A, B = np.array([[1, 2], [3, 4]]), np.array([[5, 6], [7, 8]])


@pytest.mark.parametrize("given", [(A, B), [A, B], {"a": A, "b": B}, (A.tolist(), B.tolist())], ids=str)
def test_several_inputs_come_in_order_or_by_name(given: object) -> None:
    assert np.array_equal(run(two_inputs(), given), A + B)


def test_one_input_may_stand_in_a_tuple() -> None:
    x = np.array([[1.0, 2.0]])
    for given in (x, (x,), [x], x.tolist(), {"x": x}):
        assert run(floats(), given).tolist() == [[1.0, 4.0]]


@pytest.mark.parametrize("dtype", ["bfloat16", "float16", "float8_e4m3fn"])
def test_narrow_tensors_are_widened(dtype: str) -> None:
    torch = pytest.importorskip("torch", reason="pip install 'arithmos[torch]'")
    x = torch.tensor([[0.5, -1.5]]).to(getattr(torch, dtype)).requires_grad_(dtype != "float8_e4m3fn")
    assert run(floats(), x).tolist() == [[0.25, 2.25]]
    assert run(floats(), np.array([[0.5, -1.5]], dtype=np.float16)).tolist() == [[0.25, 2.25]]


def refusal(graph: object, given: object, **options: object) -> str:
    with pytest.raises(UsageError) as caught:
        run(graph, given, **options)  # type: ignore[call-overload]
    return str(caught.value)


@pytest.mark.parametrize("given", [A, (A,), (A, B, A)], ids=["array", "one", "three"])
def test_another_number_of_inputs(given: object) -> None:
    n = len(given) if isinstance(given, tuple) else 1
    assert refusal(two_inputs(), given) == (
        f"the network has 2 inputs, {n} {'array was' if n == 1 else 'arrays were'} given\n"
        "  why  its inputs are a, b\n"
        "  fix  give a tuple of arrays in this order, or a dictionary {name: array}"
    )


@pytest.mark.parametrize(
    ("given", "why"),
    [
        (np.array([[1j, 2]]), "input 'x': holds complex128, not numbers"),
        (np.array([[None, 2]]), "input 'x': holds object, not numbers"),
        (None, "input 'x': holds object, not numbers"),
        (np.zeros((0, 2)), "input 'x': has shape (0, 2) and holds no sample, the network takes (N, 2)"),
    ],
)
def test_what_holds_no_numbers(given: object, why: str) -> None:
    assert f"  why  {why}\n" in refusal(floats(), given)


def test_what_is_no_array() -> None:
    assert refusal(floats(), [[1.0, 2.0], [3.0]]).startswith(
        "an input of type list is no array\n  why  setting an array element with a sequence."
    )
    torch = pytest.importorskip("torch", reason="pip install 'arithmos[torch]'")
    assert refusal(floats(), torch.zeros(1, 2).to_sparse()) == (
        "an input of type Tensor is no array\n"
        "  why  can't convert Sparse layout tensor to numpy. Use Tensor.to_dense() first.\n"
        "  fix  give a numpy array, a torch tensor, or lists of numbers of equal length"
    )


def test_what_is_no_graph() -> None:
    assert refusal("out/net", A) == (
        "a graph is needed, this is of type str\n"
        "  why  networks are computed as graphs, which ar.trace makes of a module and ar.load reads from a bundle\n"
        "  fix  give ar.trace(module, example), ar.quantize(…) of it, or ar.load(path)"
    )


@pytest.mark.parametrize("dtype", ["float99", "float16", int, [1]])
def test_types_a_float_graph_is_not_run_in(dtype: object) -> None:
    assert refusal(floats(), A, dtype=dtype) == (
        f"a float graph cannot be run in '{dtype}'\n"
        "  why  it is evaluated in float32 or float64\n"
        "  fix  give dtype=np.float32 or dtype=np.float64"
    )
    assert run(floats(), A, dtype="float64").dtype == np.float64


def test_what_overflows_is_infinite_without_a_warning() -> None:
    assert run(floats(), np.array([[1e30, 1e300]])).tolist() == [[np.inf, np.inf]]


@pytest.mark.parametrize("target", [7, ["engine"], "engin"])
def test_what_is_no_target(target: object) -> None:
    text = refusal(two_inputs(), (A, B), target=target)
    assert text.startswith(f"there is no target '{target}'\n  why  the targets are interpreter, engine, onnx, c")


def test_an_option_that_a_target_has_not(tmp_path: object) -> None:
    with pytest.raises(UsageError) as caught:
        write(factories.residual_cnn(), find("c"), tmp_path, bogus=1)  # type: ignore[arg-type]
    assert str(caught.value) == (
        "target 'c' has no option bogus\n"
        "  why  its options are name, trace, golden\n"
        "  fix  leave it out, or choose one of them"
    )
