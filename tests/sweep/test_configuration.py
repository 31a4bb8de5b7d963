"""A point of the grid and the recipe that all runs share become the recipe of one run."""

from __future__ import annotations

from typing import Any

import pytest

from arithmos.errors import UsageError
from arithmos.lower.recipe import Recipe, plain
from arithmos.sweep.configuration import check_base, check_points, recipe_at, said
from arithmos.sweep.grid import grid_of, points

LAYERS = {"conv": ["conv1", "block[0].conv"], "linear": ["fc"]}


def at(point: dict[str, Any], **base: Any) -> Recipe:
    return Recipe(**recipe_at(point, plain(Recipe(**base)), LAYERS))


def test_bits_are_those_of_every_layer_unless_an_override_says_otherwise() -> None:
    recipe = at({"bits": 3}, overrides={"fc": {"weight_bits": 8}})
    assert [recipe.at(name).weight_bits for name in ("conv1", "block[0].conv", "fc")] == [3, 3, 8]
    assert recipe.chosen("conv1") == {"weight_bits": 3}  # an override: it goes before edge_bits
    assert at({"weight_bits": 3}).chosen("conv1") == {}


def test_bits_of_a_grid_go_into_what_the_base_says_of_all_layers() -> None:
    recipe = at({"bits": 2}, overrides={"fc": {"weight_bits": 8}, "*": {"weight_bits": 3, "activation_bits": 4}})
    assert recipe.chosen("conv1") == {"weight_bits": 2, "activation_bits": 4}
    assert recipe.chosen("fc") == {"weight_bits": 8, "activation_bits": 4}


def test_scalars_and_percentiles_go_to_linear_or_conv_layers() -> None:
    recipe = at(
        {"mlp_scalar": 2.0, "cnn_percentile": 0.9}, scalar=1.5, rounding="gpfq", overrides={"fc": {"weight_bits": 4}}
    )
    found = {name: recipe.at(name) for name in ("conv1", "block[0].conv", "fc")}
    assert [(r.scalar, r.percentile) for r in found.values()] == [(1.5, 0.9), (1.5, 0.9), (2.0, 1.0)]
    assert found["fc"].weight_bits == 4


@pytest.mark.parametrize("rounding", ["gpfq", "gpfq+descent", "spfq"])
def test_stochastic_gpfq_is_spfq(rounding: str) -> None:
    assert at({"stochastic": True, "rounding": rounding}).rounding == rounding.replace("gpfq", "spfq")


def test_the_base_is_left_as_it_was() -> None:
    base = plain(Recipe(overrides={"fc": {"weight_bits": 8}}))
    recipe_at({"bits": 2, "mlp_scalar": 1.0, "rounding": "gpfq"}, base, LAYERS)
    assert base == plain(Recipe(overrides={"fc": {"weight_bits": 8}}))


def test_what_does_not_go_together_is_said_once_with_its_first_run() -> None:
    grid = grid_of({}, ["bits=2,3", "weight_bits=4", "method=nearest", "stochastic=true", "regularizer=none,L1"])
    with pytest.raises(UsageError) as caught:
        check_points(points(grid), plain(Recipe()))
    first = "first at bits=2 weight_bits=4 rounding=nearest stochastic=true"
    assert str(caught.value) == (
        "some of these runs cannot be\n"
        f"  why  bits and weight_bits both choose the bits of weights: leave one out ({first} regularizer=none)\n"
        f"       stochastic true goes with rounding gpfq or spfq, not nearest ({first} regularizer=none)\n"
        f"       regularizer L1 needs rounding gpfq or gpfq+descent, got nearest ({first} regularizer=L1)\n"
        "  fix  leave those values out, or make two sweeps"
    )


@pytest.mark.parametrize(
    ("wrong", "why"),
    [
        ({"overrides": 3}, "overrides must be tables named by globs, got 3"),
        ({"overrides": {"a": 3}}, "overrides.'a' must be a table of fields, got 3"),
        ({"corrections": "bias"}, "corrections must be a list, got 'bias'"),
        (
            {"lamb": "x", "fusion": 1},
            "fusion must be true or false, got 1\n       lamb must be a number above 0, got 'x'",
        ),
    ],
)
def test_a_base_that_is_no_recipe_is_refused(wrong: dict[str, Any], why: str) -> None:
    with pytest.raises(UsageError) as caught:
        check_base(plain(Recipe()) | wrong, "sweep.toml")
    assert str(caught.value) == (
        f"the recipe that all runs share cannot be followed\n  at   sweep.toml\n  why  {why}\n"
        "  fix  the fields and their values are listed by `arithmos sweep --help`"
    )


def test_a_grid_mends_what_the_base_alone_would_not_be() -> None:
    base = plain(Recipe()) | {"regularizer": "L1"}
    check_points([{"rounding": "gpfq"}], base)
    with pytest.raises(UsageError, match="regularizer L1 needs rounding gpfq"):
        check_points([{"bits": 3}], base)


def test_a_point_for_people() -> None:
    point = {"bits": 3, "scalar": None, "corrections": ("bias", "equalize"), "stochastic": True, "lamb": 0.1}
    assert said(point) == "bits=3 scalar=none corrections=bias+equalize stochastic=true lamb=0.1"
    assert said({"corrections": ()}) == "corrections=none" and said({}) == "the only run"
