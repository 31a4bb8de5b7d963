"""deviation: counts and errors against what they mean, however the images are cut; ranges left, raised and refused."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
import pytest

pytest.importorskip("torch", reason='pip install "arithmos[torch]"')

import arithmos as ar
import factories
from arithmos.errors import RangeEscape, UsageError
from arithmos.evidence.deviation import Deviation, Scores, deviation, deviations
from arithmos.ir.build import Builder
from arithmos.ir.graph import Graph
from arithmos.lower.replacement import with_bounds

N = 24


@pytest.fixture(scope="module")
def exact() -> Graph:
    return factories.float_cnn()


def approximated(exact: Graph, alpha: int, margin: float = 1.5) -> Graph:
    return ar.approximate(exact, ar.calibrate(exact, [noise(32, 1)]), ar.Recipe(alpha=alpha, margin=margin))


def noise(n: int, seed: int) -> np.ndarray:
    """Images whose classes differ, and so do their sizes."""
    rng = np.random.default_rng(seed)
    return (rng.normal(size=(n, 3, 12, 12)) * rng.uniform(0.5, 1, (n, 1, 1, 1))).astype(np.float32)


@pytest.fixture(scope="module")
def rough(exact: Graph) -> Graph:
    return approximated(exact, 5, margin=4)


@pytest.fixture(scope="module")
def narrow(exact: Graph) -> Graph:
    return approximated(exact, 12, margin=1.0)


def batches(size: int, scale: float = 1.0) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    images, labels = noise(N, 9) * np.float32(scale), np.arange(N) % 10
    for start in range(0, N, size):
        yield images[start : start + size], labels[start : start + size]


def test_the_counts_are_those_of_both_outputs(exact: Graph, rough: Graph) -> None:
    (images, labels), *_ = batches(N)
    a, b = ar.run(exact, images, target="clear"), ar.run(rough, images)
    found = deviation(exact, rough, batches(N))
    places = [np.argsort(-outputs, axis=1, kind="stable") for outputs in (a, b)]
    top1, top5 = ([int((p[:, :k] == labels[:, None]).any(axis=1).sum()) for p in places] for k in (1, 5))
    assert [found.exact, found.approximate] == [Scores(*t, N) for t in zip(top1, top5, strict=True)]
    assert found.n == N and found.same == int((a.argmax(axis=1) == b.argmax(axis=1)).sum())
    assert found.error_rms == pytest.approx(math.sqrt(np.mean((b.astype(float) - a) ** 2)), rel=1e-6)
    assert found.output_rms == pytest.approx(math.sqrt(np.mean(a.astype(float) ** 2)), rel=1e-6)
    assert found.relative_percent == pytest.approx(100 * (top1[1] - top1[0]) / top1[0])


def test_the_spans_hold_what_the_polynomials_read(exact: Graph, rough: Graph) -> None:
    (images, _), *_ = batches(N)
    values = ar.run(rough, images, every=True)
    nodes = {node.output: node for node in rough.nodes if node.op == "polynomial"}
    found = deviation(exact, rough, batches(5))
    assert [span.name for span in found.spans] == list(nodes)
    for span in found.spans:
        read = values[nodes[span.name].inputs[0]]
        assert (span.lo, span.hi) == pytest.approx((read.min(), read.max()), rel=1e-5)
        assert span.bound == nodes[span.name].attrs["bound"] and span.share < 1
    assert "model.py:3" in {span.name: span.source for span in found.spans}["relu"]


def test_how_the_images_are_cut_does_not_count(exact: Graph, rough: Graph) -> None:
    one, other = (deviation(exact, rough, batches(size)) for size in (N, 7))
    assert (one.exact, one.approximate, one.same) == (other.exact, other.approximate, other.same)
    assert one.error_rms == pytest.approx(other.error_rms, rel=1e-4)


def test_images_without_classes_have_no_scores(exact: Graph, rough: Graph) -> None:
    found = deviation(exact, rough, [(images, None) for images, _ in batches(8)])
    assert found.exact is None and found.approximate is None and found.relative_percent is None
    assert found.same == deviation(exact, rough, batches(8)).same


def test_a_range_that_is_exceeded_names_layer_image_value_and_bound(exact: Graph, rough: Graph) -> None:
    large = [(images * np.float32(1 + 9 * (i == 2)), labels) for i, (images, labels) in enumerate(batches(5))]
    with pytest.raises(RangeEscape) as caught:
        deviation(exact, rough, large)
    escape = caught.value
    assert 10 <= escape.image < 15 and escape.value_name == "bn1" and abs(escape.value) > escape.bound
    assert escape.enough >= abs(escape.value)


def test_a_search_raises_that_bound_and_goes_on(exact: Graph, narrow: Graph) -> None:
    found = deviation(exact, narrow, batches(6, scale=1.5), step=0.25)
    assert found.raised and found.n == N and found.approximate.finite == N
    assert [r.image for r in found.raised] == sorted(r.image for r in found.raised)
    for raised in found.raised:
        steps = (raised.after - raised.before) / 0.25
        assert abs(raised.value) <= raised.after and steps == pytest.approx(round(steps)) and round(steps) >= 1
    wide = with_bounds(narrow, found.bounds)
    assert {n.output: n.attrs["bound"] for n in wide.nodes if n.op == "polynomial"} == found.bounds
    again = deviation(exact, wide, batches(6, scale=1.5))
    assert again.raised == () and again.bounds == found.bounds
    assert all(span.share <= 1 for span in again.spans)


def test_several_networks_share_one_pass_and_an_escape_ends_only_its_own(
    exact: Graph, rough: Graph, narrow: Graph
) -> None:
    read = []

    def watched() -> Iterator[tuple[np.ndarray, np.ndarray]]:
        for batch in batches(8, scale=1.25):
            read.append(len(batch[0]))
            yield batch

    found = deviations(exact, {5: rough, 12: narrow}, watched())
    assert isinstance(found[12], RangeEscape) and isinstance(found[5], Deviation)
    assert read == [8, 8, 8] and found[5] == deviation(exact, rough, batches(8, scale=1.25))
    read.clear()
    assert list(deviations(exact, {1: narrow}, watched())) == [1] and read == [8]


def linear(weight: np.ndarray) -> Graph:
    builder = Builder("float")
    x = builder.input("x", (-1, weight.shape[1]))
    return builder.graph(builder.add("linear", x, builder.constant("w", weight.astype(np.float32)), name="y"))


def test_what_is_not_finite_is_never_right() -> None:
    graph = linear(np.array([[1, 0], [0, 1]]))
    broken = linear(np.array([[3e38, 0], [0, 1]]))
    images = np.array([[2, 1], [1, 2], [0, 1], [-1, 1]], np.float32)  # 3e38 * 2 is infinite
    found = deviation(graph, broken, [(images, np.array([0, 1, 1, 1]))])
    assert (found.exact, found.approximate) == (Scores(4, 4, 4), Scores(2, 3, 3))
    assert found.same == 2


def test_equal_outputs_are_ordered_by_class() -> None:
    graph = linear(np.ones((7, 1)))
    found = deviation(graph, graph, [(np.ones((7, 1), np.float32), np.arange(7))])
    assert found.exact == Scores(1, 5, 7) and found.same == 7


def test_no_image_and_a_foreign_class_are_refused(exact: Graph, rough: Graph) -> None:
    with pytest.raises(UsageError, match="there is nothing to compare the networks on"):
        deviation(exact, rough, [])
    with pytest.raises(UsageError) as caught:
        deviation(exact, rough, [(noise(2, 0), np.array([3, 10]))])
    assert str(caught.value) == (
        "there is an image of class 10\n"
        "  why  the network knows 10 classes, from 0 on\n"
        "  fix  compare on the data set that the network was trained on"
    )
