"""recalibrated: what a polynomial is made for is what the approximate network gives it."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("torch", reason='pip install "arithmos[torch]"')

import arithmos as ar
import factories
from arithmos.evidence.recalibration import observed, recalibrated
from arithmos.ir.graph import Graph
from arithmos.lower.approximate import prepared_for
from arithmos.lower.replacement import replace

RECIPE = ar.Recipe(alpha=5, margin=1.25)


def bounds(net: Graph) -> dict[str, float]:
    return {node.inputs[0]: node.attrs["bound"] for node in net.nodes if node.op == "polynomial"}


def test_bounds_are_those_of_the_networks_own_values() -> None:
    exact, images = factories.float_cnn(), factories.images(24)
    prepared = prepared_for(exact, ar.calibrate(exact, [images]), RECIPE)
    chosen = [recalibrated(prepared, RECIPE, lambda: [images], rounds=n) for n in range(2)]
    nets = [replace(prepared.graph, replacements) for replacements in chosen]
    assert bounds(nets[0]) == bounds(ar.approximate(exact, ar.calibrate(exact, [images]), RECIPE))
    values = ar.run(nets[0], images, every=True)
    for name, bound in bounds(nets[1]).items():
        assert bound == pytest.approx(1.25 * np.abs(values[name]).max(), rel=1e-6)
    first = next(iter(bounds(nets[0])))  # nothing approximate comes before it: settled at once
    assert bounds(nets[1])[first] == pytest.approx(bounds(nets[0])[first], rel=1e-6)
    assert bounds(nets[1]) != pytest.approx(bounds(nets[0]), rel=1e-3)


def test_a_bound_that_is_left_is_no_end() -> None:
    exact, images = factories.float_cnn(), factories.images(12)
    net = ar.approximate(exact, ar.calibrate(exact, [images / 2]), ar.Recipe(alpha=12, margin=1.0))
    found = observed(net, [(images, np.zeros(12))])
    assert found.keys() == bounds(net).keys()
    assert found["bn1"].magnitude > bounds(net)["bn1"]
    assert found["bn1"].counts.sum() == 12 * 8 * 12 * 12
