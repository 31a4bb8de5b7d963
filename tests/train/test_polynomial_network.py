"""The polynomial graph on torch: its values, its penalty, what is exact until its turn, and what comes back."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason='pip install "arithmos[torch]"')

import arithmos as ar  # noqa: E402
import factories  # noqa: E402
from arithmos.approx.composite import Composite  # noqa: E402
from arithmos.ir.build import Builder  # noqa: E402
from arithmos.ir.codec import digest  # noqa: E402
from arithmos.ir.graph import Graph  # noqa: E402
from arithmos.lower.approximate import prepared_for  # noqa: E402
from arithmos.lower.polynomials import choose  # noqa: E402
from arithmos.lower.prepared import Prepared  # noqa: E402
from arithmos.lower.rebound import in_value_form  # noqa: E402
from arithmos.lower.replacement import Replacement, replace  # noqa: E402
from arithmos.targets import clear  # noqa: E402
from arithmos.train.polynomial_network import PolynomialNetwork  # noqa: E402
from train.qat_networks import tables  # noqa: E402

RECIPES = {
    "composite": ar.Recipe(method="composite", alpha=7, margin=2.0),
    "with a constant": ar.Recipe(method="composite", alpha=6, offset=True, margin=2.0),
    "one stage": ar.Recipe(method="minimax", degrees=4, margin=4.0),
    "square": ar.Recipe(method="relu_aq"),
}


def prepared_with(name: str, graph: Graph | None = None) -> tuple[Prepared, dict[str, Replacement]]:
    graph = graph or factories.float_cnn()
    stats = ar.calibrate(graph, [factories.images(32)])
    prepared = prepared_for(graph, stats, RECIPES[name])
    return prepared, choose(prepared, RECIPES[name])


def single(replacement: Replacement) -> PolynomialNetwork:
    """y = w relu(x) with w of 1, on 2 numbers."""
    b = Builder("float")
    y = b.add("relu", b.input("x", (-1, 2)), name="relu")
    graph = b.graph(b.add("linear", y, b.constant("w", np.eye(2, dtype=np.float32)), name="y"))
    return PolynomialNetwork(graph, {"relu": replacement}, headroom=1.25)


IDENTITY = Replacement(Composite((np.array([0.0, 1.0]),)), 2.0, "value", gain=2.0)


@pytest.mark.parametrize("name", RECIPES)
def test_eval_mode_is_the_polynomial_network(name: str) -> None:
    prepared, chosen = prepared_with(name)
    images = factories.images(8, 5)
    network = PolynomialNetwork(prepared.graph, chosen).eval()
    net = replace(prepared.graph, chosen)
    with torch.no_grad():
        ours = network(torch.from_numpy(images)).numpy()
    theirs = clear.outputs(net, {"x": images})["fc"]
    assert np.abs(ours - theirs).max() < 1e-5 * max(np.abs(theirs).max(), 1)
    assert network.peaks.keys() == chosen.keys()


def test_smooth_functions_and_the_value_form() -> None:
    prepared, chosen = prepared_with("composite", tables())
    assert {r.form for r in chosen.values()} == {"value"}
    prepared, relus = prepared_with("one stage")
    for ready, replacements in ((prepared_with("composite", tables())[0], chosen), (prepared, _in_value_form(relus))):
        images = factories.images(4, 6)
        net = replace(ready.graph, replacements)
        network = PolynomialNetwork(ready.graph, replacements).eval()
        with torch.no_grad():
            ours = network(torch.from_numpy(images)).numpy()
        theirs = clear.outputs(net, {"x": images})["fc"]
        assert np.abs(ours - theirs).max() < 1e-5 * max(np.abs(theirs).max(), 1)


def _in_value_form(replacements: dict[str, Replacement]) -> dict[str, Replacement]:
    return {name: in_value_form(r) for name, r in replacements.items()}


@pytest.mark.parametrize("name", RECIPES)
def test_what_comes_back_is_what_was_given(name: str) -> None:
    prepared, chosen = prepared_with(name)
    network = PolynomialNetwork(prepared.graph, chosen)
    assert digest(network.graph()) == digest(prepared.graph)
    for layer, found in network.replacements().items():
        first = chosen[layer]
        assert (found.bound, found.form, found.gain, found.composite.error) == (
            first.bound, first.form, first.gain, None,
        )  # fmt: skip
        assert found.composite.offset == pytest.approx(first.composite.offset, abs=1e-7)
        for one, other in zip(found.composite.stages, first.composite.stages, strict=True):
            assert np.abs(one - other).max() < 1e-6
            assert np.array_equal(np.flatnonzero(one), np.flatnonzero(other)), "odd stages stay odd"


def test_the_penalty_by_hand() -> None:
    network = single(IDENTITY)
    network.train()
    x = torch.tensor([[1.0, -3.0], [1.75, 0.5], [-2.0, -1.5]], requires_grad=True)
    network(x)
    # |u| headroom / B - 1 with B = 2, headroom 1.25: 0.875, 0.09375, 0.25; the others are inside.
    assert float(network.penalty.detach()) == pytest.approx((0.875**2 + 0.09375**2 + 0.25**2) / 3)
    (slope,) = torch.autograd.grad(network.penalty, x)
    expected = np.array([[0, -0.875], [0.09375, 0], [-0.25, 0]]) * 2 * 0.625 / 3
    assert np.abs(slope.numpy() - expected).max() < 1e-6
    assert network.peaks == {"relu": 3.0}
    network(x.detach().clamp(-1.6, 1.6))
    assert float(network.penalty.detach()) == 0


def test_the_drift_by_hand() -> None:
    network = single(IDENTITY).train()
    network(torch.zeros(1, 2))
    # y = 2 (x / 2) against relu(x) on [-2, 2], in units of 2: t for t < 0, else 0.
    t = np.linspace(-1, 1, 129)
    assert float(network.drift.detach()) == pytest.approx(float(np.mean(np.minimum(t, 0) ** 2)))
    network.eval()(torch.zeros(1, 2))
    assert float(network.drift) == 0


def test_training_mode_holds_the_argument_and_eval_mode_does_not() -> None:
    network = single(IDENTITY)
    x = torch.tensor([[3.0, -3.0]])
    with torch.no_grad():
        assert network.train()(x).tolist() == [[2, -2]]
        assert network.eval()(x).tolist() == [[3, -3]]


def test_the_schedule_replaces_first_layers_first() -> None:
    prepared, chosen = prepared_with("composite")
    network = PolynomialNetwork(prepared.graph, chosen, n_steps=10).train()
    assert len(network.layers) == len(chosen) > 3
    images = torch.from_numpy(factories.images(4, 7))
    with torch.no_grad():
        for step in (0, 4, 9, 10, 50):
            network.step.fill_(step)
            kept = min(len(chosen), 1 + len(chosen) * step // 10)
            partial = replace_some(prepared.graph, {n: chosen[n] for n in network.layers[:kept]})
            assert torch.equal(network(images), partial.train()(images))
        network.step.zero_()
        everything = network.eval()(images)
        assert torch.equal(everything, PolynomialNetwork(prepared.graph, chosen).eval()(images))


def replace_some(graph: Graph, some: dict[str, Replacement]) -> PolynomialNetwork:
    return PolynomialNetwork(graph, some)


def test_gradients_of_every_parameter_are_differences() -> None:
    prepared, chosen = prepared_with("composite")
    network = PolynomialNetwork(prepared.graph, chosen).double().train()
    images = torch.from_numpy(factories.images(4, 8)).double()

    def loss() -> torch.Tensor:
        return network(images).double().square().mean()

    loss().backward()
    with torch.no_grad():
        for name, parameter in network.named_parameters():
            direction = torch.from_numpy(np.random.default_rng(3).normal(size=parameter.shape))
            assert parameter.grad is not None, name
            slope = float((parameter.grad * direction).sum())
            step = 1e-2 if name.startswith("weights") else 1e-3
            parameter += step * direction
            above = float(loss())
            parameter -= 2 * step * direction
            below = float(loss())
            parameter += step * direction
            assert slope == pytest.approx((above - below) / (2 * step), rel=0.05, abs=0.02), name


def test_bounds_are_raised_to_what_was_seen_and_the_function_stays() -> None:
    network = single(Replacement(Composite((np.array([0.25, 0.5, 0.25]),)), 2.0, "value", gain=2.0)).eval()
    x = torch.tensor([[3.0, -1.0], [0.5, 0.25]])
    found, n_away = network.widened(iter([x[:1], x[1:]]))
    wide = found["relu"]
    assert n_away == 0
    assert wide.bound == 3.75 and wide.gain == 2.0
    narrow = network.widened(iter([x[1:]]))[0]["relu"]
    assert narrow.bound == 2.0
    values = ar.run(replace(network.graph(), {"relu": wide}), x.numpy())
    with torch.no_grad():
        assert np.abs(values - network(x).numpy()).max() < 1e-5


def test_images_that_run_away_raise_no_bound_and_are_counted() -> None:
    network = single(IDENTITY).eval()
    x = torch.tensor([[0.5, 1.0], [float("inf"), 0], [1.7, 0], [0, float("nan")], [-3.3, 0], [3.1, 0]])
    found, n_away = network.widened(iter([x[:5], x[5:]]))
    assert n_away == 3, "headroom 1.25 times 3.3 is more than twice B = 2"
    assert found["relu"].bound == pytest.approx(1.25 * 3.1)
