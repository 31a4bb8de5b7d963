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
from arithmos.lower.recipe import Recipe, as_toml, from_mapping, read_recipe, refuse_unmatched
from arithmos.lower.recipe_rules import BOOLEANS, CHOICES, CORRECTIONS, INTEGERS, NUMBERS, PER_NODE, problems_of

DEFAULTS = {f.name: getattr(Recipe(), f.name) for f in dataclasses.fields(Recipe)}


def _goes_together(chosen: dict[str, Any]) -> bool:
    return not problems_of({**DEFAULTS, **chosen})


observers = st.sampled_from(["auto", "minmax", "mse", "percentile:99.9", "percentile:100"])
PER_NODE_VALUES = {
    "weight_bits": st.integers(1, 16),
    "activation_bits": st.integers(1, 16),
    "weight_observer": observers,
    "activation_observer": observers,
    "weight_scale": st.sampled_from(["channel", "tensor"]),
    "scalar": st.floats(0.1, 4),
    "percentile": st.floats(0.5, 1),
}
VALUES = {
    **PER_NODE_VALUES,
    **{name: st.sampled_from(words) for name, words in CHOICES.items() if name not in PER_NODE_VALUES},
    **{name: st.integers(*ends) for name, ends in INTEGERS.items() if name not in PER_NODE_VALUES},
    "scalar": st.none() | st.floats(0.1, 4),
    "retain_rate": st.none() | st.floats(0.1, 1),
    "lamb": st.floats(0.01, 1),
    "damping": st.floats(0, 1),
    "fusion": st.booleans(),
    "corrections": st.sets(st.sampled_from(CORRECTIONS)).map(tuple),
    "overrides": st.dictionaries(
        st.sampled_from(["layer1.*", "*", "fc", 'we"ird key', "a.b[0]"]),
        st.fixed_dictionaries({}, optional=PER_NODE_VALUES),
        max_size=3,
    ),
}
recipes = st.fixed_dictionaries({}, optional=VALUES).filter(_goes_together).map(lambda chosen: Recipe(**chosen))


def test_every_field_is_tried_below() -> None:
    names = {f.name for f in dataclasses.fields(Recipe)}
    assert names == set(VALUES)
    assert set(PER_NODE) == set(PER_NODE_VALUES)
    assert {*INTEGERS, *CHOICES, *NUMBERS, *BOOLEANS} <= names
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
        "# auto, minmax, mse, percentile:P, or hessian (least error of the layer's outputs); auto is minmax from 7 "
        "bits on, else hessian where gpfq, spfq or gptq solves, else mse\n"
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
        "# of weights: nearest, or solved on the layer's inputs: descent, adaround, gpfq, gpfq+descent, spfq, "
        "spfq+descent, gptq, gptq+descent, gptq_corrected, gptq_corrected+descent\n"
        'rounding = "nearest"\n'
        "# equalize (cross-layer equalisation), bias (bias correction), batch_norm (re-estimation)\n"
        "corrections = []\n"
        "# of b-bit weights: narrow, 2^b - 1 that fit b bits, or published (GPFQ's papers), 2^b + 1\n"
        'levels = "narrow"\n'
        "# one weight step a layer, as published: scalar / last level * mean over its rows of the quantile "
        "`percentile` of |w|; by default weight_observer chooses\n"
        "# scalar =\n"
        "# the quantile that goes with scalar, above 0; 1: largest\n"
        "percentile = 1.0\n"
        "# scalar sees weights with their batch norm folded in\n"
        "fusion = true\n"
        "# what a layer is solved on: inputs of the float network (none), of the network quantized so far in its "
        "weights, or in its activations too\n"
        'error_correction = "activations"\n'
        "# sparse weights by gpfq: soft (L1) or hard (L0) threshold lamb\n"
        'regularizer = "none"\n'
        "# threshold of the regularizer, in weights\n"
        "lamb = 0.1\n"
        "# windows a convolution is solved on: all of its own (drawn from, where there are plenty), or published: "
        "apart from each other, drawn with replacement\n"
        'patches = "all"\n'
        "# share of the windows of an image; by default 0.25 of published ones, of all what is enough\n"
        "# retain_rate =\n"
        "# how often weights are solved and steps fitted to them in turn, 0 to 10\n"
        "learned_scale = 0\n"
        "# columns are solved in their own order, or those of most energy first\n"
        'order = "natural"\n'
        "# added to the diagonal of a Gram matrix, as a share of its mean; not by gpfq\n"
        "damping = 0.01\n"
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
        "# scalar =\n"
        "# percentile = 1.0\n"
    ) in text
    opened = "\n".join(
        line.removeprefix("# ") if "[overrides." in line or line.startswith("# weight_bits") else line
        for line in text.splitlines()[-8:]
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
        "       weight_observer must be auto, minmax, mse, hessian or percentile:P with 0 < P <= 100, got 'max'\n"
        "       weight_scale must be one of channel, tensor, got 'row'\n"
        "       scales must be one of dyadic, power_of_two, got 'dyadic2'\n"
        "       joins must be one of fused, equal, got 'none'\n"
        "       multiplier_bits must be an integer from 8 to 31, got 32\n"
        "       rounding must be one of nearest, descent, adaround, gpfq, gpfq+descent, spfq, spfq+descent, gptq, "
        "gptq+descent, gptq_corrected, gptq_corrected+descent, got 'up'\n"
        "       there is no correction 'adaround', there are equalize, bias, batch_norm\n"
        "       overrides.'fc': 'joins' cannot differ between nodes "
        "(only weight_bits, activation_bits, weight_observer, activation_observer, weight_scale, scalar, percentile)\n"
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
        ({"scalar": 0}, "scalar must be a number above 0, at most 1000, got 0"),
        ({"scalar": float("nan")}, "scalar must be a number above 0, at most 1000, got nan"),
        ({"percentile": 1.5}, "percentile must be a number above 0, at most 1, got 1.5"),
        ({"retain_rate": True}, "retain_rate must be a number above 0, at most 1, got True"),
        ({"damping": -0.5}, "damping must be a number, 0 or above, got -0.5"),
        ({"fusion": 1}, "fusion must be true or false, got 1"),
    ],
)
def test_values_of_the_wrong_type(fields: dict[str, Any], why: str) -> None:
    assert refusal(**fields).why == why


@pytest.mark.parametrize(
    ("fields", "why"),
    [
        (
            {"scalar": 1.16, "weight_observer": "hessian"},
            "scalar and weight_observer both choose the weight steps: leave one of them out",
        ),
        ({"regularizer": "L1"}, "regularizer L1 needs rounding gpfq or gpfq+descent, got nearest"),
        (
            {"regularizer": "L0", "rounding": "gpfq", "overrides": {"*": {"weight_bits": 1}}},
            "overrides.'*': regularizer L0 needs a level 0: 1-bit weights are -1 and 1 (levels published: also 0)",
        ),
        (
            {"scalar": 1.16, "fusion": False, "overrides": {"fc": {"weight_scale": "tensor"}}},
            "overrides.'fc': fusion false needs weight_scale channel: folding gives each row a step of its own",
        ),
        (
            {"rounding": "gpfq", "regularizer": "L1", "scalar": 1.16, "fusion": False},
            "regularizer L1 needs fusion: its threshold is one for all rows of folded weights",
        ),
        ({"learned_scale": 2}, "learned_scale needs a rounding that is solved, got nearest"),
        (
            {"learned_scale": 2, "rounding": "gpfq", "scales": "power_of_two"},
            "learned_scale needs scales dyadic: powers of two cannot follow it",
        ),
        ({"retain_rate": 0.25}, "retain_rate is of the windows a rounding is solved on, and rounding is nearest"),
    ],
)
def test_fields_that_do_not_go_together(fields: dict[str, Any], why: str) -> None:
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
        "weight_scale, scales, joins, multiplier_bits, rounding, corrections, levels, scalar, percentile, fusion, "
        "error_correction, regularizer, lamb, patches, retain_rate, learned_scale, order, damping, overrides"
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
