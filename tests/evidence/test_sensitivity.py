"""Sensitivity against the whole network computed again for every layer and candidate, in float64."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from arithmos.errors import UsageError
from arithmos.evidence.sensitivity import sensitivity
from arithmos.ir.ops.polynomial import levels, multiplications
from evidence.hybrid import composites, hybrid, small_cnn
from factories import images

pytest.importorskip("torch")


def test_every_loss_is_that_of_the_whole_network_with_one_layer_replaced():
    prepared = small_cnn()
    candidates = {"alpha 6": composites(prepared, 6), "alpha 9": composites(prepared, 9)}
    x = images(6, seed=2)
    found = sensitivity(prepared.graph, candidates, [x[:4], x[4:]])
    assert found.n == 6 and list(found.options) == list(candidates["alpha 6"])
    exact = hybrid(prepared.graph, {}, x)["fc"]
    for layer, row in found.options.items():
        for option in row:
            chosen = candidates[option.name][layer]
            alone = hybrid(prepared.graph, {layer: chosen}, x)["fc"]
            assert option.loss == pytest.approx(np.mean((alone - exact) ** 2), rel=1e-3, abs=1e-10)
            assert option.levels == levels(chosen.composite.degrees) + 1
            assert option.multiplications == multiplications(chosen.composite.degrees) + 1


def test_reach_is_the_largest_value_of_a_later_layer_and_what_leaves_its_interval_costs_infinitely_much():
    prepared = small_cnn()
    wide = composites(prepared, 6)
    x = images(6, seed=2)
    found = sensitivity(prepared.graph, {"wide": wide}, [x])
    first, last = next(iter(wide)), list(wide)[-1]
    sources = {node.output: node.inputs[0] for node in prepared.graph.nodes}
    after = hybrid(prepared.graph, {first: wide[first]}, x)
    expected = max(np.abs(after[sources[layer]]).max() / r.bound for layer, r in wide.items() if layer != first)
    assert found.reach[first]["wide"] == pytest.approx(expected, rel=1e-4)
    assert found.reach[last]["wide"] == 0

    narrow = {**wide, last: replace(wide[last], bound=float(np.abs(after[sources[last]]).max()) * 0.9)}
    escaped = sensitivity(prepared.graph, {"narrow": narrow}, [x])
    assert [option.loss for option in escaped.options[last]] == [math.inf]  # of its own interval
    assert [option.loss for option in escaped.options[first]] == [math.inf]  # of one that comes later
    assert escaped.facts["layers"][last]["narrow"]["rms"] is None
    assert escaped.text.splitlines()[-1].split() == [last, "–"]


def test_the_table_has_layers_down_and_candidates_across():
    prepared = small_cnn()
    found = sensitivity(prepared.graph, {"a": composites(prepared, 5), "b": composites(prepared, 7)}, [images(2)])
    lines = found.text.splitlines()
    assert lines[0].split() == ["layer", "a", "b"] and len(lines) == 1 + len(found.options)
    assert found.facts["layers"]["relu"]["b"]["rms"] == pytest.approx(math.sqrt(found.options["relu"][1].loss))


def test_candidates_that_differ_in_their_layers_and_no_images_are_refused():
    prepared = small_cnn()
    whole = composites(prepared, 5)
    part = {name: r for name, r in whole.items() if name != "relu"}
    with pytest.raises(UsageError) as caught:
        sensitivity(prepared.graph, {"whole": whole, "part": part}, [images(2)])
    assert str(caught.value) == (
        "these candidates cannot be compared\n"
        "  why  part has none for relu\n"
        "  fix  give every candidate a polynomial for every activation"
    )
    with pytest.raises(UsageError, match="there is no candidate for any layer"):
        sensitivity(prepared.graph, {}, [images(2)])
    with pytest.raises(UsageError, match="there are no images to measure sensitivities on"):
        sensitivity(prepared.graph, {"whole": whole}, [])
