"""The tables: every column of every row, typed in Parquet, and never half a file."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import pytest

from arithmos.errors import UsageError
from arithmos.sweep.columns import NAMES
from arithmos.sweep.table import CSV, PARQUET, write_csv, write_parquet

ROWS: list[dict[str, Any]] = [
    {
        **dict.fromkeys(NAMES),
        "Digest": "a",
        "Status": "done",
        "Bits": 3,
        "CNN_Alphabet_Scalar": 1.05,
        "Fusion": True,
        "Layer Errors": "conv1=0.1;fc=0.2",
    },
    {**dict.fromkeys(NAMES), "Digest": "b", "Status": 'it said "no", twice', "Bits": 4},
]


def test_the_csv_has_every_column_and_row(tmp_path: Path) -> None:
    write_csv(tmp_path, ROWS)
    with (tmp_path / CSV).open(newline="") as stream:
        found = list(csv.DictReader(stream))
    assert tuple(found[0]) == NAMES and len(found) == 2
    assert (found[0]["Bits"], found[0]["CNN_Alphabet_Scalar"], found[0]["Fusion"]) == ("3", "1.05", "True")
    assert found[1]["Fusion"] == "" and found[1]["Status"] == 'it said "no", twice'


def test_parquet_has_types_and_nulls(tmp_path: Path) -> None:
    parquet = pytest.importorskip("pyarrow.parquet", reason='pip install "arithmos[data]"')
    write_parquet(tmp_path, ROWS)
    found = parquet.read_table(tmp_path / PARQUET)
    assert tuple(found.column_names) == NAMES and found.to_pylist() == ROWS
    kinds = {name: str(found.schema.field(name).type) for name in ("Bits", "Seed", "Fusion", "Model Name", "Lambda")}
    assert kinds == {"Bits": "int64", "Seed": "int64", "Fusion": "bool", "Model Name": "string", "Lambda": "double"}


def test_no_rows_is_a_table_too(tmp_path: Path) -> None:
    pytest.importorskip("pyarrow", reason='pip install "arithmos[data]"')
    write_csv(tmp_path, [])
    write_parquet(tmp_path, [])
    assert (tmp_path / CSV).read_text() == ",".join(NAMES) + "\n" and (tmp_path / PARQUET).exists()


def test_a_table_that_fails_leaves_the_old_one(tmp_path: Path) -> None:
    write_csv(tmp_path, ROWS)
    before = (tmp_path / CSV).read_bytes()
    with pytest.raises(ValueError, match="fields not in fieldnames"):
        write_csv(tmp_path, [{"Acuracy": 1}])
    assert (tmp_path / CSV).read_bytes() == before and [p.name for p in tmp_path.iterdir()] == [CSV]


def test_a_table_is_written_where_a_link_leads_and_not_into_a_folder(tmp_path: Path) -> None:
    (tmp_path / CSV).mkdir()
    with pytest.raises(UsageError, match="not a regular file"):
        write_csv(tmp_path, ROWS)
