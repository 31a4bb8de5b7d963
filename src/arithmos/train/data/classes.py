"""Names of classes and their numbers: of a data set, of class folders, of files that list them."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType

from arithmos.errors import UsageError
from arithmos.train.data.split import Wanted

CLASSES: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "digits": tuple("0123456789"),
        "mnist": tuple("0123456789"),
        "cifar10": ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"),
    }
)
"""data set -> the names of its classes by number, where they are few."""

_SAME = {"plane": "airplane", "car": "automobile"}
"""Names in use elsewhere that would change the alphabetical order, and with it every number."""

LISTS = ("LOC_synset_mapping.txt", "synset_words.txt", "synsets.txt", "imagenet_class_index.json")
"""Files that list the classes of ImageNet in the order of their numbers: "n01440764 tench" a line, or JSON."""

_WNID = re.compile(r"n\d{8}")


def numbers_of(names: Sequence[str], wanted: Wanted, places: Sequence[Path]) -> dict[str, int]:
    """name -> number, for the names of class folders or of labels, sorted.

    Numbers stand for themselves. Names of the data set's classes have their number there. Others have the position in
    a file of LISTS in one of `places`, or, where every class is present, their alphabetical position, which is how
    ImageNet counts. Raises UsageError where none of these says the number.
    """
    found = sorted(set(names))
    if all(name.isascii() and name.isdigit() for name in found):
        return {name: int(name) for name in found}
    known = {name: number for number, name in enumerate(CLASSES.get(wanted.dataset, ()))}
    known = known or _listed(places)
    renamed = {name: _SAME.get(name.lower(), name.lower()) if not _WNID.fullmatch(name) else name for name in found}
    if known:
        if strangers := [name for name in found if renamed[name] not in known]:
            raise UsageError(
                f"{len(strangers)} of {len(found)} classes are not those of data set '{wanted.dataset}'",
                where=str(places[0]),
                why=f"unknown: {_few(strangers)}",
                fix="check --dataset and --data-dir",
            )
        return {name: known[renamed[name]] for name in found}
    if len(found) != wanted.n_classes:
        raise UsageError(
            f"{len(found):,} classes, and data set '{wanted.dataset}' has {wanted.n_classes:,}",
            where=str(places[0]),
            why=f"a class has its position among all of them for its number, and these are others: {_few(found)}",
            fix=f"complete them, or put a file that lists all classes beside them: {' or '.join(LISTS)}",
        )
    return {name: number for number, name in enumerate(found)}


def names_by_number(numbers: Mapping[str, int], n_classes: int) -> tuple[str, ...]:
    """The names in the order of their numbers, "" where there is none."""
    names = [""] * n_classes
    for name, number in numbers.items():
        if 0 <= number < n_classes:
            names[number] = name
    return tuple(names)


def _listed(places: Sequence[Path]) -> dict[str, int]:
    for file in (place / name for place in places for name in LISTS):
        if file.is_file():
            return _read_list(file)
    return {}


def _read_list(file: Path) -> dict[str, int]:
    try:
        text = file.read_text(encoding="utf-8")
        if file.suffix == ".json":
            return {str(row[0]): int(number) for number, row in json.loads(text).items()}
    except (ValueError, TypeError, LookupError, AttributeError) as problem:
        raise UsageError(
            "the list of classes cannot be read",
            where=str(file),
            why=str(problem).splitlines()[0] or type(problem).__name__,
            fix='one class a line, "n01440764 tench", or JSON {"0": ["n01440764", "tench"]}',
        ) from problem
    return {line.split()[0]: number for number, line in enumerate(filter(str.strip, text.splitlines()))}


def _few(names: Sequence[str], n: int = 8) -> str:
    return ", ".join(names[:n]) + (", …" if len(names) > n else "")
