"""Image data sets in Parquet as Hugging Face lays them out: `img` or `image` = struct{bytes, path}, `label` = class."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from io import BytesIO
from pathlib import Path

import numpy as np

from arithmos.errors import UsageError
from arithmos.extras import require
from arithmos.train.data.preparation import Preparation, prepare

IMAGE_COLUMNS = ("img", "image")
LABEL_COLUMN = "label"


def stream(
    files: Sequence[Path], preparation: Preparation, *, batch_size: int, limit: int | None = None
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Batches (images float32 NCHW, labels int64) in the order of files and rows, decoded as they are asked for.

    limit: how many pictures in all (None: every one); no other is decoded.
    A batch never spans two files. Raises UsageError for a file that is not Parquet, is cut off, has other columns, or
    holds a picture that cannot be decoded; MissingTool without pyarrow or pillow.
    """
    for file in files:
        for first, pictures, labels in _rows(file, batch_size):
            if limit is not None:
                pictures, labels = pictures[:limit], labels[:limit]
                limit -= len(pictures)
            if not pictures:
                return
            images = [_image(row, preparation, f"{file}, row {first + k}") for k, row in enumerate(pictures)]
            if shapes := {image.shape for image in images[1:]} - {images[0].shape}:
                raise UsageError(
                    f"pictures of different sizes: {images[0].shape[1:]} and {shapes.pop()[1:]} pixels",
                    where=str(file),
                    why="a batch is one array",
                    fix="use a data set of equal pictures, or one whose preparation crops",
                )
            yield np.stack(images), np.asarray(labels, dtype=np.int64)


def _rows(file: Path, batch_size: int) -> Iterator[tuple[int, list[dict[str, object] | None], list[int]]]:
    """(number of the first row, image structs, labels) a batch."""
    parquet, arrow = require("pyarrow.parquet", "data"), require("pyarrow", "data")
    first = 0
    try:
        with parquet.ParquetFile(file) as table:
            columns = table.schema_arrow.names
            image_column = next((name for name in IMAGE_COLUMNS if name in columns), None)
            if image_column is None or LABEL_COLUMN not in columns:
                raise UsageError(
                    f"the columns are {', '.join(columns)}",
                    where=str(file),
                    why=f"pictures are looked for in column {' or '.join(IMAGE_COLUMNS)}, classes in {LABEL_COLUMN}",
                    fix="rename the columns, or give the images as .npy with --input",
                )
            for batch in table.iter_batches(batch_size, columns=[image_column, LABEL_COLUMN]):
                yield first, batch.column(image_column).to_pylist(), batch.column(LABEL_COLUMN).to_pylist()
                first += batch.num_rows
    except (arrow.ArrowException, OSError, ValueError) as problem:
        reason = (str(problem).strip() or type(problem).__name__).splitlines()[0]
        raise UsageError(
            "the Parquet file cannot be read",
            where=str(file),
            why=f"it is cut off or is not Parquet: {reason}",
            fix="fetch it again and compare its size with the original",
        ) from problem


def _image(row: dict[str, object] | None, preparation: Preparation, where: str) -> np.ndarray:
    pillow = require("PIL.Image", "data")
    data = row.get("bytes") if isinstance(row, dict) else None
    if not isinstance(data, bytes):
        raise UsageError(
            "a row holds no picture",
            where=where,
            why="its `bytes` are empty: the file refers to pictures stored elsewhere",
            fix="save the data set with the pictures embedded",
        )
    try:
        with pillow.open(BytesIO(data)) as image:
            return prepare(image, preparation, where)
    except (OSError, SyntaxError, ValueError, pillow.DecompressionBombError) as problem:
        raise UsageError(
            "a picture cannot be decoded",
            where=where,
            why="its bytes are damaged or of an unknown format",
            fix="fetch the file again",
        ) from problem
