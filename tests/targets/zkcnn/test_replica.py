"""The replica against the rule written out number by number, on random texts; the rule's own corners."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from arithmos.errors import UsageError
from arithmos.targets.zkcnn.configuration import Configuration, Layer, Window
from arithmos.targets.zkcnn.replica import infer, n_image, n_parameters, parameters_of
from arithmos.targets.zkcnn.rule import bits_of, next_bits, rescaled, truncated
from arithmos.targets.zkcnn.text import decimal, line, numbers_of
from targets.zkcnn.direct import direct

NETWORKS = {
    "padded, pooled": ((2, 6, 6), [{"co": 3, "k": 3, "padding": 1, "pool": 2, "pool_stride": 2}, {"co": 4}, {"co": 2}]),
    "strided": ((1, 7, 7), [{"co": 2, "k": 3, "stride": 2, "padding": 1}, {"co": 3, "k": 2}, {"co": 3}]),
    "overlapping pool, oblong": ((2, 8, 6), [{"co": 2, "k": 3, "pool": 3, "pool_stride": 2}, {"co": 5}]),
}


def configured(image: tuple[int, int, int], layers: list[dict[str, int]]) -> Configuration:
    """The same layers as a configuration; its shifts say nothing to the replica."""
    made, (channels, height, width) = [], image
    for row in layers:
        window = Window(row["k"], row.get("stride", 1), row.get("padding", 0)) if "k" in row else None
        pool = Window(row["pool"], row["pool_stride"]) if "pool" in row else None
        n_in = channels if window else channels * height * width
        made.append(Layer(f"layer{len(made)}", n_in, row["co"], 0, window, pool))
        channels = row["co"]
        for w in (window, pool) if window else ():
            if w:
                height, width = ((side + 2 * w.padding - w.size) // w.stride + 1 for side in (height, width))
        if not window:
            height = width = 1
    return Configuration("", image, tuple(made))


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("reach", [1e-3, 0.4, 1.0])
def test_the_replica_is_the_rule_on_random_numbers(name: str, reach: float) -> None:
    image, layers = NETWORKS[name]
    configuration, rng = configured(image, layers), np.random.default_rng(7)
    count = n_image(configuration) + n_parameters(configuration)
    text = " ".join(repr(float(x)) for x in rng.standard_normal(count) * reach)
    numbers = numbers_of(text, count, "")
    first, rest = np.split(numbers, [n_image(configuration)])
    found = infer(configuration, first, parameters_of(configuration, rest))
    expected = direct(text.split(), image, layers)
    assert len(expected) == len(found.accumulators) == len(layers)
    for acc, wanted in zip(found.accumulators, expected, strict=True):
        assert {tuple(map(int, place)): int(acc[place]) for place in np.ndindex(acc.shape)} == wanted
        assert len({*wanted.values()}) > 1
    assert found.shift(0) == found.value_bits[0] + found.weight_bits[0] - found.value_bits[1]


@pytest.mark.parametrize(
    ("extent", "bits"),
    [(1.0, 7), (0.5, 8), (255 / 256, 8), (127.5, 1), (127.6, 0), (255.0, 0), (256.0, -1), (1000.0, -2), (9000.0, -6)],
)
def test_bits_of_an_extent(extent: float, bits: int) -> None:
    assert bits_of(np.array([-extent / 4, 3 * extent / 4]), "") == bits


@pytest.mark.parametrize(
    ("extent", "bits"), [(255, 8), (256, 7), (128, 8), (127, 9), (1, 15), (1 << 17, -1), (1 << 16, 0)]
)
def test_next_bits_take_both_signs_and_round_towards_zero(extent: int, bits: int) -> None:
    assert next_bits(np.array([extent - extent // 3, 0, -(extent // 3)]), 8, "") == bits


def test_numbers_are_cut_towards_zero() -> None:
    assert truncated(np.array([-0.99, -1.5, 1.99, 0.3]), 1).tolist() == [-1.0, -3.0, 3.0, 0.0]


def test_half_goes_down_and_the_sign_away() -> None:
    assert rescaled(np.array([-9, -8, 7, 8, 15, 16, 2047]), 3, "").tolist() == [0, 0, 0, 1, 1, 2, 255]


@given(st.integers(-(2**40), 2**40), st.integers(0, 40))
def test_decimals_are_exact(number: int, bits: int) -> None:
    word = decimal(number, bits)
    assert Fraction(word) == Fraction(number, 2**bits)
    assert float(word) * 2.0**bits == number
    assert not word.endswith(".") and ("." not in word or not word.endswith("0"))


def test_a_line_is_a_tensor_in_row_major_order() -> None:
    assert line(np.array([[1, -3], [0, 256]]), 8) == "0.00390625 -0.01171875 0 1\n"


@pytest.mark.parametrize("size", [2, 1000])
def test_narrow_integers_of_any_reach(size: int) -> None:
    levels = np.resize(np.array([-128, 127, 64], np.int8), size)
    assert numbers_of(line(levels, 8), size, "").tolist() == [int(level) / 256 for level in levels]


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("1 2", "it has 2 numbers, the image and the layers take 3"),
        ("1 2 3 4", "it has 4 numbers, the image and the layers take 3"),
        ("1 x 3", "could not convert string to float: 'x'"),
        ("1 nan 3", "a number is not finite"),
        ("", "it has 0 numbers, the image and the layers take 3"),
    ],
)
def test_texts_that_are_none(text: str, why: str) -> None:
    with pytest.raises(UsageError) as caught:
        numbers_of(text, 3, "input.txt")
    assert str(caught.value) == (
        "this is no text for this zkCNN network\n"
        "  at   input.txt\n"
        f"  why  {why}\n"
        "  fix  write it again with `arithmos export --target zkcnn`"
    )


def test_what_the_rule_has_no_answer_to() -> None:
    with pytest.raises(UsageError, match="the image: all its numbers are equal"):
        bits_of(np.ones(4), "the image")
    with pytest.raises(UsageError, match="fc: all its accumulators are zero"):
        next_bits(np.zeros(4, np.int64), 8, "fc")
    with pytest.raises(UsageError, match="fc: zkCNN would shift its accumulators by -1 bits"):
        rescaled(np.array([3, -2]), -1, "fc")
    with pytest.raises(UsageError, match="fc: an activation of 256 does not fit Q = 9 bits"):
        rescaled(np.array([1024]), 2, "fc")


def test_sums_that_float64_cannot_hold_are_refused() -> None:
    configuration = configured((1, 1, 2), [{"co": 1}])
    with pytest.raises(UsageError, match="layer0: its sums do not fit 53 bits"):
        infer(configuration, np.array([0.0, 1.0]), parameters_of(configuration, np.array([0.0, 1.0, 2.0**60])))
