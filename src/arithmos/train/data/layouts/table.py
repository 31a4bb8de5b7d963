"""The table of layouts, and finding a split in a folder whatever its layout is."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from arithmos.errors import UsageError
from arithmos.train.data.layouts import cifar_archive, idx, label_file, parquet, tree, webdataset
from arithmos.train.data.layouts.layout import Layout
from arithmos.train.data.split import Split, Wanted, check_labels

_CIFAR10, _MNIST = ("cifar10",), ("mnist",)
_CIFAR10_FOLDERS = ("", cifar_archive.FOLDER)

LAYOUTS = (
    Layout("CIFAR-10 batches", cifar_archive.find_folder, cifar_archive.expected_files, _CIFAR10_FOLDERS, _CIFAR10),
    Layout("CIFAR-10 archive", cifar_archive.find_archive, cifar_archive.expected, ("",), _CIFAR10),
    Layout("IDX", idx.find, idx.expected, ("", "raw"), _MNIST),
    Layout("Parquet", parquet.find, parquet.expected, ("", "data", "plain_text")),
    Layout("WebDataset", webdataset.find, webdataset.expected),
    Layout("folder tree", tree.find, tree.expected),
    Layout("pictures and a label file", label_file.find, label_file.expected),
)
"""In the order in which they are tried; the first that finds the split is read."""


def find_split(root: Path, wanted: Wanted, folders: Sequence[str]) -> Split:
    """The split under `root` or in one of the folders named after the data set, in the first layout that has it.

    Raises UsageError with every layout that was looked for and where; and as the layout does.
    """
    layouts = [layout for layout in LAYOUTS if wanted.dataset in (layout.datasets or (wanted.dataset,))]
    for folder in ("", *folders):
        for layout in layouts:
            for sub in layout.subfolders:
                place = root / folder / sub
                if place.is_dir() and (split := layout.find(place, wanted)):
                    return _filled(check_labels(split, wanted), wanted)
    raise UsageError(
        f"no pictures of split '{wanted.split}' of data set '{wanted.dataset}'",
        where=str(root),
        why="\n".join([f"looked in {', '.join(_places(folders))} for", *(_line(layout, wanted) for layout in layouts)]),
        fix="check --data-dir, or fetch the split",
    )


def _places(folders: Sequence[str]) -> list[str]:
    return [".", *folders]


def _line(layout: Layout, wanted: Wanted) -> str:
    inside = [sub for sub in layout.subfolders if sub]
    return f"{layout.name}: {layout.expects(wanted)}" + (f" (also in {', '.join(inside)})" if inside else "")


def _filled(split: Split, wanted: Wanted) -> Split:
    if len(split.labels):
        return split
    raise UsageError(
        f"split '{wanted.split}' of data set '{wanted.dataset}' has no pictures",
        where=str(split.where),
        why=f"its files ({split.layout}) have no rows",
        fix="fetch the split again",
    )
