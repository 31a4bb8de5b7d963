"""Messages say what, where, why, fix; the family survives a process boundary; problems are raised together."""

from __future__ import annotations

import pickle

import pytest

from arithmos import errors
from arithmos.errors import ArithmosError, UnsupportedNetwork, UsageError

EXIT_CODES = {
    "UsageError": 2,
    "RangeError": 2,
    "VerificationError": 1,
    "MissingTool": 3,
    "UnsupportedNetwork": 4,
    "CompileError": 70,
    "TrainingError": 1,
}


def test_a_message_says_what_where_why_fix() -> None:
    error = UnsupportedNetwork(
        "target 'tfhe' cannot run 'softmax'",
        where="encoder.0.attn (model.py:41)",
        why="tables take one integer of at most 16 bits",
        fix='quantize with softmax="ibert"',
    )
    assert str(error) == (
        "target 'tfhe' cannot run 'softmax'\n"
        "  at   encoder.0.attn (model.py:41)\n"
        "  why  tables take one integer of at most 16 bits\n"
        '  fix  quantize with softmax="ibert"'
    )
    assert (error.what, error.where) == ("target 'tfhe' cannot run 'softmax'", "encoder.0.attn (model.py:41)")
    assert (error.why, error.fix) == ("tables take one integer of at most 16 bits", 'quantize with softmax="ibert"')


def test_without_a_place_there_is_no_line_for_it() -> None:
    assert str(ArithmosError("a", why="b", fix="c")) == "a\n  why  b\n  fix  c"


@pytest.mark.parametrize("separator", ["\n", "\n       "])
def test_more_lines_stand_under_the_first(separator: str) -> None:
    error = UsageError("a", why=separator.join(["one", "two"]), fix="c")
    assert str(error) == "a\n  why  one\n       two\n  fix  c"


def test_indentation_inside_a_text_is_kept() -> None:
    assert str(UsageError("a", why="code:\n  int x;\n        ^", fix="c")) == (
        "a\n  why  code:\n         int x;\n               ^\n  fix  c"
    )


@pytest.mark.parametrize("part", ["why", "fix"])
def test_no_part_can_be_forgotten(part: str) -> None:
    parts = {"why": "b", "fix": "c"}
    del parts[part]
    with pytest.raises(TypeError, match=part):
        ArithmosError("a", **parts)


def test_every_class_has_its_exit_code() -> None:
    family = {
        c.__name__: c.exit_code for c in vars(errors).values() if isinstance(c, type) and issubclass(c, ArithmosError)
    }
    assert family == {"ArithmosError": 2, "RangeEscape": 2, **EXIT_CODES}


@pytest.mark.parametrize("name", EXIT_CODES)
def test_errors_pass_between_processes(name: str) -> None:
    error = getattr(errors, name)("a", why="b", fix="c", where="d")
    again = pickle.loads(pickle.dumps(error))
    assert type(again) is type(error)
    assert str(again) == str(error)
    assert vars(again) == vars(error)


def test_an_escape_passes_between_processes_with_its_numbers() -> None:
    error = errors.RangeEscape("relu1", where="layer1", image=7, value=9.5, bound=8.0, enough=9.5)
    again = pickle.loads(pickle.dumps(error))
    assert type(again) is errors.RangeEscape and str(again) == str(error)
    assert (again.value_name, again.image, again.value, again.bound, again.enough) == ("relu1", 7, 9.5, 8.0, 9.5)
