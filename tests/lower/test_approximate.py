"""approximate: every method on small networks against the exact ones, and what it refuses, in words."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest

import arithmos as ar
from arithmos.approx import coefficients
from arithmos.approx.composite import Composite
from arithmos.approx.sets import sign_set
from arithmos.errors import RangeEscape, UnsupportedNetwork, UsageError
from arithmos.ir.build import Builder
from arithmos.ir.check import check
from arithmos.ir.graph import Graph
from arithmos.ir.ops import POLY
from arithmos.lower.approximate import prepared_for
from arithmos.lower.replacement import with_bounds
from arithmos.models.registry import build, entry
from arithmos.models.weights import load_weights
from arithmos.targets import clear
from arithmos.train.data.datasets import load

torch = pytest.importorskip("torch", reason='pip install "arithmos[torch]"')

NO_PADDING = ((0, 0), (0, 0))


def images(n: int = 16, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(n, 2, 8, 8)).astype(np.float32)


def network() -> Graph:
    """conv, batch norm, relu, max-pool, a residual join, relu6, leaky relu, average pool with padding, linear."""
    rng, b = np.random.default_rng(5), Builder("float")

    def constant(*shape: int, low: float = -0.5, high: float = 0.5) -> str:
        return b.constant("c", rng.uniform(low, high, shape).astype(np.float32))

    x = b.input("x", (-1, 2, 8, 8))
    attrs = {"stride": (1, 1), "padding": ((1, 1), (1, 1)), "dilation": (1, 1), "groups": 1}
    y = b.add("conv", x, constant(4, 2, 3, 3), name="conv1", **attrs)
    norm = [constant(4, low=low, high=1.5) for low in (0.5, -0.5, -0.5, 0.5)]
    y = b.add("relu", b.add("batch_norm", y, *norm, name="bn1", eps=1e-5), name="relu1")
    y = b.add("max_pool", y, name="pool", kernel=(3, 3), stride=(2, 2), padding=((1, 1), (1, 1)))
    z = b.add("conv", y, constant(4, 4, 3, 3), constant(4), name="conv2", **attrs)
    z = b.add("clip", z, name="relu6", lo=0.0, hi=0.75)
    y = b.add("leaky_relu", b.add("add", y, z, name="join"), name="leaky", slope=0.125)
    window = {"kernel": (2, 2), "stride": (2, 2), "padding": ((1, 1), (1, 1))}
    y = b.add("avg_pool", y, name="avg", count_padding=False, divisor=None, **window)
    y = b.add("reduce_mean", b.add("div", y, constant(1, low=2, high=3)), axes=(2, 3), keepdims=False)
    return b.graph(b.add("linear", y, constant(3, 4), constant(3), name="fc"))


def polynomials(net: Graph) -> dict[str, dict]:
    return {n.output: dict(n.attrs) for n in net.nodes if n.op == "polynomial"}


def activations(op: str, **attrs: object) -> Graph:
    b = Builder("float")
    return b.graph(b.add(op, b.input("x", (-1, 2, 8, 8)), name="y", **attrs))


def test_the_prepared_network_is_the_same_function() -> None:
    graph, x = network(), images()
    stats = ar.calibrate(graph, [x])
    prepared = prepared_for(graph, stats)
    check(prepared.graph)
    assert {n.op for n in prepared.graph.nodes} <= set(POLY) | {"relu"} - {"max_pool"}
    exact, same = (ar.run(g, x, dtype=np.float64) for g in (graph, prepared.graph))
    assert np.abs(exact - same).max() < 1e-5 * np.abs(exact).max()
    assert prepared.differences == {n.inputs[0] for n in prepared.graph.nodes if ".excess" in n.output}
    assert {"bn1", "join"} <= prepared.observations.keys() and len(prepared.differences) == 4


@pytest.mark.parametrize("alpha", [6, 10, 14])
def test_composites_come_near_with_alpha(alpha: int) -> None:
    graph, x = network(), images()
    net = ar.approximate(graph, ar.calibrate(graph, [x]), ar.Recipe(method="composite", alpha=alpha))
    check(net)
    assert set(net.values) >= {"relu1", "pool", "relu6", "leaky", "fc"} and net.outputs == ("fc",)
    off = np.abs(ar.run(net, x, dtype=np.float64) - ar.run(graph, x, dtype=np.float64)).max()
    assert off < 16 * 2.0**-alpha


def test_each_layer_has_its_own_interval() -> None:
    graph, x = network(), images()
    stats = ar.calibrate(graph, [x])
    found = polynomials(ar.approximate(graph, stats, ar.Recipe(margin=1.5)))
    assert found["relu1"]["bound"] == pytest.approx(1.5 * stats.observations["bn1"].magnitude, rel=1e-5)
    assert len({a["bound"] for a in found.values()}) == len(found) == 8
    everywhere = polynomials(ar.approximate(graph, stats, ar.Recipe(B_relu=50, B_max=40)))
    assert {a["bound"] for a in everywhere.values()} == {50.0, 40.0}


@pytest.mark.parametrize(
    ("method", "value"), [("square", lambda u: u * u), ("relu_aq", lambda u: u * u / 8 + u / 2 + 0.25)]
)
def test_published_quadratics_are_exact_and_unbounded(method: str, value) -> None:  # type: ignore[no-untyped-def]
    graph, x = activations("relu"), 100 * images()
    net = ar.approximate(graph, ar.calibrate(graph, [x]), ar.Recipe(method=method))
    assert polynomials(net)["y"]["bound"] is None
    assert np.allclose(ar.run(net, x, dtype=np.float64), value(x.astype(np.float64)), rtol=1e-12)
    pool = activations("max_pool", kernel=(2, 2), stride=(2, 2), padding=NO_PADDING)
    kept = ar.approximate(pool, ar.calibrate(pool, [x]), ar.Recipe(method=method))
    assert [n.op for n in kept.nodes] == ["max_pool"] and np.array_equal(ar.run(kept, x), ar.run(pool, x))


@pytest.mark.parametrize(("degree", "error"), [(2, 1 / 16), (3, 1 / 16), (4, 0.0338), (14, 0.00997)])
def test_minimax_of_a_degree(degree: int, error: float) -> None:
    """|x| is off by 0.28 / n at best (Bernstein), the ReLU by half of it; odd degrees are no better than even ones."""
    graph, x = activations("relu"), images()
    net = ar.approximate(graph, ar.calibrate(graph, [x]), ar.Recipe(method="minimax", degrees=degree))
    bound = polynomials(net)["y"]["bound"]
    dense = np.linspace(-bound, bound, 6400).reshape(50, 2, 8, 8)
    off = np.abs(ar.run(net, dense, dtype=np.float64) - np.maximum(dense, 0)).max() / bound
    assert off == pytest.approx(error, rel=0.01)


def test_fitted_is_nearer_on_the_data() -> None:
    graph, x = activations("relu"), images(64)
    stats = ar.calibrate(graph, [x])
    exact = ar.run(graph, x)
    rms = [
        float(np.sqrt(np.mean((ar.run(ar.approximate(graph, stats, recipe), x, dtype=np.float64) - exact) ** 2)))
        for recipe in (ar.Recipe(method="fitted", degrees=[15]), ar.Recipe(method="minimax", degrees=16))
    ]
    assert rms[0] < 0.8 * rms[1]


@pytest.mark.parametrize(
    ("op", "attrs"), [("gelu", {"approximate": "none"}), ("silu", {}), ("sigmoid", {}), ("tanh", {})]
)
def test_smooth_functions(op: str, attrs: dict) -> None:
    graph, x = activations(op, **attrs), images()
    stats = ar.calibrate(graph, [x])
    net = ar.approximate(graph, stats, ar.Recipe(alpha=8))
    bound = polynomials(net)["y"]["bound"]
    assert np.abs(ar.run(net, x, dtype=np.float64) - ar.run(graph, x, dtype=np.float64)).max() <= bound * 2.0**-8
    low = ar.approximate(graph, stats, ar.Recipe(method="minimax", degrees=3))
    assert len(low.constants["y.stage1"]) == 4


def test_given_coefficients_as_value_and_file(tmp_path: Path) -> None:
    graph, x = activations("relu"), images()
    stats, composite = ar.calibrate(graph, [x]), sign_set(6, offset=False)
    file = tmp_path / "mine.json"
    file.write_text(coefficients.text([composite]))
    nets = [
        ar.approximate(graph, stats, ar.Recipe(method="given", coefficients=c)) for c in (composite, file, str(file))
    ]
    own = ar.approximate(graph, stats, ar.Recipe(alpha=6))
    assert all(np.array_equal(ar.run(net, x), ar.run(own, x)) for net in nets)


def test_coefficients_of_another_type() -> None:
    graph, x = activations("relu"), images()
    with pytest.raises(UsageError) as caught:
        ar.approximate(graph, ar.calibrate(graph, [x]), ar.Recipe(method="given", coefficients=7))
    assert caught.value.what == "coefficients of type int cannot be used"


def test_coefficients_that_are_not_numbers() -> None:
    with pytest.raises(UsageError, match="the coefficient of T_1 is nan"):
        Composite((np.array([0.0, math.nan]),))


def test_an_escape_names_the_layer_and_the_bound_that_would_do() -> None:
    graph, x = network(), images()
    net = ar.approximate(graph, ar.calibrate(graph, [x]), ar.Recipe(alpha=8, margin=1.0))
    wide = images(20, seed=9) * np.where(np.arange(20) == 13, 9, 0.5).astype(np.float32).reshape(-1, 1, 1, 1)
    with pytest.raises(RangeEscape) as caught:
        ar.run(net, wide)
    error = caught.value
    assert (error.value_name, error.image) == ("bn1", 13)
    raised = with_bounds(net, {"relu1": error.enough})
    with pytest.raises(RangeEscape) as later:
        ar.run(raised, wide)
    assert later.value.value_name != "bn1"


def test_a_raised_bound_keeps_the_function() -> None:
    graph, x = activations("relu"), images()
    net = ar.approximate(graph, ar.calibrate(graph, [x]), ar.Recipe(method="minimax", degrees=16))
    attrs = polynomials(net)["y"]
    raised = with_bounds(net, {"y": 4 * attrs["bound"]})
    error = [np.abs(ar.run(n, x, dtype=np.float64) - np.maximum(x, 0)).max() for n in (net, raised)]
    assert error[1] < 4.1 * error[0]


def test_the_bound_of_a_function_that_does_not_scale_stays() -> None:
    graph, x = activations("sigmoid"), images()
    net = ar.approximate(graph, ar.calibrate(graph, [x]), ar.Recipe(alpha=8))
    with pytest.raises(UsageError) as caught:
        with_bounds(net, {"y": 2 * polynomials(net)["y"]["bound"]})
    assert caught.value.what == "the bounds of 1 polynomials cannot be raised"
    assert caught.value.fix == "approximate again with a larger --margin, or calibrate on more images"


def test_everything_without_a_polynomial_is_listed() -> None:
    b = Builder("float")
    x = b.input("x", (-1, 4))
    y = b.add("softmax", b.add("log", x, name="log"), name="softmax", axis=1)
    graph = b.graph(y, b.add("relu", x, name="relu"), b.add("tanh", x, name="tanh"))
    stats = ar.calibrate(graph, [np.random.default_rng(0).uniform(1, 2, (4, 4)).astype(np.float32)])
    with pytest.raises(UnsupportedNetwork) as caught:
        ar.approximate(graph, stats)
    assert str(caught.value) == (
        "2 nodes cannot become polynomials\n"
        "  why  log: method composite has no polynomial for 'log'\n"
        "       softmax: method composite has no polynomial for 'softmax'\n"
        "  fix  replace these layers, or approximate the part of the network without them"
    )
    with pytest.raises(UnsupportedNetwork) as caught:
        ar.approximate(graph, stats, ar.Recipe(method="square"))
    assert caught.value.what.startswith("3 nodes")


def test_constant_images() -> None:
    graph = activations("relu")
    with pytest.raises(UsageError) as caught:
        ar.approximate(graph, ar.calibrate(graph, [np.full((4, 2, 8, 8), 0.5, dtype=np.float32)]))
    assert str(caught.value) == (
        "the calibration inputs are constant\n"
        "  why  'x' is 0.5 everywhere\n"
        "  fix  calibrate on typical images; 256 training images are a good choice"
    )


def test_a_layer_that_is_always_zero() -> None:
    b = Builder("float")
    x = b.input("x", (-1, 4))
    graph = b.graph(b.add("relu", b.add("mul", x, b.constant("zero", np.zeros(4, np.float32)), name="u"), name="y"))
    stats = ar.calibrate(graph, [np.random.default_rng(0).normal(size=(4, 4)).astype(np.float32)])
    with pytest.raises(UsageError) as caught:
        ar.approximate(graph, stats)
    assert str(caught.value) == (
        "1 activations have no interval\n"
        "  why  y: every value is 0\n"
        "  fix  calibrate on typical images, or give B_relu and B_max"
    )
    assert polynomials(ar.approximate(graph, stats, ar.Recipe(B_relu=2)))["y"]["bound"] == 2.0


def test_what_is_no_graph_no_statistics_no_recipe() -> None:
    graph, x = activations("relu"), images()
    stats = ar.calibrate(graph, [x])
    net = ar.approximate(graph, stats)
    for arguments, text in (
        ((net, stats), "only a float graph can be approximated"),
        ((graph, x), "approximate needs Stats, got ndarray"),
        ((graph, stats, ar.Recipe()), "this is no recipe of polynomials"),
        ((network(), ar.calibrate(activations("tanh"), [x])), "the statistics are of another network"),
    ):
        with pytest.raises(UsageError) as caught:
            ar.approximate(*arguments)  # type: ignore[arg-type]
        assert caught.value.what == text
    with pytest.raises(UsageError, match="quantize needs Recipe, got PolynomialRecipe"):
        ar.quantize(graph, stats, ar.Recipe(method="composite"))


@pytest.mark.slow
def test_resnet20_on_real_images(data_dir: Path) -> None:
    """Composite alpha 8 with an interval a layer is within 0.6 points of exact; fitted [15] at 5 levels too."""
    model = build("resnet20")
    load_weights(model, data_dir / "weights" / "cifar10-resnet20.safetensors")
    graph = ar.trace(model, torch.zeros(2, *entry("resnet20").input_shape))
    source = {"preparation": entry("resnet20").preparation}
    seen, _ = load("cifar10", "train", data_dir / "cifar10", limit=1000, **source)
    x, labels = load("cifar10", "test", data_dir / "cifar10", limit=500, **source)
    stats = ar.calibrate(graph, [seen], stream=clear.stream)

    def top1(net: Graph) -> float:
        outputs = [ar.run(net, x[i : i + 50], target="clear") for i in range(0, 500, 50)]
        return 100 * float((np.concatenate(outputs).argmax(axis=1) == labels).mean())

    exact = top1(graph)
    assert exact == 91.0
    assert top1(ar.approximate(graph, stats, ar.Recipe(alpha=8, margin=1.4))) >= exact - 0.6
    assert top1(ar.approximate(graph, stats, ar.Recipe(method="fitted", margin=1.5))) >= exact - 0.6
