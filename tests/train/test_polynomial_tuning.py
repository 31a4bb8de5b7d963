"""Fine-tuning with polynomials in place: what improves, what comes back, what is refused, and a run that is resumed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace as changed
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason='pip install "arithmos[torch]"')

import arithmos as ar  # noqa: E402
import factories  # noqa: E402
from arithmos.approx.composite import Composite, relu_of  # noqa: E402
from arithmos.errors import TrainingError, UsageError  # noqa: E402
from arithmos.evidence.held_out import held_out, loss  # noqa: E402
from arithmos.ir.build import Builder  # noqa: E402
from arithmos.ir.check import check  # noqa: E402
from arithmos.ir.codec import digest  # noqa: E402
from arithmos.lower.replacement import Replacement, replace  # noqa: E402
from arithmos.train.config import Optimizer  # noqa: E402
from arithmos.train.distill import distillation  # noqa: E402
from arithmos.train.loop import threads, train  # noqa: E402
from arithmos.train.memory import Arrays  # noqa: E402
from arithmos.train.polynomial_network import PolynomialNetwork  # noqa: E402
from arithmos.train.polynomial_tuning import (  # noqa: E402
    CONFIG,
    Tuning,
    certified,
    fine_tuned,
    penalised,
    polynomial_network,
    task_of,
)
from train.small import interrupting, same, stored  # noqa: E402
from train.test_polynomial_network import RECIPES, prepared_with  # noqa: E402

SHORT = changed(CONFIG, epochs=2, batch_size=16, optimizer=changed(CONFIG.optimizer, learning_rate=3e-3))
RECIPES["quadratic"] = ar.Recipe(method="minimax", degrees=2, margin=1.5)


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    with threads(1):
        yield


def pictures(n: int, seed: int) -> Arrays:
    """Images whose label is what the exact network says."""
    images = factories.images(n, seed)
    return Arrays(images, ar.run(factories.float_cnn(), images).argmax(axis=1), batch_size=16, shuffle=True)


def tuned(name: str = "quadratic", **asked: Any) -> Any:
    prepared, chosen = prepared_with(name)
    asked = {"config": SHORT, **asked}
    return prepared, chosen, fine_tuned(prepared.graph, chosen, pictures(64, 3), pictures(32, 4), **asked)


def test_a_tiny_network_comes_nearer_to_the_exact_one_by_distillation() -> None:
    prepared, chosen = prepared_with("quadratic")
    teacher = PolynomialNetwork(prepared.graph, {}).eval()
    seen: list[Any] = []
    longer = changed(SHORT, epochs=4)
    asked: dict[str, Any] = {"loss": distillation(teacher, share=1.0), "report": seen.append}
    asked["tuning"] = Tuning(progressive=0.0, drift=0.001)
    result = fine_tuned(prepared.graph, chosen, pictures(96, 3), pictures(32, 4), longer, **asked)
    assert tuple(seen) == result.history and len(seen) == 4
    assert seen[-1].loss < 0.8 * seen[0].loss
    check(result.net)
    assert result.n_away == 0
    exact = held_out(factories.float_cnn(), factories.images(48, 6))
    after = loss(result.net, exact)
    assert after.escape is None, "no value leaves its interval on images that were not trained on"
    before = PolynomialNetwork(prepared.graph, chosen).eval()
    with torch.no_grad():
        start = before(torch.from_numpy(exact.images)).numpy()
    assert after.rms < 0.5 * float(np.sqrt(np.mean((start - exact.exact) ** 2)))
    assert digest(replace(result.graph, result.replacements)) == digest(result.net)
    first = prepared.graph.constants
    moved = [name for name, array in result.graph.constants.items() if not np.array_equal(array, first[name])]
    assert {"conv1.weight", "fc.bias"} <= set(moved)
    for name, found in result.replacements.items():
        assert not np.array_equal(found.composite.stages[0], chosen[name].composite.stages[0]), name


def test_the_accuracy_reported_is_that_of_the_network() -> None:
    _, _, result = tuned("composite", config=changed(SHORT, epochs=1))
    images = pictures(32, 4)
    right = sum(int((ar.run(result.net, x.numpy()).argmax(axis=1) == y.numpy()).sum()) for x, y in images)
    assert result.history[-1].accuracy == right / 32


def test_composites_have_a_proven_error_again() -> None:
    pytest.importorskip("flint", reason='pip install "arithmos[polynomials]"')
    _, chosen, result = tuned("composite", config=changed(SHORT, epochs=1))
    x = np.linspace(-1, 1, 4001)
    for name, found in result.replacements.items():
        assert found.composite.degrees == chosen[name].composite.degrees
        error = float(np.abs(np.maximum(x, 0) - relu_of(found.composite, x)).max())
        assert found.composite.error is None or error <= found.composite.error <= 1.01 * error + 1e-6
    assert any(found.composite.error is not None for found in result.replacements.values())


def test_stages_that_leave_their_interval_are_folded_and_even_terms_have_no_proof() -> None:
    pytest.importorskip("flint", reason='pip install "arithmos[polynomials]"')
    odd = Composite((np.array([0, 1.5, 0, -0.3]), np.array([0, 1.1, 0, -0.2])), 0.01)
    made = certified(Replacement(odd, 2.0))
    assert made.composite.error is not None
    x = np.linspace(-1, 1, 1001)
    assert np.abs(relu_of(made.composite, x) - relu_of(odd, x)).max() < 1e-12
    assert np.abs(np.maximum(x, 0) - relu_of(odd, x)).max() <= made.composite.error
    even = Replacement(Composite((np.array([0.1, 1.0]),)), 2.0)
    assert certified(even) is even
    value = Replacement(Composite((np.array([0.1, 1.0]),)), 2.0, "value")
    assert certified(value) is value


def test_the_loss_is_the_sum() -> None:
    prepared, chosen = prepared_with("quadratic")
    network = PolynomialNetwork(prepared.graph, chosen, headroom=8.0).train()
    images, labels = torch.from_numpy(factories.images(8, 3)), torch.zeros(8, dtype=torch.int64)

    def mean(model: torch.nn.Module, x: torch.Tensor, _: torch.Tensor) -> torch.Tensor:
        result: torch.Tensor = model(x).mean()
        return result

    with torch.no_grad():
        total = penalised(mean, network, Tuning(penalty=3.0, drift=5.0))(network, images, labels)
        assert float(network.penalty) > 0 and float(network.drift) > 0
        expected = float(network(images).mean()) + 3 * float(network.penalty) + 5 * float(network.drift)
        assert float(total) == pytest.approx(expected)


def test_coefficients_have_their_own_rate_and_do_not_decay() -> None:
    prepared, chosen = prepared_with("composite")
    network = polynomial_network(prepared.graph, chosen, Tuning(coefficient_rate=7.0), 100)
    assert network.n_steps == 50
    decaying = Optimizer("adamw", 1e-3, weight_decay=0.1)
    found = task_of(network, Tuning(coefficient_rate=7.0), SHORT).groups(network, decaying)
    assert [(g["weight_decay"], g.get("lr_scale", 1.0)) for g in found] == [(0.1, 1.0), (0.1, 1.0), (0.0, 7.0)]
    assert sum(len(g["params"]) for g in found) == len(list(network.parameters()))


def test_an_interrupted_run_gives_the_same_bits(tmp_path: Path) -> None:
    prepared, chosen = prepared_with("quadratic")
    data, watched = pictures(71, 3), pictures(32, 4)

    def task() -> Any:
        return task_of(polynomial_network(prepared.graph, chosen, Tuning(), 10), Tuning(), SHORT)

    whole = train(task(), data, watched, SHORT, tmp_path / "whole")
    stopped = train(task(), data, watched, SHORT, tmp_path / "run", watch=interrupting(1, 3))
    assert whole.finished and not stopped.finished
    assert train(task(), data, watched, SHORT, tmp_path / "run", resume=True).finished
    assert same(stored(tmp_path / "run"), stored(tmp_path / "whole"))
    assert int(stored(tmp_path / "whole")["model/step"]) == 10


def test_what_diverges_is_said() -> None:
    with pytest.raises(TrainingError):
        tuned(config=changed(SHORT, optimizer=Optimizer("sgd", 1e30)))


def test_a_network_that_keeps_to_no_interval_is_refused() -> None:
    prepared, chosen = prepared_with("composite")
    narrow = {name: changed(r, bound=r.bound / 50) for name, r in chosen.items() if r.bound}
    still = changed(SHORT, epochs=1, optimizer=Optimizer("adamw", 1e-9))
    with pytest.raises(TrainingError) as refused:
        fine_tuned(prepared.graph, narrow, pictures(32, 3), pictures(16, 4), still)
    assert str(refused.value) == (
        "the trained polynomial network runs out of its intervals\n"
        "  why  a value of each of the 32 training images runs away\n"
        "  fix  train longer, with a larger range penalty, from a larger margin, or with higher degrees"
    )


def test_bad_values_are_refused_together() -> None:
    with pytest.raises(UsageError) as refused:
        Tuning(penalty=-1, headroom=0.5, drift=-2, coefficient_rate=float("nan"), progressive=2)
    assert str(refused.value) == (
        "this fine-tuning cannot be done\n"
        "  why  penalty must be a number from 0 to 1e+09, got -1\n"
        "       headroom must be a number from 1 to 10, got 0.5\n"
        "       drift must be a number from 0 to 1e+09, got -2\n"
        "       coefficient_rate must be a number from 0 to 1e+06, got nan\n"
        "       progressive must be a number from 0 to 1, got 2\n"
        "  fix  leave a value out for its default"
    )


def test_networks_that_cannot_be_tuned_are_refused() -> None:
    b = Builder("float")
    x = b.input("x", (-1, 3))
    graph = b.graph(b.add("relu", x, name="one"), b.add("add", x, x, name="two"))
    with pytest.raises(UsageError) as refused:
        fine_tuned(graph, {"one": Replacement(Composite((np.ones(2),)), 1.0)}, pictures(16, 3), pictures(16, 4))
    assert str(refused.value) == (
        "this network cannot be fine-tuned with polynomials\n"
        "  why  it has the inputs x and the outputs one, two\n"
        "  fix  approximate it without fine-tuning"
    )
    with pytest.raises(UsageError) as refused:
        fine_tuned(factories.float_cnn(), {}, pictures(16, 3), pictures(16, 4))
    assert "it has no activation that is replaced by a polynomial" in str(refused.value)
