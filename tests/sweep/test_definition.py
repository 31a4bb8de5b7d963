"""The definition of a sweep in TOML: read, checked in its names and forms, written so that it reads back."""

from __future__ import annotations

from pathlib import Path

import pytest

from arithmos.errors import UsageError
from arithmos.lower.recipe import Recipe, plain
from arithmos.sweep.definition import NETWORK, Definition, as_table, differences, read_definition, write_definition
from arithmos.sweep.grid import grid_of

SWEEP = """
[grid]
bits = "1-3"
scalar = [1.0, 1.5]
network = ["a", "b"]

[recipe]
rounding = "gpfq"
retain_rate = "none"
overrides = { fc = { weight_bits = 8, scalar = "none" } }

[[network]]
name = "a"
model = "resnet20"
weights = "a.safetensors"
mean = [0.5, 0.5, 0.5]

[[network]]
name = "b"
model = "resnet20"
n_calibration = 64
"""


def read(tmp_path: Path, text: str) -> Definition:
    file = tmp_path / "sweep.toml"
    file.write_text(text)
    return read_definition(file)


def test_a_definition_is_read(tmp_path: Path) -> None:
    found = read(tmp_path, SWEEP)
    assert grid_of(found.grid) == {"bits": (1, 2, 3), "scalar": (1.0, 1.5), "network": ("a", "b")}
    overrides = {"fc": {"weight_bits": 8, "scalar": None}}
    assert found.recipe == {"rounding": "gpfq", "retain_rate": None, "overrides": overrides}
    assert [network["name"] for network in found.networks] == ["a", "b"]


def test_what_is_written_reads_back(tmp_path: Path) -> None:
    grid = grid_of({}, ["bits=1-3", "scalar=none,1.05", "corrections=none,bias+equalize", "stochastic=true"])
    made = Definition(as_table(grid), plain(Recipe(overrides={"fc": {"scalar": None}})), ({"model": "lenet"},))
    write_definition(tmp_path, made)
    found = read_definition(tmp_path / "sweep.toml")
    assert grid_of(found.grid) == grid
    assert Recipe(**found.recipe) == Recipe(overrides={"fc": {"scalar": None}})
    assert differences(found, made) == []


def test_every_problem_is_said_at_once(tmp_path: Path) -> None:
    text = (
        '[recipe]\nweightbits = 3\n[[network]]\nmodel = "a"\nweigths = "x"\n[[network]]\nmodel = 3\nn_calibration = 0\n'
        '[[network]]\nname = "a"\nclasses = true\n'
    )
    with pytest.raises(UsageError) as caught:
        read(tmp_path, text)
    assert str(caught.value) == (
        "this sweep cannot be read\n"
        f"  at   {tmp_path / 'sweep.toml'}\n"
        "  why  [recipe] there is no 'weightbits', did you mean 'weight_bits'?\n"
        "       [[network]] 1: there is no 'weigths', did you mean 'weights'?\n"
        "       [[network]] 2: model must be a text, got 3\n"
        "       [[network]] 2: n_calibration must be an integer of 1 or more, got 0\n"
        "       [[network]] 3: classes must be an integer of 1 or more, got True\n"
        "       [[network]] 3: it names no model\n"
        "       2 networks are named 'a'\n"
        f"  fix  a sweep has [grid], [recipe] and any number of [[network]] with {', '.join(NETWORK)}"
    )


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("girds = 1", "there is no 'girds', did you mean 'grid'?"),
        ("grid = 3", "grid must be a table"),
        ("network = 'a'", "network must be a list"),
        ("network = ['a']", "[[network]] 1: it must be a table"),
        ("grid = [", "Invalid value"),
    ],
)
def test_files_of_another_form(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(UsageError) as caught:
        read(tmp_path, text)
    assert said in caught.value.why


def test_differences_are_named(tmp_path: Path) -> None:
    old = Definition(
        {"bits": [1, 2], "seed": [0]}, {"scalar": None, "levels": "published"}, ({"name": "a", "weights": "x"},)
    )
    new = Definition({"bits": [3]}, {"scalar": 1.5}, ({"name": "a", "weights": "y"},))
    assert differences(old, new) == [
        "grid bits: 1, 2 there, 3 here",
        "grid seed: 0 there, nothing here",
        "recipe scalar: None there, 1.5 here",
        "recipe levels: published there, narrow by default here",
        "a weights: x there, y here",
    ]
