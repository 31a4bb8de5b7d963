"""Pictures side by side in one folder, and a file that says the class of each.

A line is "picture class", joined by blanks, a tab or a comma, with anything behind (Caffe's val.txt, Kaggle's
LOC_val_solution.csv, Tiny ImageNet's val_annotations.txt), or the class alone, for the pictures in the order of their
names. JSON is {"picture": class}. A class is its number from 0, its name or its wnid.
"""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from typing import Any

import numpy as np

from arithmos.errors import UsageError
from arithmos.train.data.classes import names_by_number, numbers_of
from arithmos.train.data.layouts.tree import files_split, is_picture
from arithmos.train.data.split import Split, Wanted

PATTERNS = (
    *("{}.txt", "{}.csv", "{}.tsv", "{}.json", "{}_labels.txt", "{}_labels.csv", "{}_annotations.txt", "{}_map.txt"),
    *("LOC_{}_solution.csv", "labels.txt", "labels.csv", "labels.json"),
)
"""Names of label files; {} is the name of the split."""

_DEVKIT = "ILSVRC2012_validation_ground_truth.txt"


def expected(wanted: Wanted) -> str:
    """The files looked for."""
    name = " or ".join(wanted.names)
    return (
        f"{name}/*.jpg, .png …, with {wanted.names[-1]}.txt, .csv, .tsv or .json, or _labels, _annotations or _map "
        f"behind the name, LOC_{wanted.names[-1]}_solution.csv, or labels.txt"
    )


def find(folder: Path, wanted: Wanted) -> Split | None:
    """The split in a flat folder named after it, None where there are no pictures.

    Raises UsageError where the label file is missing or says nothing of a picture, names pictures that are not there,
    or counts classes as ImageNet's development kit does.
    """
    for name in wanted.names:
        # Tiny ImageNet keeps its pictures in val/images and the label file in val.
        for root in (folder / name, folder / name / "images"):
            pictures = sorted(entry for entry in os.listdir(root) if is_picture(entry)) if root.is_dir() else []
            if pictures:
                return _open(root, pictures, _label_file(folder, root, name), wanted)
    return None


def _label_file(folder: Path, root: Path, name: str) -> Path:
    places = dict.fromkeys((folder, root.parent, root, *folder.parents[:3]))  # Kaggle's lies three folders above
    names = [pattern.format(name) for pattern in PATTERNS]
    found = next((place / file for place in places for file in names if (place / file).is_file()), None)
    if found is not None:
        return found
    devkit = any((place / _DEVKIT).is_file() for place in places)
    raise UsageError(
        "the pictures have no labels",
        where=str(root),
        why=f"{_DEVKIT} counts classes in an order of its own, which only the development kit's meta.mat explains"
        if devkit
        else f"looked in {root} and above for {', '.join(names)}",
        fix=f'write {name}.txt with "picture class" a line, classes counted from 0 in the order of their wnids, '
        "or sort the pictures into a folder a class",
    )


def _open(root: Path, pictures: list[str], file: Path, wanted: Wanted) -> Split:
    rows = _rows(file)
    if rows and all(picture is None for picture, _ in rows):
        rows = _in_order(rows, pictures, file, root)
    by_name = {str(picture).rpartition("/")[2]: label for picture, label in rows}
    labelled = {name: by_name.get(name, by_name.get(name.rpartition(".")[0])) for name in pictures}
    _check_both_ways(by_name, labelled, file, root)
    numbers = numbers_of([str(label) for label in labelled.values()], wanted, [file.parent, root.parent, root])
    labels = np.asarray([numbers[str(label)] for label in labelled.values()], dtype=np.int64)
    return files_split("pictures and a label file", root, pictures, labels, names_by_number(numbers, wanted.n_classes))


def _in_order(
    rows: list[tuple[str | None, str]], pictures: list[str], file: Path, root: Path
) -> list[tuple[str | None, str]]:
    if len(rows) != len(pictures):
        raise UsageError(
            f"{len(rows):,} labels for {len(pictures):,} pictures",
            where=str(file),
            why=f"it has a class a line for the pictures of {root} in the order of their names",
            fix="complete the folder, or name the picture on each line",
        )
    return [(picture, label) for picture, (_, label) in zip(pictures, rows, strict=True)]


def _check_both_ways(by_name: dict[str, str], labelled: dict[str, str | None], file: Path, root: Path) -> None:
    without = [name for name, label in labelled.items() if label is None]
    there = {*labelled, *(name.rpartition(".")[0] for name in labelled)}
    absent = [name for name in by_name if name not in there]
    problems = [
        f"{len(names):,} {what}: {', '.join(names[:5])}{', …' * (len(names) > 5)}"
        for what, names in (("pictures have no label", without), ("labelled pictures are not there", absent))
        if names
    ]
    if problems:
        raise UsageError(
            "the pictures and the label file do not belong together",
            where=f"{root} and {file}",
            why="\n".join(problems),
            fix="fetch or unpack the split again, or complete the label file",
        )


def _rows(file: Path) -> list[tuple[str | None, str]]:
    """(picture or None, class) a line; raises UsageError for a file that is no text, or JSON of another kind."""
    try:
        text = file.read_text(encoding="utf-8-sig")
        if file.suffix == ".json":
            return [(str(picture), str(label)) for picture, label in dict(json.loads(text)).items()]
    except (ValueError, TypeError) as problem:
        raise UsageError(
            "the label file cannot be read",
            where=str(file),
            why=str(problem).splitlines()[0],
            fix='write "picture class" a line',
        ) from problem
    lines = [re.split(r"[,\t ]+", line.strip()) for line in text.splitlines() if line.strip()]
    if lines and len(lines[0]) > 1 and not is_picture(lines[0][0]) and _is_header(lines):
        lines = lines[1:]
    return [(None, line[0]) if len(line) == 1 else (line[0].strip('"'), line[1].strip('"')) for line in lines]


def _is_header(lines: list[list[Any]]) -> bool:
    """A first line whose class is no number where the others' are, or that is in words table files begin with."""
    first, others = lines[0], lines[1:]
    numeric = bool(others) and all(line[1].isdigit() for line in others if len(line) > 1)
    words = {"label", "class", "predictionstring", "wnid", "target", "category"}
    return first[1].strip('"').lower() in words or (numeric and not first[1].isdigit())
