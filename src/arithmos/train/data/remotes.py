"""The files of data sets on the net: addresses, checksums, sizes; and what a person must fetch.

The checksums are those of the original files, as several independent projects publish them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType


@dataclass(frozen=True, slots=True)
class Remote:
    """A file to fetch: its name, where it lies (tried in turn), the sha256 of its bytes, and how many there are."""

    name: str
    urls: tuple[str, ...]
    sha256: str
    size_bytes: int


def _mnist(name: str, sha256: str, size_bytes: int) -> Remote:
    mirrors = ("https://ossci-datasets.s3.amazonaws.com/mnist", "https://storage.googleapis.com/cvdf-datasets/mnist")
    return Remote(name, tuple(f"{mirror}/{name}" for mirror in mirrors), sha256, size_bytes)


REMOTES: Mapping[str, tuple[Remote, ...]] = MappingProxyType(
    {
        "cifar10": (
            Remote(
                "cifar-10-python.tar.gz",
                (
                    "https://www.cs.toronto.edu/~kriz/cifar-10-python.tar.gz",
                    "https://storage.googleapis.com/tensorflow/tf-keras-datasets/cifar-10-python.tar.gz",
                ),
                "6d958be074577803d12ecdefd02955f39262c83c16fe9348329d7fe0b5c001ce",
                170_498_071,
            ),
        ),
        "mnist": (
            _mnist(
                "train-images-idx3-ubyte.gz",
                "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609",
                9_912_422,
            ),
            _mnist(
                "train-labels-idx1-ubyte.gz", "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c", 28_881
            ),
            _mnist(
                "t10k-images-idx3-ubyte.gz",
                "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6",
                1_648_877,
            ),
            _mnist(
                "t10k-labels-idx1-ubyte.gz", "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6", 4_542
            ),
        ),
    }
)
"""data set -> its files. Those that are not here cannot be fetched by a program: see BY_HAND."""

BY_HAND: Mapping[str, str] = MappingProxyType(
    {
        "digits": "its pictures are part of scikit-learn",
        "imagenet": "image-net.org gives it to registered users only (Hugging Face's imagenet-1k too): fetch "
        "ILSVRC2012_img_val.tar and _train.tar, sort them into val/<wnid>/ and train/<wnid>/, and give --data-dir",
    }
)
"""data set -> why a program cannot fetch it, and what to do."""
