"""verify: equal runners pass, wrong ones are named, missing ones are never counted as equal."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

import numpy as np
import pytest

import factories
from arithmos.errors import MissingTool, UsageError
from arithmos.evidence import verify as module
from arithmos.evidence.verify import verify
from arithmos.ir.build import Builder
from arithmos.ir.graph import Graph
from arithmos.ir.interpret import evaluate
from arithmos.ir.interval import unsigned
from arithmos.ir.ops import INT
from arithmos.targets.target import Runner, Target, find, names

SMALL = {"uniform": 3, "corners": 6, "ties": 3}


def install(monkeypatch: pytest.MonkeyPatch, *targets: Target) -> None:
    """Make targets known by their names, beside the real ones."""
    table = {target.name: target for target in targets}
    monkeypatch.setattr(module, "find", lambda name: table.get(name) or find(name))


def changed(wrong: Callable[[dict[str, np.ndarray]], None], *, on: tuple[bool, ...] = (True, False)) -> Target:
    """The interpreter, with its results changed on the every-value path, on the other one, or on both."""

    def prepare(graph: Graph, every: bool) -> Runner:
        def run(inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
            values = {name: array.copy() for name, array in evaluate(graph, inputs, every=every).items()}
            if every in on:
                wrong(values)
            return values

        return run

    return Target("wrong", "a runner with a defect", INT, prepare)


@pytest.mark.parametrize("name", ["residual_cnn", "attention", "inception", "folded_batch", "embedding"])
def test_engine_and_onnx_are_equal(name: str) -> None:
    pytest.importorskip("onnxruntime", reason='pip install "arithmos[onnx]"')
    graph = factories.INTEGER[name]()
    check = verify(graph, targets=("engine", "onnx"), **SMALL)
    assert check.ok, str(check)
    assert check.first_difference is None
    shown = [row for row in check.rows if row.path == "every value"]
    assert [row.values for row in shown] == [len(graph.inputs) + len(graph.nodes)] * 2


def test_given_images_are_verified_too() -> None:
    graph = factories.residual_cnn()
    images = np.random.default_rng(0).uniform(0, 1, (5, 3, 12, 12)).astype(np.float32)
    check = verify(graph, images, targets=("engine",), **SMALL)
    assert check.samples == {"given": 5, "uniform": 3, "corners": 6, "ties": 3}
    assert {row.samples for row in check.rows} == {17}


def test_the_first_difference_of_all_batches_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    graph = factories.residual_cnn()

    def wrong(values: dict[str, np.ndarray]) -> None:
        values["logits"][0, 9] += 1
        if "block1.relu2" in values and (values["image"] == 255).all():
            values["block1.relu2"][0, 1, 2, 3] ^= 1

    install(monkeypatch, changed(wrong))
    check = verify(graph, targets=("wrong", "engine"), batch_bytes=1, **SMALL)
    assert not check.ok
    assert check.first_difference is not None
    expected = check.first_difference.expected
    assert isinstance(expected, int)
    # Sample 4 of the corpus is the corner at which every pixel has its highest value.
    assert str(check.first_difference) == f"block1.relu2[4, 1, 2, 3]: expected {expected}, got {expected ^ 1}"
    by_row = {(row.target, row.path): row for row in check.rows}
    assert by_row["wrong", "every value"].different_elements == 13
    assert by_row["wrong", "outputs"].first is not None
    assert by_row["wrong", "outputs"].first.value == "logits"
    assert by_row["engine", "every value"].result == "equal"


def test_a_defect_of_the_outputs_path_alone_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    def wrong(values: dict[str, np.ndarray]) -> None:
        values["logits"][-1, 0] -= 1

    install(monkeypatch, changed(wrong, on=(False,)))
    check = verify(factories.residual_cnn(), targets=("wrong",), **SMALL)
    assert [row.result for row in check.rows] == ["equal", "different"]
    assert not check.ok


def half_even(graph: Graph, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """A network of one convolution and one rounding, run with ties to even instead of up."""
    values = evaluate(graph, inputs, every=True)
    node = graph.nodes[-1]
    scaled = values["acc"] * graph.constants[node.inputs[1]].astype(np.int64) / 2.0 ** node.attrs["shift"]
    return values | {node.output: np.clip(np.round(scaled), node.attrs["lo"], node.attrs["hi"]).astype(np.int64)}


def test_another_rule_for_ties_is_noticed_because_ties_are_searched_for(monkeypatch: pytest.MonkeyPatch) -> None:
    b = Builder("int")
    weight = factories.int8_weight(np.random.default_rng(2), 2, 3, 3, 3)
    acc = factories.conv(b, b.input("x", (-1, 3, 8, 8), unsigned(8)), weight, name="acc")
    # 5 * 2**6 / 2**18: ties are the odd multiples of 2**11, and only every other one is rounded differently.
    graph = b.graph(b.add("requantize", acc, factories.number(b, 320), shift=18, lo=-100, hi=100, name="y"))
    install(monkeypatch, Target("wrong", "", INT, lambda g, every: lambda inputs: half_even(g, inputs)))
    assert verify(graph, targets=("wrong",), uniform=4, corners=6, ties=0).ok
    assert not verify(graph, targets=("wrong",), uniform=4, corners=6, ties=4).ok


def test_nothing_compared_is_not_equal() -> None:
    check = verify(factories.gelu_table(), targets=("engine",), uniform=0, corners=0, ties=0)
    assert [row.result for row in check.rows] == ["empty", "empty"]
    assert not check.ok
    assert "engine, every value: no element was compared" in str(check).splitlines()


def test_a_network_without_elements_is_not_equal() -> None:
    b = Builder("int")
    graph = b.graph(b.add("clip", b.input("x", (-1, 0, 3), unsigned(8)), lo=0, hi=None, name="y"))
    assert not verify(graph, targets=("interpreter",), **SMALL).ok


def test_a_runner_must_show_every_value(monkeypatch: pytest.MonkeyPatch) -> None:
    def lazy(graph: Graph, every: bool) -> Runner:
        return lambda inputs: {name: evaluate(graph, inputs)[name] for name in graph.outputs}

    def idle(graph: Graph, every: bool) -> Runner:
        return lambda inputs: {name: evaluate(graph, inputs, every=True)[name] for name in graph.inputs}

    graph = factories.residual_cnn()
    install(monkeypatch, Target("lazy", "", INT, lazy), Target("idle", "", INT, idle))
    check = verify(graph, targets=("lazy",), **SMALL)
    assert [row.result for row in check.rows] == ["incomplete", "equal"]
    assert not check.ok
    names = ", ".join([*graph.inputs, *(node.output for node in graph.nodes)][:5])
    assert f"lazy, every value: does not show {names} and 17 more" in str(check).splitlines()
    assert [row.result for row in verify(graph, targets=("idle",), **SMALL).rows] == ["incomplete", "incomplete"]


def test_a_runner_that_gives_floats_differs(monkeypatch: pytest.MonkeyPatch) -> None:
    def floats(graph: Graph, every: bool) -> Runner:
        return lambda inputs: {n: a.astype(np.float64) for n, a in evaluate(graph, inputs, every=every).items()}

    install(monkeypatch, Target("floats", "", INT, floats))
    check = verify(factories.gelu_table(), targets=("floats",), **SMALL)
    assert [row.result for row in check.rows] == ["different", "different"]
    assert "expected integers, got an array of float64" in str(check.first_difference)


def no_tool(graph: Graph, every: bool) -> Runner:
    raise MissingTool("this needs sometool", why="sometool is not installed", fix='pip install "arithmos[some]"')


def test_what_cannot_run_is_skipped_with_its_reason_and_is_never_equal(monkeypatch: pytest.MonkeyPatch) -> None:
    narrow = replace(changed(lambda values: None), name="narrow", ops={"conv"})
    install(monkeypatch, Target("absent", "", INT, no_tool), narrow)
    graph = factories.gelu_table()
    check = verify(graph, targets=("absent", "narrow"), **SMALL)
    assert not check.ok
    assert check.skipped == ("absent", "narrow")
    assert check.first_difference is None
    mixed = verify(graph, targets=("absent", "engine"), **SMALL)
    assert mixed.ok
    assert mixed.skipped == ("absent",)
    # Seconds differ from run to run: they are blanked before the text is compared.
    steady = replace(mixed, rows=tuple(replace(row, wall_s=0.0) for row in mixed.rows))
    assert str(steady) == (
        "target  path         values  elements  samples  seconds  result\n"
        "absent  every value                                      skipped\n"
        "absent  outputs                                          skipped\n"
        "engine  every value     3/3       252       12     0.00  equal\n"
        "engine  outputs         1/1        84       12     0.00  equal\n"
        'absent was not compared: sometool is not installed: pip install "arithmos[some]"\n'
        "samples: 3 uniform, 6 corners, 3 ties; "
        f"{mixed.ties} roundings were exact ties"
    )
    reason = "\n".join(line for line in str(check).splitlines() if line.startswith("narrow was"))
    assert reason.startswith("narrow was not compared: narrow: 'narrow' has no 'requantize'")


def test_a_float_graph_is_refused() -> None:
    with pytest.raises(UsageError, match="only an integer graph can be verified"):
        verify(factories.float_cnn())


def test_inputs_that_do_not_fit_are_refused() -> None:
    with pytest.raises(UsageError, match="the network cannot take these inputs"):
        verify(factories.residual_cnn(), np.full((1, 3, 12, 12), 256), targets=("engine",))


def test_one_target_needs_no_list_and_none_is_refused() -> None:
    graph = factories.residual_cnn()
    assert [row.target for row in verify(graph, targets="engine", **SMALL).rows] == ["engine", "engine"]
    assert [row.target for row in verify(graph, targets=["engine"] * 2, **SMALL).rows] == ["engine", "engine"]
    assert verify_refusal(graph, targets=[]) == (
        "there is nothing to compare the interpreter with\n"
        "  why  no target is named\n"
        f"  fix  name some of {', '.join(names())}"
    )


def verify_refusal(graph: object, **options: object) -> str:
    with pytest.raises(UsageError) as caught:
        verify(graph, **options)  # type: ignore[arg-type]
    return str(caught.value)


def test_what_cannot_be_verified() -> None:
    graph = factories.residual_cnn()
    assert verify_refusal("net").startswith("a graph is needed, this is of type str\n")
    assert verify_refusal(factories.float_cnn()).startswith("only an integer graph can be verified\n")
    assert verify_refusal(graph, corners=-1, seed=-2) == (
        "corners=-1, seed=-2 cannot be\n  why  samples are counted from 0, and so are seeds\n  fix  give 0 or more"
    )
