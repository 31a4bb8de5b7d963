"""Tables of results line up, and recipes are put together from flags."""

from __future__ import annotations

from arithmos.cli.output import table

TABLE = """\
name    count  share  works
one         1   0.50  yes
second  1,234  12.25  no"""


def test_numbers_line_up_at_the_right() -> None:
    assert table(("name", "count", "share", "works"), [("one", 1, 0.5, True), ("second", 1234, 12.25, False)]) == TABLE


def test_an_empty_table_is_its_header() -> None:
    assert table(("a", "b"), []) == "a  b"


def test_missing_cells_are_empty() -> None:
    assert table(("a", "b"), [(None, "x")]) == "a  b\n   x"
