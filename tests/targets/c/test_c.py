"""The generated C gives the interpreter's integers: every op, every network, the extremes, fused and traced."""

from __future__ import annotations

import threading

import numpy as np
import pytest

import arithmos.targets.c as c
from arithmos import native
from arithmos.errors import UnsupportedNetwork
from arithmos.ir.build import Builder
from arithmos.ir.codec import random_inputs
from arithmos.ir.graph import Graph
from arithmos.ir.interpret import evaluate
from arithmos.ir.interval import signed
from arithmos.ir.ops import INT
from arithmos.targets.c.emission import STACK_LIMIT
from arithmos.targets.c.program import compiled
from arithmos.targets.c.runner import prepare
from arithmos.targets.c.sample import batches
from arithmos.targets.c.source import source
from arithmos.targets.target import preflight
from factories import INTEGER, conv, int8_weight
from samples import all_inputs

pytestmark = pytest.mark.skipif(
    not native.available(), reason="no C compiler: apt-get install gcc libc6-dev (or set ARITHMOS_CC)"
)

QUICK = ("-std=c99", "-O1")


def assert_equal(got: dict[str, np.ndarray], want: dict[str, np.ndarray]) -> None:
    assert list(got) == list(want)
    for name, array in want.items():
        np.testing.assert_array_equal(got[name], array, err_msg=name, strict=False)
        assert got[name].shape == array.shape, name


def test_every_int_op_has_an_emitter() -> None:
    assert set(c.TARGET.ops) == set(INT)


@pytest.mark.parametrize("every", [False, True])
def test_everything_equals_the_interpreter(everything: Graph, every: bool) -> None:
    preflight(everything, c.TARGET)
    run = prepare(everything, every, flags=QUICK)
    for x in all_inputs(everything, 3):
        assert_equal(run(x), evaluate(everything, x, every=every))


@pytest.mark.parametrize("every", [False, True])
def test_the_default_flags_change_no_integer(every: bool) -> None:
    graph = INTEGER["residual_cnn"]()
    run = c.TARGET.prepare(graph, every)
    for x in all_inputs(graph, 5):
        assert_equal(run(x), evaluate(graph, x, every=every))


@pytest.mark.parametrize("op", ["sum_pool", "max_pool"])
def test_pools_that_leave_their_input_are_right_with_every_vectoriser(op: str) -> None:
    # gcc 12 -O3 -mavx2 gives wrong sums for this window if its places are skipped by a test inside the loops.
    b = Builder("int")
    x = b.input("x", (-1, 4, 4, 2), signed(16))
    mixed = conv(b, x, int8_weight(np.random.default_rng(30), 6, 4, 1, 1), name="mixed")
    b.add(op, mixed, kernel=(2, 3), stride=(1, 2), padding=((0, 1), (1, 1)), name="pool")
    conv(b, "pool", int8_weight(np.random.default_rng(31), 4, 6, 1, 1), name="sums")
    graph = b.graph("sums")
    text = source(compiled(graph))
    assert "ky < end_y" in text and "continue" not in text
    run = c.TARGET.prepare(graph, False)
    for inputs in all_inputs(graph, 5):
        assert_equal(run(inputs), evaluate(graph, inputs))


@pytest.mark.slow
@pytest.mark.parametrize("every", [False, True])
def test_resnet20_equals_the_interpreter(resnet20: Graph, every: bool) -> None:
    x = random_inputs(resnet20, 2)
    assert_equal(c.TARGET.prepare(resnet20, every)(x), evaluate(resnet20, x, every=every))


def test_threads_that_share_a_runner_do_not_disturb_each_other() -> None:
    graph = INTEGER["residual_cnn"]()
    run = c.TARGET.prepare(graph, False)
    inputs = [random_inputs(graph, 40, seed=seed) for seed in range(4)]
    results: dict[int, np.ndarray] = {}
    threads = [
        threading.Thread(target=lambda i=i: results.update({i: run(inputs[i])["logits"]})) for i in range(len(inputs))
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for i, x in enumerate(inputs):
        np.testing.assert_array_equal(results[i], evaluate(graph, x)["logits"])


def test_samples_that_are_mixed_are_refused_with_the_node() -> None:
    b = Builder("int")
    x = b.input("x", (-1, 3, 4), signed(8))
    turned = b.add("transpose", x, perm=(1, 0, 2), name="turned")
    mixed = b.add("reshape", turned, shape=(-1, 12), name="mixed")
    merged = b.add("reshape", turned, shape=(-3, 4), name="merged")
    apart = b.add("reshape", x, shape=(-3, 4), name="apart")
    sums = b.add("add", merged, apart, name="sums")
    with pytest.raises(UnsupportedNetwork) as caught:
        preflight(b.graph(mixed, sums), c.TARGET)
    assert str(caught.value) == (
        "target 'c' cannot run 2 of 5 nodes\n"
        "  why  mixed: it mixes the samples of a batch, and the C program computes one sample at a time\n"
        "       sums: it mixes the samples of a batch, and the C program computes one sample at a time\n"
        "  fix  choose another target, or quantize the network so that these nodes do not arise"
    )


def test_values_without_elements_are_refused_with_the_node() -> None:
    b = Builder("int")
    x = b.input("x", (-1, 0), signed(8))
    b.add("linear", x, b.constant("w", np.zeros((3, 0), dtype=np.int64)), name="sums")
    with pytest.raises(UnsupportedNetwork) as caught:
        preflight(b.graph("sums"), c.TARGET)
    assert "sums: x has no elements, and C has no arrays without any" in str(caught.value)


def test_the_batch_is_followed_through_transposes_and_reshapes() -> None:
    b = Builder("int")
    x = b.input("x", (-1, 3, 4), signed(8))
    turned = b.add("transpose", x, perm=(1, 0, 2), name="turned")
    merged = b.add("reshape", turned, shape=(-3, 4), name="merged")
    places = batches(b.graph(merged)).places
    assert [(p.axis, p.outer, p.inner) for p in (places["x"], places["turned"], places["merged"]) if p] == [
        (0, 1, 1),
        (1, 1, 1),
        (0, 3, 1),
    ]


def test_a_chain_becomes_one_loop_and_a_traced_program_one_function_a_node() -> None:
    graph = INTEGER["residual_cnn"]()
    fused, traced = compiled(graph), compiled(graph, trace=True)
    assert len(fused.functions) == 9 and len(traced.functions) == len(graph.nodes) - 1  # the reshape needs no code
    join = fused.functions["block1.relu2"].step
    assert [node.op for node in join.nodes] == ["conv", "mul", "mul", "add", "requantize"]
    assert traced.memory.arena_bytes > fused.memory.arena_bytes


def test_large_arrays_are_not_on_the_stack(everything: Graph) -> None:
    made = compiled(everything)
    assert made.stack_bytes <= 2 * STACK_LIMIT < made.scratch_bytes + STACK_LIMIT
    # Columns of 4201 and 1100 sums of 4 positions: the larger of the two, not both.
    assert made.scratch_bytes == max(4 * 1100 * 4, 4 * 4224)


def test_types_are_the_narrowest_the_ranges_allow() -> None:
    text = source(compiled(INTEGER["residual_cnn"]()))
    # 2**18 * 2**12 + 2**23 fits 31 bits, so not even the requantize needs 64.
    assert "int64_t" not in text
    assert "uint16_t acc[16];" in text  # the sum of 36 numbers up to 85
    b = Builder("int")
    x = b.input("x", (-1, 4), signed(20))
    y = b.add("linear", x, b.constant("w", np.full((2, 4), 3000)), name="sums")
    text = source(compiled(b.graph(y)))
    assert "int64_t sum0 = 0;" in text and "sum0 += (int64_t)x[k] * w[k];" in text
