"""What is trained is the integer network: equal on every value, with LSQ's gradients."""

from __future__ import annotations

import dataclasses
from itertools import product

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason='pip install "arithmos[torch]"')

import factories  # noqa: E402
from arithmos.front.trace import trace  # noqa: E402
from arithmos.ir.border import admit  # noqa: E402
from arithmos.ir.build import Builder  # noqa: E402
from arithmos.ir.codec import digest  # noqa: E402
from arithmos.ir.graph import Graph  # noqa: E402
from arithmos.ir.interpret import evaluate  # noqa: E402
from arithmos.lower.calibrate import calibrate  # noqa: E402
from arithmos.lower.choose import choose  # noqa: E402
from arithmos.lower.lower import lower  # noqa: E402
from arithmos.lower.quantize import finish, prepared_by, quantize  # noqa: E402
from arithmos.lower.recipe import Recipe  # noqa: E402
from arithmos.models.registry import build  # noqa: E402
from arithmos.targets.run import run  # noqa: E402
from arithmos.train.config import Optimizer  # noqa: E402
from arithmos.train.qat import STEP_RATE, groups, quantized_network  # noqa: E402
from arithmos.train.quantized_network import QuantizedNetwork  # noqa: E402
from train.qat_networks import NETWORKS, calibrated  # noqa: E402

IMAGES = factories.images(6, seed=9)


def trained(name: str, recipe: Recipe, n_steps: int = 2, rate: float = 1e-2) -> tuple[Graph, QuantizedNetwork]:
    """The network after a few steps that move every weight by about `rate`, in eval mode."""
    graph, stats = calibrated(name)
    network = quantized_network(graph, stats, recipe)
    optimizer = torch.optim.Adam([*network.weights, *network.exponents], lr=rate)
    images, labels = torch.from_numpy(IMAGES), torch.arange(len(IMAGES))
    for _ in range(n_steps):
        loss = torch.nn.functional.cross_entropy(network(images), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    network.eval()
    return graph, network


def assert_is_its_network(
    graph: Graph, network: QuantizedNetwork, images: np.ndarray = IMAGES, *, engine: bool = False
) -> None:
    """Every value of the torch forward, and its logits, are those of the lowered and of the finished network."""
    got = {n: t.detach().numpy() for n, t in network.integers(torch.from_numpy(images)).items()}
    lowered, net = network.lowered.net, finish(network.lowered.net, graph)
    for one in (lowered, net):
        expected = evaluate(one, admit(one, {one.inputs[0]: images}), every=True)
        named = expected.keys() & got.keys()
        assert len(named) >= 0.8 * len(expected)
        assert not [n for n in named if not np.array_equal(expected[n], got[n].astype(np.int64))]
        assert all(np.array_equal(got[n], np.floor(got[n])) for n in named)
    if engine:
        every = run(net, images, target="engine", every=True)
        assert not [n for n in every if n in got and not np.array_equal(every[n], got[n])]
    output = lowered.outputs[0]
    real = (got[output] * network.lowered.outputs[output].array).astype(np.float32)
    assert np.array_equal(network(torch.from_numpy(images)).detach().numpy(), real)


BITS = [(1, 1), (1, 8), (2, 2), (3, 3), (4, 4), (5, 6), (6, 5), (7, 7), (8, 8), (2, 4), (8, 1)]
KINDS = [
    Recipe(weight_bits=4, activation_bits=4, scales=scales, weight_scale=weight_scale, joins=joins)  # type: ignore[arg-type]
    for scales, weight_scale, joins in product(("dyadic", "power_of_two"), ("channel", "tensor"), ("fused", "equal"))
]


@pytest.mark.parametrize("name", NETWORKS)
def test_every_value_is_the_integer_networks(name: str) -> None:
    assert_is_its_network(*trained(name, Recipe(weight_bits=3, activation_bits=4)))


@pytest.mark.slow
@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("recipe", KINDS, ids=lambda r: f"{r.scales}-{r.weight_scale}-{r.joins}")
def test_every_value_is_the_integer_networks_for_all_scales(name: str, recipe: Recipe) -> None:
    assert_is_its_network(*trained(name, recipe), engine=True)


@pytest.mark.slow
def test_every_value_of_resnet20_is_the_integer_networks() -> None:
    graph = trace(build("resnet20", seed=1), torch.zeros(2, 3, 32, 32))
    images = np.random.default_rng(0).normal(size=(8, 3, 32, 32)).astype(np.float32)
    network = quantized_network(graph, calibrate(graph, [images]), Recipe(weight_bits=2, activation_bits=4))
    optimizer = torch.optim.Adam([*network.weights, *network.exponents], lr=1e-3)
    (network(torch.from_numpy(images)) ** 2).mean().backward()
    optimizer.step()
    network.eval()
    assert_is_its_network(graph, network, images, engine=True)


@pytest.mark.slow
@pytest.mark.parametrize("bits", BITS, ids=str)
def test_every_value_is_the_integer_networks_at_all_widths(bits: tuple[int, int]) -> None:
    recipe = Recipe(weight_bits=bits[0], activation_bits=bits[1], edge_bits=max(2, min(bits)))
    assert_is_its_network(*trained("residual", recipe))


@pytest.mark.parametrize("name", NETWORKS)
def test_training_moves_every_parameter_of_the_network(name: str) -> None:
    graph, stats = calibrated(name)
    network = quantized_network(graph, stats, Recipe(weight_bits=4, activation_bits=4))
    torch.nn.functional.cross_entropy(network(torch.from_numpy(IMAGES)), torch.arange(6)).backward()
    assert all(p.grad is not None and bool(p.grad.abs().max() > 0) for p in network.parameters())
    constants = {n for node in network.graph().nodes if node.op in ("conv", "linear") for n in node.inputs[1:]}
    assert len(network.weights) == len(constants)


def test_a_network_that_was_not_trained_is_the_quantized_one() -> None:
    four = Recipe(weight_bits=4, activation_bits=4)
    for recipe in (four, dataclasses.replace(four, corrections=("bias",)), Recipe(scales="power_of_two")):
        graph, stats = calibrated("residual")
        network = quantized_network(graph, stats, recipe)
        expected = quantize(graph, stats, recipe)
        assert digest(finish(network.lowered.net, graph)) == digest(expected)
        network.relower()
        assert digest(finish(network.lowered.net, graph)) == digest(expected)


def test_the_result_is_the_lowering_of_its_graph_and_choice() -> None:
    graph, network = trained("residual", Recipe(weight_bits=4, activation_bits=4))
    again = lower(network.graph(), network.choice(), network.recipe).net
    assert digest(again) == digest(network.lowered.net)
    assert digest(finish(again, graph)) != digest(quantize(*calibrated("residual"), network.recipe))


def test_steps_that_tables_were_made_with_stay() -> None:
    graph, stats = calibrated("tables")
    network = quantized_network(graph, stats, Recipe())
    before = network.choice().grids
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(0.01)
    network.eval()
    after = network.choice().grids
    moved = {name for name in before if after[name].step != before[name].step}
    assert {"stem", "stem.gelu", "excite", "gate"} <= network.lowered.fixed | set(after) - moved
    assert moved.isdisjoint(network.lowered.fixed) and "x" in moved


def test_a_power_of_two_step_that_flips_lowers_the_network_anew() -> None:
    graph, stats = calibrated("residual")
    network = quantized_network(graph, stats, Recipe(scales="power_of_two", weight_bits=4, activation_bits=4))
    network.train()
    before = network.lowered
    network(torch.from_numpy(IMAGES))
    assert network.lowered is before
    with torch.no_grad():
        network.exponents[0].add_(0.7)
    network(torch.from_numpy(IMAGES))
    assert network.lowered is not before
    assert_is_its_network(graph, network)


def test_a_loaded_state_is_the_same_network() -> None:
    recipe = Recipe(weight_bits=4, activation_bits=4)
    graph, network = trained("residual", recipe)
    other = quantized_network(*calibrated("residual"), recipe)
    other.load_state_dict(network.state_dict())
    assert digest(other.lowered.net) == digest(network.lowered.net)
    assert_is_its_network(graph, other)


def test_weights_begin_in_the_cells_that_were_chosen_for_them() -> None:
    """Integers of another rounding than to nearest are where training starts."""
    graph, stats = calibrated("residual")
    recipe = Recipe(weight_bits=4, activation_bits=4)
    prepared, stats = prepared_by(graph, stats, recipe)
    choice = choose(prepared, stats, recipe)
    rng = np.random.default_rng(0)
    turned = {}
    for name, grid in choice.weights.items():
        integers = grid.integers + rng.integers(-1, 2, grid.integers.shape)
        turned[name] = dataclasses.replace(grid, integers=np.clip(integers, grid.levels.lo, grid.levels.hi))
    network = QuantizedNetwork(prepared, dataclasses.replace(choice, weights=turned), recipe)
    for name, grid in network.choice().weights.items():
        assert np.array_equal(grid.integers, turned[name].integers)


def reference_gradients(network: QuantizedNetwork, x: torch.Tensor) -> dict[str, torch.Tensor]:
    """LSQ's fake quantizer in real numbers (equations 1 to 3 of arXiv 1902.08153), on linear -> relu -> linear."""

    def fake(v: torch.Tensor, step: torch.Tensor, lo: int, hi: int) -> torch.Tensor:
        inside = (v / step).clamp(lo, hi)
        return (inside + (torch.floor(inside + 0.5) - inside).detach()) * step

    choice, constants = network.choice(), network.graph().constants
    steps = {owner: torch.from_numpy(np.array(step)).requires_grad_() for owner, step in choice.steps.items()}
    weights = {n: torch.from_numpy(constants[n].astype(np.float64)) for n in ("w1", "b1", "w2")}
    y = fake(x.double(), steps["x"], choice.grids["x"].range.lo, choice.grids["x"].range.hi)
    w1 = fake(weights["w1"], steps["one.weight"].reshape(-1, 1), -7, 7)
    b1 = fake(weights["b1"], steps["x"] * steps["one.weight"], -(1 << 29), 1 << 29)
    y = fake(y @ w1.T + b1, steps["relu"], 0, 15)
    w2 = fake(weights["w2"], steps["two.weight"].reshape(-1, 1), -7, 7)
    ((y @ w2.T) ** 2).sum().backward()
    return {owner: step.grad for owner, step in steps.items() if step.grad is not None}


def test_the_gradients_of_the_steps_are_lsqs() -> None:
    b, rng = Builder("float"), np.random.default_rng(2)
    x = b.input("x", (-1, 12))
    w1, b1 = (b.constant(n, rng.normal(size=s).astype(np.float32)) for n, s in (("w1", (9, 12)), ("b1", 9)))
    w2 = b.constant("w2", rng.normal(size=(5, 9)).astype(np.float32))
    y = b.add("relu", b.add("linear", x, w1, b1, name="one"), name="relu")
    graph = b.graph(b.add("linear", y, w2, name="two"))
    samples = rng.normal(size=(64, 12)).astype(np.float32)
    recipe = Recipe(weight_bits=4, activation_bits=4, edge_bits=4, multiplier_bits=31)
    network = quantized_network(graph, calibrate(graph, [samples / 2]), recipe)  # the rest lies outside the grids
    inputs = torch.from_numpy(samples)
    (network(inputs).double() ** 2).sum().backward()
    expected = reference_gradients(network, inputs)
    learned = dict(zip(network._learned, network.exponents, strict=True))
    assert set(learned) == {"x", "relu", "one.weight", "two.weight"}
    for owner, exponent in learned.items():
        step = torch.from_numpy(np.array(network.choice().steps[owner]))
        got = exponent.grad.double() * step * np.log(2) / network._gains[owner]
        # The logits are rounded to one step for all channels here and not there.
        assert torch.allclose(got, expected[owner], rtol=2e-3, atol=1e-3 * float(expected[owner].abs().max())), owner


def test_steps_do_not_decay_and_have_a_rate_of_their_own() -> None:
    network = quantized_network(*calibrated("residual"), Recipe())
    weights, biases, steps = groups(network, Optimizer("adamw", 1e-3, weight_decay=0.1, decay_all=False))
    assert [g["weight_decay"] for g in (weights, biases, steps)] == [0.1, 0, 0]
    assert steps["lr_scale"] == STEP_RATE and steps["params"] == list(network.exponents)
    assert len(weights["params"]) + len(biases["params"]) == len(network.weights)
