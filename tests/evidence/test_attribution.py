"""Attribution: by hand, by telescoping, by finite differences; and certificates that are wrong."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from arithmos.approx.composite import relu_of
from arithmos.approx.sets import sign_set
from arithmos.errors import RangeEscape, UsageError, VerificationError
from arithmos.evidence.attribution import attribution
from arithmos.extras import require
from arithmos.ir.build import Builder
from arithmos.ir.ops import OP_SETS
from arithmos.lower.replacement import Replacement
from evidence.hybrid import composites, hybrid, perceptron, residual, small_cnn
from factories import images

pytest.importorskip("torch")


def test_a_perceptron_by_hand():
    graph, first, second = perceptron()
    x = np.random.default_rng(4).normal(0, 1, (6, 3)).astype(np.float32)
    chosen = Replacement(sign_set(6, offset=False), 12.0)
    found = attribution(graph, {"relu": chosen}, [x[:4], x[4:]])

    u = x.astype(np.float64) @ first.T
    e = 12 * relu_of(chosen.composite, u / 12) - np.maximum(u, 0)
    logits = np.maximum(u, 0) @ second.T
    order = np.argsort(-logits, axis=1)
    slope = second[order[:, 0]] - second[order[:, 1]]
    assert found.margin == pytest.approx(np.sort(logits)[:, -1] - np.sort(logits)[:, -2], abs=1e-5)
    assert found.first_order == pytest.approx((slope * e).sum(axis=1), abs=1e-5)
    assert found.actual == pytest.approx(found.first_order, abs=1e-5)  # nothing but a sum follows the activation
    assert found.absolute == pytest.approx((np.abs(slope) * np.abs(e)).sum(axis=1), abs=1e-5)
    layer = found.layers[0]
    assert layer.largest == pytest.approx(np.abs(e).max(), rel=1e-5)
    assert layer.allowed == 12 * chosen.composite.error
    assert layer.a_priori == pytest.approx(np.abs(slope).sum(axis=1).mean() * layer.allowed, rel=1e-5)
    certified = [
        all(
            logits[i, order[i, 0]] - logits[i, j] > np.abs(second[order[i, 0]] - second[j]) @ np.abs(e[i])
            for j in order[i, 1:]
        )
        for i in range(6)
    ]
    assert found.certified.tolist() == certified and 0 < sum(certified) < 6
    assert found.classes == 3 and found.near == (0, 30)  # the first layer reads what it reads in the exact run


def test_the_layers_telescope_into_the_deviation_and_first_order_is_close_to_it():
    prepared = residual()
    chosen = composites(prepared, 11)
    x = images(4, seed=5) - 0.5
    found = attribution(prepared.graph, chosen, [x])

    steps = [hybrid(prepared.graph, dict(list(chosen.items())[:k]), x)["fc"] for k in range(len(chosen) + 1)]
    order = np.argsort(-steps[0], axis=1)[:, :2]
    margins = [np.diff(np.take_along_axis(logits, order, axis=1)[:, ::-1], axis=1)[:, 0] for logits in steps]
    assert found.actual == pytest.approx(margins[-1] - margins[0], abs=2e-5)
    exact_terms = np.abs(np.diff(margins, axis=0)).mean(axis=1)  # layer k's own share, the rest of the network exact
    assert [layer.first_order for layer in found.layers] == pytest.approx(exact_terms.tolist(), rel=0.05, abs=2e-5)
    assert found.first_order == pytest.approx(found.actual, rel=0.05, abs=5e-5)
    assert np.all(np.abs(found.first_order) <= found.absolute * (1 + 1e-9))
    assert found.facts["a_priori"] >= found.facts["absolute"] >= found.facts["first_order"]


def test_gradients_are_finite_differences():
    graph = residual().graph
    x = images(2, seed=6) - 0.5
    network = require("arithmos.targets.clear.network", "torch").Network(graph)
    gradients = require("arithmos.targets.clear.gradient", "torch").gradients
    seed = np.random.default_rng(7).normal(0, 1, (2, 4)).astype(np.float32)
    names = ["relu0", "relu1", "relu2"]
    (slopes,) = gradients(network, {graph.inputs[0]: x}, names, [seed])
    values = hybrid(graph, {}, x)
    rng = np.random.default_rng(8)
    for name in names:
        direction = rng.normal(0, 1, values[name].shape)
        moved = []
        for step in (1e-6, -1e-6):
            live = {**values, name: values[name] + step * direction}
            after = False
            for node in graph.nodes:
                if after:
                    live[node.output] = OP_SETS["float"][node.op].run(*(live[n] for n in node.inputs), **node.attrs)
                after = after or node.output == name
            moved.append((live["fc"] * seed).sum())
        assert (slopes[name] * direction).sum() == pytest.approx((moved[0] - moved[1]) / 2e-6, rel=1e-4)


def test_equal_elements_share_the_gradient_of_their_maximum():
    b = Builder("float")
    x, y = b.input("x", (-1, 2)), b.input("y", (-1, 2))
    excess = b.add("relu", b.add("sub", x, y, name="difference"), name="excess")
    graph = b.graph(b.add("add", y, excess, name="maximum"))
    network = require("arithmos.targets.clear.network", "torch").Network(graph)
    inputs = {"x": np.array([[1, 0]], dtype=np.float32), "y": np.array([[-1, 0]], dtype=np.float32)}
    gradients = require("arithmos.targets.clear.gradient", "torch").gradients
    (slopes,) = gradients(network, inputs, ["difference"], [np.ones((1, 2))])
    assert slopes["difference"].tolist() == [[1.0, 0.5]]


def test_a_wrong_certificate_is_caught_with_layer_image_and_value():
    graph, _, _ = perceptron()
    honest = sign_set(6, offset=False)
    x = np.zeros((3, 3), dtype=np.float32)
    x[2] = [1.0, -0.5, 0.25]
    lying = Replacement(replace(honest, error=honest.error / 1000), 6.0)
    attribution(graph, {"relu": Replacement(honest, 6.0)}, [x])
    with pytest.raises(VerificationError) as caught:
        attribution(graph, {"relu": lying}, [x[:1], x[1:]])
    assert "'relu' of image 2 is off by " in caught.value.what
    assert caught.value.what.endswith(f"its certificate allows {6 * honest.error / 1000:.6g}")
    assert caught.value.why.startswith("at u = ") and "the certificate is wrong" in caught.value.why


def test_without_a_certificate_nothing_is_claimed():
    graph, _, _ = perceptron()
    unproven = Replacement(replace(sign_set(6, offset=False), error=None), 6.0)
    found = attribution(graph, {"relu": unproven}, [np.ones((2, 3), dtype=np.float32)])
    assert found.facts["a_priori"] is None and found.layers[0].allowed is None
    assert "from certificates alone" not in found.text and "–" in found.text.splitlines()[1]


def test_the_table_names_every_layer():
    prepared = small_cnn()
    found = attribution(prepared.graph, composites(prepared, 9), [images(2)], runners_up=2)
    lines = found.text.splitlines()
    assert [line.split()[0] for line in lines[1:-3]] == [layer.name for layer in found.layers]
    assert lines[-1].startswith(f"top-1 certified to first order against 2 classes: {int(found.certified.sum())} of 2")


def test_what_cannot_be_attributed_is_refused():
    graph, _, _ = perceptron()
    chosen = {"relu": Replacement(sign_set(6, offset=False), 1.0)}
    with pytest.raises(RangeEscape, match="'first' of image 3 "):
        attribution(graph, chosen, [np.zeros((3, 3), dtype=np.float32), np.full((1, 3), 9, dtype=np.float32)])
    with pytest.raises(UsageError, match="there are no images to attribute errors on"):
        attribution(graph, chosen, [])
    b = Builder("float")
    pictures = b.graph(b.add("relu", b.input("x", (-1, 2, 2, 2)), name="relu"))
    with pytest.raises(UsageError, match=r"an output of the shape \(1, 2, 2, 2\) has no classes"):
        attribution(pictures, chosen, [np.zeros((1, 2, 2, 2), dtype=np.float32)])
