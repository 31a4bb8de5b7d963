"""Bits of all layers: over those of "*", whose other fields stay, and after what is said of single layers."""

from __future__ import annotations

from arithmos.lower.all_layers import of_all_layers
from arithmos.lower.recipe import Recipe


def test_bits_go_into_the_table_of_all_layers() -> None:
    assert of_all_layers(3, {}) == {"*": {"weight_bits": 3}}
    assert of_all_layers(3, {"*": {"weight_bits": 5, "activation_bits": 4}}) == {
        "*": {"weight_bits": 3, "activation_bits": 4}
    }


def test_single_layers_go_before_it_wherever_it_stood() -> None:
    overrides = {"fc": {"weight_bits": 8}, "*": {"scalar": 1.5}}
    found = of_all_layers(2, overrides)
    assert list(found.items()) == [("*", {"scalar": 1.5, "weight_bits": 2}), ("fc", {"weight_bits": 8})]
    assert Recipe(overrides=found).chosen("fc") == {"scalar": 1.5, "weight_bits": 8}
    assert overrides == {"fc": {"weight_bits": 8}, "*": {"scalar": 1.5}}
