"""The tables of a sweep: results.csv and results.parquet, made anew from the rows, whole or not at all."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from arithmos.atomic import output_file
from arithmos.extras import require
from arithmos.sweep.columns import COLUMNS, NAMES

CSV, PARQUET = "results.csv", "results.parquet"

Row = Mapping[str, Any]


def write_csv(folder: Path, rows: Sequence[Row]) -> None:
    """results.csv: a header and one line a row; numbers as Python writes them, what is not known as nothing."""
    with output_file(folder / CSV, force=True) as draft, draft.open("w", newline="") as stream:
        writer = csv.DictWriter(stream, NAMES, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


def write_parquet(folder: Path, rows: Sequence[Row]) -> None:
    """results.parquet: the same rows with types; null where nothing is known. Raises MissingTool without pyarrow."""
    arrow, parquet = require("pyarrow", "data"), require("pyarrow.parquet", "data")
    kinds = {str: arrow.string(), int: arrow.int64(), float: arrow.float64(), bool: arrow.bool_()}
    schema = arrow.schema([(column.name, kinds[column.kind]) for column in COLUMNS])
    with output_file(folder / PARQUET, force=True) as draft:
        parquet.write_table(arrow.Table.from_pylist([dict(row) for row in rows], schema=schema), draft)
