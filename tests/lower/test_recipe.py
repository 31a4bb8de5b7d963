"""The recipe: every field has its effect checked, TOML goes in and out, and bad ones name every problem."""

from __future__ import annotations

import copy
import dataclasses
import tomllib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from arithmos.errors import UsageError
from arithmos.lower.recipe import (
    BIT_RANGES,
    CHOICES,
    CORRECTIONS,
    PER_NODE,
    Recipe,
    as_toml,
    from_mapping,
    read_recipe,
    refuse_unmatched,
)

observers = st.sampled_from(["auto", "minmax", "mse", "percentile:99.9", "percentile:100"])
PER_NODE_VALUES = {
    "weight_bits": st.integers(1, 16),
    "activation_bits": st.integers(1, 16),
    "weight_observer": observers,
    "activation_observer": observers,
    "weight_scale": st.sampled_from(["channel", "tensor"]),
}
recipes = st.builds(
    Recipe,
    **PER_NODE_VALUES,
    edge_bits=st.integers(1, 16),
    scales=st.sampled_from(["dyadic", "power_of_two"]),
    joins=st.sampled_from(["fused", "equal"]),
    multiplier_bits=st.integers(8, 31),
    rounding=st.sampled_from(["nearest", "descent", "adaround"]),
    corrections=st.sets(st.sampled_from(CORRECTIONS)).map(tuple),
    overrides=st.dictionaries(
        st.sampled_from(["layer1.*", "*", "fc", 'we"ird key', "a.b[0]"]),
        st.fixed_dictionaries({}, optional=PER_NODE_VALUES),
        max_size=3,
    ),
)


def test_every_field_is_tried_below() -> None:
    names = {f.name for f in dataclasses.fields(Recipe)}
    others = {"edge_bits", "scales", "joins", "multiplier_bits", "rounding", "corrections", "overrides"}
    assert names == {*PER_NODE_VALUES, *others}
    assert set(PER_NODE) == set(PER_NODE_VALUES)
    assert set(BIT_RANGES) | set(CHOICES) <= names
    assert all(f.metadata["help"] for f in dataclasses.fields(Recipe))


@given(recipes)
def test_toml_round_trip(recipe: Recipe) -> None:
    text = as_toml(recipe, {"layer1.0.conv1": "conv", "fc": "linear"})
    assert from_mapping(tomllib.loads(text)) == recipe


def test_the_default_file_is_pinned() -> None:
    assert as_toml(Recipe()) == (
        "# bits of weights, 1 to 8 (to 16 where no fast kernel is needed); 1: -1 and 1, 2: also 0\n"
        "weight_bits = 8\n"
        "# bits of the values between layers, 1 to 16; 1: 0 and 1, of both signs -1, 0, 1\n"
        "activation_bits = 8\n"
        "# bits of the inputs, and at least so many for weights and inputs of the first and last layers\n"
        "edge_bits = 8\n"
        "# auto, minmax, mse, percentile:P; auto is minmax from 7 bits on, else mse\n"
        'weight_observer = "auto"\n'
        "# auto, minmax, mse, percentile:P, or zkcnn (that prover's rule); auto: minmax from 7 bits on, "
        "mse at 5 and 6, then percentile:99.9\n"
        'activation_observer = "auto"\n'
        "# one weight scale a channel, or one in all\n"
        'weight_scale = "channel"\n'
        "# dyadic, or power_of_two (with tensor scales and equal joins: shifts alone)\n"
        'scales = "dyadic"\n'
        "# residual joins: fused (one rounding) or equal (operands on one scale, the add is free)\n"
        'joins = "fused"\n'
        "# requantize multipliers stay below 2**this\n"
        "multiplier_bits = 24\n"
        "# of weights: nearest, or learned on the layer's inputs: descent (fast), adaround\n"
        'rounding = "nearest"\n'
        "# equalize (cross-layer equalisation), bias (bias correction), batch_norm (re-estimation)\n"
        "corrections = []\n"
    )


def test_nodes_are_listed_as_comments_with_what_they_would_get() -> None:
    recipe = Recipe(overrides={"layer1.*": {"weight_bits": 4}})
    text = as_toml(recipe, {"layer1.conv1": "conv"})
    assert (
        '# [overrides."layer1.conv1"]  # conv\n'
        "# weight_bits = 4\n"
        "# activation_bits = 8\n"
        '# weight_observer = "auto"\n'
        '# activation_observer = "auto"\n'
        '# weight_scale = "channel"\n'
    ) in text
    opened = "\n".join(
        line.removeprefix("# ") if "[overrides." in line or line.startswith("# weight_bits") else line
        for line in text.splitlines()[-6:]
    )
    assert from_mapping(tomllib.loads(opened)).overrides == {"layer1.conv1": {"weight_bits": 4}}


def test_reading_a_file(tmp_path: Path) -> None:
    path = tmp_path / "int4.toml"
    path.write_text('weight_bits = 4\ncorrections = ["bias"]\n[overrides."layer1.*"]\nweight_bits = 8\n')
    assert read_recipe(path) == Recipe(weight_bits=4, corrections=("bias",), overrides={"layer1.*": {"weight_bits": 8}})


def test_overrides_match_by_glob_and_later_ones_win() -> None:
    recipe = Recipe(
        weight_bits=6, overrides={"layer*": {"weight_bits": 4, "activation_bits": 5}, "*.conv2": {"weight_bits": 3}}
    )
    assert recipe.at("stem").weight_bits == 6
    assert (recipe.at("layer1.conv1").weight_bits, recipe.at("layer1.conv1").activation_bits) == (4, 5)
    assert (recipe.at("layer1.conv2").weight_bits, recipe.at("layer1.conv2").activation_bits) == (3, 5)
    assert recipe.at("", "other", "layer9").weight_bits == 4, "any of a node's names may match"
    assert recipe.at("Layer1.conv1").weight_bits == 6, "case counts"


@pytest.mark.parametrize(
    ("bits", "weights", "activations"),
    [
        (8, "minmax", "minmax"),
        (7, "minmax", "minmax"),
        (6, "mse", "mse"),
        (5, "mse", "mse"),
        (4, "mse", "percentile:99.9"),
    ],
)
def test_auto_observers(bits: int, weights: str, activations: str) -> None:
    recipe = Recipe(weight_bits=bits, activation_bits=bits)
    assert (recipe.weight_observer_used, recipe.activation_observer_used) == (weights, activations)
    chosen = Recipe(weight_bits=bits, weight_observer="mse", activation_observer="percentile:99")
    assert (chosen.weight_observer_used, chosen.activation_observer_used) == ("mse", "percentile:99")


def test_a_recipe_is_frozen() -> None:
    recipe = Recipe(overrides={"a": {"weight_bits": 4}})
    with pytest.raises(dataclasses.FrozenInstanceError):
        recipe.weight_bits = 4  # type: ignore[misc]
    with pytest.raises(TypeError):
        recipe.overrides["a"]["weight_bits"] = 3  # type: ignore[index]


def refusal(**fields: Any) -> UsageError:
    with pytest.raises(UsageError) as caught:
        Recipe(**fields)
    return caught.value


def test_every_bad_value_is_named_at_once() -> None:
    error = refusal(
        weight_bits=0,
        activation_bits=8.0,
        edge_bits=True,
        weight_observer="max",
        weight_scale="row",
        scales="dyadic2",
        joins="none",
        rounding="up",
        multiplier_bits=32,
        corrections=("bias", "adaround"),
        overrides={"fc": {"joins": "equal", "weight_bits": 99}},
    )
    assert str(error) == (
        "this recipe cannot be followed\n"
        "  why  weight_bits must be an integer from 1 to 16, got 0\n"
        "       activation_bits must be an integer from 1 to 16, got 8.0\n"
        "       edge_bits must be an integer from 1 to 16, got True\n"
        "       weight_observer must be auto, minmax, mse or percentile:P with 0 < P <= 100, got 'max'\n"
        "       weight_scale must be one of channel, tensor, got 'row'\n"
        "       scales must be one of dyadic, power_of_two, got 'dyadic2'\n"
        "       joins must be one of fused, equal, got 'none'\n"
        "       multiplier_bits must be an integer from 8 to 31, got 32\n"
        "       rounding must be one of nearest, descent, adaround, got 'up'\n"
        "       there is no correction 'adaround', there are equalize, bias, batch_norm\n"
        "       overrides.'fc': 'joins' cannot differ between nodes "
        "(only weight_bits, activation_bits, weight_observer, activation_observer, weight_scale)\n"
        "       overrides.'fc': weight_bits must be an integer from 1 to 16, got 99\n"
        "  fix  the fields and their values are listed by `arithmos quantize --help`"
    )


@pytest.mark.parametrize(
    ("fields", "why"),
    [
        ({"corrections": "bias"}, "corrections must be a list, got 'bias'"),
        ({"corrections": 5}, "corrections must be a list, got 5"),
        ({"overrides": 5}, "overrides must be tables named by globs, got 5"),
        ({"overrides": {"weight_bits": 4}}, "overrides.'weight_bits' must be a table of fields, got 4"),
        (
            {"activation_observer": 99.9},
            "activation_observer must be auto, minmax, mse, zkcnn or percentile:P with 0 < P <= 100, got 99.9",
        ),
        ({"weight_scale": ["channel"]}, "weight_scale must be one of channel, tensor, got ['channel']"),
        ({"weight_bits": "8"}, "weight_bits must be an integer from 1 to 16, got '8'"),
    ],
)
def test_values_of_the_wrong_type(fields: dict[str, Any], why: str) -> None:
    assert refusal(**fields).why == why


def test_unknown_keys_name_the_closest_known_one() -> None:
    with pytest.raises(UsageError) as caught:
        from_mapping({"wieght_bits": 8, "joins": "fused", "zzz": 1}, "int8.toml")
    assert str(caught.value) == (
        "this recipe has unknown keys\n"
        "  at   int8.toml\n"
        "  why  there is no 'wieght_bits', did you mean 'weight_bits'?\n"
        "       there is no 'zzz'\n"
        "  fix  the keys are weight_bits, activation_bits, edge_bits, weight_observer, activation_observer, "
        "weight_scale, scales, joins, multiplier_bits, rounding, corrections, overrides"
    )


def test_an_unknown_field_in_python_is_the_same_error() -> None:
    with pytest.raises(UsageError) as caught:
        Recipe(weigth_bits=4)  # type: ignore[call-arg]
    assert "\n  why  there is no 'weigth_bits', did you mean 'weight_bits'?\n" in str(caught.value)
    recipe = Recipe(weight_bits=4)
    assert copy.copy(recipe) == recipe == dataclasses.replace(Recipe(), weight_bits=4)


def test_overrides_that_match_nothing_name_the_closest() -> None:
    recipe = Recipe(overrides={"layer1.conv9": {"weight_bits": 4}, "fc": {}, "zzz*": {"weight_bits": 3}})
    with pytest.raises(UsageError) as caught:
        refuse_unmatched(recipe, {"layer1.conv1", "layer1.conv2", "fc", "x"})
    assert str(caught.value) == (
        "2 overrides of the recipe match no node\n"
        "  why  'layer1.conv9' matches nothing; close are layer1.conv2, layer1.conv1\n"
        "       'zzz*' matches nothing\n"
        "  fix  `arithmos quantize --write-recipe FILE` lists every node"
    )
    refuse_unmatched(Recipe(overrides={"layer?.*": {}}), {"layer1.conv1"})


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"^the recipe cannot be read\n  at   .*none.toml\n  why  .*No such file"):
        read_recipe(tmp_path / "none.toml")
    (tmp_path / "bad.toml").write_text("weight_bits = = 8\n")
    with pytest.raises(UsageError, match=r"^the recipe is not TOML\n  at   .*bad.toml\n  why  .*line 1"):
        read_recipe(tmp_path / "bad.toml")
    (tmp_path / "binary.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(UsageError, match=r"^the recipe is not TOML\n"):
        read_recipe(tmp_path / "binary.toml")
