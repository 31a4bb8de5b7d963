"""Grids: texts and tables become values, everything wrong is said at once, the product is whole and in order."""

from __future__ import annotations

from typing import Any

import pytest

from arithmos.errors import UsageError
from arithmos.sweep.grid import MOST_RUNS, grid_of, points, spread

FIX = (
    "for example --grid bits=1-8 scalar=1.0:2.0:0.05 method=gpfq,spfq; the keys are the fields of a recipe and bits, "
    "method, lambda, stochastic, mlp_scalar, cnn_scalar, mlp_percentile, cnn_percentile, n_calibration, seed, network"
)


def refused(*items: str, **table: Any) -> list[str]:
    """The lines of the reason."""
    with pytest.raises(UsageError) as caught:
        grid_of(table, items, "grid.toml")
    assert (caught.value.what, caught.value.fix, caught.value.where) == ("this grid cannot be run", FIX, "grid.toml")
    return caught.value.why.split("\n")


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("4", ["4"]),
        ("1-3", ["1", "2", "3"]),
        ("1-3,8, 5-5", ["1", "2", "3", "8", "5"]),
        ("1.0:1.2:0.1", ["1.0", "1.1", "1.2"]),
        ("1.0..1.2:0.1", ["1.0", "1.1", "1.2"]),
        ("1:2:0.3", ["1.0", "1.3", "1.6", "1.9"]),
        ("0.1:1e-1:5", ["0.1"]),
        ("", []),
        (" ", []),
        ("none,0.25", ["none", "0.25"]),
    ],
)
def test_ranges_and_lists(text: str, values: list[str]) -> None:
    assert [value.rstrip() for value in spread(text)] == values


def test_the_published_ranges_are_168_runs_of_the_very_decimals() -> None:
    grid = grid_of({}, ["bits=1-8", "scalar=1.0:2.0:0.05"])
    assert grid["bits"] == (1, 2, 3, 4, 5, 6, 7, 8)
    assert grid["scalar"] == tuple(round(1 + 0.05 * i, 2) for i in range(21))  # 1.15, and not 1.1500000000000001
    found = list(points(grid))
    assert len(found) == 168 and found[0] == {"bits": 1, "scalar": 1.0} and found[1] == {"bits": 1, "scalar": 1.05}
    assert found[-1] == {"bits": 8, "scalar": 2.0}


def test_a_table_of_toml_and_texts_over_it() -> None:
    table = {
        "bits": [1, "3-4"],
        "scalar": 1,
        "corrections": ["none", ["bias", "equalize"]],
        "stochastic": [True, False],
        "retain_rate": "none,0.25",
        "seed": 7,
    }
    assert grid_of(table, ["bits=8", "method=gpfq"]) == {
        "bits": (8,),
        "scalar": (1.0,),
        "corrections": ((), ("bias", "equalize")),
        "stochastic": (True, False),
        "retain_rate": (None, 0.25),
        "seed": (7,),
        "rounding": ("gpfq",),
    }


def test_words_booleans_and_second_names() -> None:
    items = [
        "method=gpfq,gptq+descent",
        "stochastic=true,false",
        "lambda=0.1",
        "batch_size=128",
        "corrections=none,bias",
    ]
    assert grid_of({}, items) == {
        "rounding": ("gpfq", "gptq+descent"),
        "stochastic": (True, False),
        "lamb": (0.1,),
        "n_calibration": (128,),
        "corrections": ((), ("bias",)),
    }


def test_a_value_counts_once() -> None:
    assert grid_of({}, ["bits=2,1-3,2"]) == {"bits": (2, 1, 3)}


def test_every_problem_is_said_at_once() -> None:
    found = refused(
        "bit=3", "bits=0,4,9,x,2.5", "scalar=0,-1,1,nan", "method=gpfk", "stochastic=maybe", "seed=-1", "levels"
    )
    assert found == [
        "'levels' is not KEY=VALUES",
        "there is no 'bit', did you mean 'bits'?",
        "bits must be an integer from 1 to 8, got 0",
        "bits must be an integer from 1 to 8, got 9",
        "bits must be an integer from 1 to 8, got x",
        "bits must be an integer from 1 to 8, got 2.5",
        "scalar must be a number above 0, at most 1000, got 0.0",
        "scalar must be a number above 0, at most 1000, got -1.0",
        "scalar must be a number above 0, at most 1000, got nan",
        found[9],
        "stochastic must be true or false, got maybe",
        "seed must be an integer from 0 to 9,223,372,036,854,775,807, got -1",
    ]
    assert found[9].startswith("rounding must be one of nearest, descent") and found[9].endswith("got 'gpfk'")


@pytest.mark.parametrize(
    ("items", "table", "said"),
    [
        (["mlp_scalar=0"], {}, "mlp_scalar must be a number above 0, at most 1000, got 0.0"),
        (["cnn_percentile=2"], {}, "cnn_percentile must be a number above 0, at most 1, got 2.0"),
        (["n_calibration=0"], {}, "n_calibration must be an integer from 1 to 2,147,483,648, got 0"),
        (["corrections=biass"], {}, "there is no correction 'biass', there are equalize, bias, batch_norm"),
        (["scalar=1:2:0"], {}, "scalar: the range 1:2:0 has a step of 0"),
        ([], {"bits": True}, "bits must be an integer from 1 to 8, got True"),
        ([], {"bits": 2.0}, "bits must be an integer from 1 to 8, got 2.0"),
        ([], {"stochastic": 1}, "stochastic must be true or false, got 1"),
        ([], {"method": 3}, "rounding must be a word, got 3"),
        ([], {"overrides": {}}, "there is no 'overrides'"),
        (["bits=1,,2"], {}, "bits must be an integer from 1 to 8, got ''"),
        (["bits=1", "bits=2"], {}, "bits is given twice"),
        (["method=gpfq", "rounding=nearest"], {}, "rounding is given twice"),
        (["bits=8-1"], {}, "bits: the range 8-1 goes down: write it from 1 to 8"),
        (["scalar=2:1:0.5"], {}, "scalar: the range 2:1:0.5 goes down: write it from 1 to 2"),
        (["scalar=1:2"], {}, "scalar must be a number or none, got 1:2 (a range is LOW:HIGH:STEP)"),
        (
            ["seed=0..9"],
            {},
            "seed must be an integer from 0 to 9,223,372,036,854,775,807, got 0..9 (a range is LOW:HIGH:STEP)",
        ),
        (["bits="], {}, "bits has no value: a grid of zero runs"),
        ([], {"bits": []}, "bits has no value: a grid of zero runs"),
        ([], {}, "no key is given: a grid of zero runs"),
    ],
)
def test_what_no_grid_can_be(items: list[str], table: dict[str, Any], said: str) -> None:
    assert refused(*items, **table) == [said]


def test_a_product_that_would_never_end_is_refused_before_it_is_made() -> None:
    many = "scalar: the range 1:2:0.000000001 has 1,000,000,001 values"
    assert refused("scalar=1:2:0.000000001") == [f"{many}, more than the {MOST_RUNS:,} runs of the largest sweep"]
    assert refused("seed=0-999", "scalar=1:2:0.001") == ["the product has 1,001,000 runs, the largest sweep 1,000,000"]
