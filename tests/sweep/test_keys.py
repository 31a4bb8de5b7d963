"""The keys of a grid: every field of a recipe is one."""

from __future__ import annotations

from dataclasses import fields

from arithmos.lower.recipe import Recipe
from arithmos.sweep.keys import ALIASES, FIELD_OF, KEYS, OWN, names


def test_every_field_of_a_recipe_is_a_key_but_the_overrides() -> None:
    assert KEYS.keys() - OWN.keys() == {f.name for f in fields(Recipe)} - {"overrides"}


def test_second_names_lead_to_keys_and_hide_none() -> None:
    assert set(ALIASES.values()) | set(FIELD_OF.values()) <= KEYS.keys()
    assert not ALIASES.keys() & KEYS.keys() and len(names()) == len(set(names()))


def test_kinds_follow_the_types_of_the_fields() -> None:
    kinds = {name: (KEYS[name].kind, KEYS[name].optional) for name in ("weight_bits", "scalar", "fusion", "levels")}
    assert kinds == {
        "weight_bits": (int, False),
        "scalar": (float, True),
        "fusion": (bool, False),
        "levels": (str, False),
    }
    assert KEYS["corrections"].kind is tuple and KEYS["mlp_scalar"].optional and not KEYS["mlp_percentile"].optional
