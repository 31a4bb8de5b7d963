"""Held-out images: what is lost on them, how far values reach, and what an escape leaves of the figures."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from arithmos.errors import UsageError
from arithmos.evidence import held_out
from arithmos.lower import replacement
from evidence.hybrid import composites, hybrid, small_cnn
from factories import images

pytest.importorskip("torch")


def test_the_loss_is_that_of_the_two_networks_on_the_same_images(monkeypatch):
    monkeypatch.setattr(held_out, "BATCH", 4)
    prepared = small_cnn()
    chosen = composites(prepared, 6)
    x = images(10, seed=3)
    exact, found = hybrid(prepared.graph, {}, x), hybrid(prepared.graph, chosen, x)
    labels = exact["fc"].argmax(axis=1)
    labels[:3] = (labels[:3] + 1) % 10
    held = held_out.held_out(prepared.graph, x, labels)
    loss = held_out.loss(replacement.replace(prepared.graph, chosen), held)
    assert held.exact == pytest.approx(exact["fc"], abs=1e-4) and held.exact_top1 == 0.7
    assert loss.rms == pytest.approx(np.sqrt(np.mean((found["fc"] - exact["fc"]) ** 2)), rel=1e-3)
    assert loss.agreement == (found["fc"].argmax(axis=1) == exact["fc"].argmax(axis=1)).mean()
    assert loss.top1 == (found["fc"].argmax(axis=1) == labels).mean()
    sources = {node.output: node.inputs[0] for node in prepared.graph.nodes}
    reach = max(np.abs(found[sources[layer]]).max() / r.bound for layer, r in chosen.items())
    assert loss.reach == pytest.approx(reach, rel=1e-4) and loss.at in sources.values()
    assert loss.inside(reach + 0.01) and not loss.inside(reach - 0.01)


def test_an_escape_ends_the_run_and_is_named(monkeypatch):
    monkeypatch.setattr(held_out, "BATCH", 2)
    prepared = small_cnn()
    chosen = composites(prepared, 8)
    x = images(6, seed=3) * np.array([1, 1, 1, 9, 1, 1], dtype=np.float32)[:, None, None, None]
    net = replacement.replace(prepared.graph, {name: replace(r, bound=2 * r.bound) for name, r in chosen.items()})
    loss = held_out.loss(net, held_out.held_out(prepared.graph, x))
    assert loss.escape is not None and loss.escape.image == 3
    assert loss.rms == math.inf and not loss.inside(1.0) and loss.agreement == 2 / 6 and loss.top1 is None
    assert loss.facts == {
        "rms": None, "agreement": 2 / 6, "top1": None, "reach": None, "at": loss.escape.value_name,
        "escape": {"value": loss.escape.value_name, "image": 3},
    }  # fmt: skip


def test_labels_that_do_not_fit_are_refused():
    prepared = small_cnn()
    with pytest.raises(UsageError, match="3 images and 2 labels cannot be held out"):
        held_out.held_out(prepared.graph, images(3), np.zeros(2))
    with pytest.raises(UsageError, match="0 images and 0 labels cannot be held out"):
        held_out.held_out(prepared.graph, images(3)[:0])
