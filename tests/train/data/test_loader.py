"""Batches depend on seed and epoch alone; every picture comes once; what cannot be decoded is named or skipped."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from arithmos.errors import UsageError
from arithmos.train.data import loader as loader_module
from arithmos.train.data.datasets import load
from arithmos.train.data.loader import Loader, loader
from arithmos.train.data.preparation import Preparation
from picture_files import encoded, pixels, write_parquet, write_tree

torch = pytest.importorskip("torch", reason='pip install "arithmos[torch]"')
pytest.importorskip("pyarrow", reason='pip install "arithmos[data]"')
pytest.importorskip("PIL.Image", reason='pip install "arithmos[data]"')

LABELS = [k % 10 for k in range(23)]
PICTURES = [encoded(picture) for picture in pixels(23)]


@pytest.fixture
def small(tmp_path: Path) -> Path:
    write_parquet(tmp_path / "cifar10" / "train.parquet", PICTURES, LABELS)
    return tmp_path


@pytest.fixture
def large(tmp_path: Path) -> Path:
    """ImageNet's first classes, pictures of several sizes."""
    (tmp_path / "synsets.txt").write_text("".join(f"n{k:08d}\n" for k in range(1000)))
    files = [encoded(pixels(1, 40 + k, seed=k)[0], "jpeg") for k in range(11)]
    write_tree(tmp_path / "train", files, [f"n{k // 2:08d}" for k in range(11)], ".JPEG")
    return tmp_path


SMALLER = Preparation(short_side=24, crop=16)


def epoch(data: Loader, number: int = 0) -> tuple[np.ndarray, np.ndarray]:
    data.set_epoch(number)
    batches = list(data)
    return np.concatenate([x.numpy() for x, _ in batches]), np.concatenate([y.numpy() for _, y in batches])


def test_without_shuffling_it_is_the_stream(small: Path) -> None:
    data = loader("cifar10", "train", small, batch_size=5)
    assert (len(data), data.n_images, data.skipped) == (5, 23, 0)
    assert [len(y) for _, y in data] == [5, 5, 5, 5, 3]
    x, y = next(iter(data))
    assert (x.dtype, y.dtype, x.shape) == (torch.float32, torch.int64, (5, 3, 32, 32))
    images, labels = epoch(data)
    expected, classes = load("cifar10", "train", small)
    np.testing.assert_array_equal(images, expected)
    np.testing.assert_array_equal(labels, classes)


def test_an_epoch_has_every_picture_once(small: Path) -> None:
    plain, _ = load("cifar10", "train", small)
    data = loader("cifar10", "train", small, batch_size=5, shuffle=True)
    first, labels = epoch(data, 0)
    again, _ = epoch(data, 0)
    other, _ = epoch(data, 1)
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)
    for shown in (first, other):
        assert sorted(map(bytes, shown)) == sorted(map(bytes, plain))
    assert sorted(labels) == sorted(LABELS)


@pytest.mark.parametrize("augment", [False, True])
@pytest.mark.parametrize("shuffle", [False, True])
def test_processes_never_change_a_batch(large: Path, augment: bool, shuffle: bool) -> None:
    options: dict[str, Any] = {"preparation": SMALLER, "batch_size": 4, "augment": augment, "shuffle": shuffle}
    alone = loader("imagenet", "train", large, **options)
    helped = loader("imagenet", "train", large, **options, workers=2)
    for number in (0, 1, 0):
        for ours, theirs in zip(epoch(alone, number), epoch(helped, number), strict=True):
            np.testing.assert_array_equal(ours, theirs)
    assert not np.array_equal(epoch(alone, 0)[0], epoch(alone, 1)[0]) or not (augment or shuffle)


def test_memory_or_not_the_batches_are_the_same(small: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    options: dict[str, Any] = {"batch_size": 6, "augment": True, "shuffle": True, "seed": 7}
    kept = epoch(loader("cifar10", "train", small, **options), 3)
    monkeypatch.setattr(loader_module, "IN_MEMORY_BYTES", 0)
    decoded = loader("cifar10", "train", small, **options)
    assert decoded.digest.startswith("files:")
    for ours, theirs in zip(kept, epoch(decoded, 3), strict=True):
        np.testing.assert_array_equal(ours, theirs)


@pytest.mark.parametrize("n_shards", [2, 3, 5])
def test_shards_are_the_batch_cut_up(small: Path, n_shards: int) -> None:
    options: dict[str, Any] = {"batch_size": 7, "augment": True, "shuffle": True}
    whole = list(loader("cifar10", "train", small, **options))
    shards = [list(loader("cifar10", "train", small, **options, shard=(k, n_shards))) for k in range(n_shards)]
    for number, (images, labels) in enumerate(whole):
        for k in range(n_shards):
            if number < len(shards[k]):
                assert torch.equal(shards[k][number][0], images[k::n_shards])
                assert torch.equal(shards[k][number][1], labels[k::n_shards])
    assert sum(len(y) for shard in shards for _, y in shard) == 23


def test_augmentation_follows_the_pictures_size(small: Path) -> None:
    data = loader(
        "cifar10", "train", small, batch_size=23, augment=True, preparation=Preparation(short_side=64, crop=64)
    )
    images, _ = next(iter(data))
    black = (images == 0).all(dim=1)
    assert images.shape == (23, 3, 64, 64)
    assert 4 < int(black.all(dim=2).sum(dim=1).max()) <= 8  # a border of at most 8 of 64, as 4 of 32


def test_the_generators_of_others_are_left_alone(large: Path) -> None:
    data = loader("imagenet", "train", large, preparation=SMALLER, batch_size=4, augment=True, shuffle=True, workers=1)
    torch.manual_seed(0)
    before = torch.random.get_rng_state()
    epoch(data)
    assert torch.equal(before, torch.random.get_rng_state())


def damaged(root: Path, *rows: int) -> Path:
    pictures = [picture[:60] if k in rows else picture for k, picture in enumerate(PICTURES)]
    write_parquet(root / "bad" / "train.parquet", pictures, LABELS)
    return root / "bad"


@pytest.mark.parametrize("memory", [True, False])
@pytest.mark.parametrize("workers", [0, 2])
def test_a_corrupt_picture_in_the_middle(
    tmp_path: Path, workers: int, memory: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not memory:
        monkeypatch.setattr(loader_module, "IN_MEMORY_BYTES", 0)
    root = damaged(tmp_path, 9, 20)
    with pytest.raises(UsageError) as caught:
        epoch(loader("cifar10", "train", root, batch_size=5, workers=workers))
    assert str(caught.value).startswith(
        f"a picture cannot be decoded\n  at   {root / 'train.parquet'}, row 9\n"
        "  why  its bytes are damaged, cut off or of an unknown format: "
    )
    del caught  # its traceback is a cycle with this frame: collected later, torch waits 5 s for each process in it
    data = loader("cifar10", "train", root, batch_size=5, augment=True, workers=workers, skip_corrupt=True)
    images, labels = epoch(data)
    assert labels.tolist() == [label for k, label in enumerate(LABELS) if k not in (9, 20)]
    assert (data.skipped, data.n_images) == (2, 23)
    assert data.corrupt[9] == f"{root / 'train.parquet'}, row 9: a picture cannot be decoded"
    epoch(data, 1)
    assert data.skipped == 2
    write_parquet(tmp_path / "good" / "train.parquet", PICTURES, LABELS)
    good, _ = epoch(loader("cifar10", "train", tmp_path / "good", batch_size=5, augment=True))
    np.testing.assert_array_equal(images, np.delete(good, [9, 20], axis=0))  # the others are augmented as before


def test_not_one_picture_is_left(tmp_path: Path) -> None:
    data = loader("cifar10", "train", damaged(tmp_path, *range(23)), batch_size=5, skip_corrupt=True)
    with pytest.raises(UsageError) as caught:
        list(data)
    assert caught.value.what == "not one picture can be decoded"


def test_pictures_of_another_size_are_never_skipped(tmp_path: Path) -> None:
    write_parquet(tmp_path / "train.parquet", [PICTURES[0], encoded(pixels(1, 28)[0])], [0, 1])
    with pytest.raises(UsageError) as caught:
        list(loader("cifar10", "train", tmp_path, batch_size=2, skip_corrupt=True))
    assert str(caught.value) == (
        f"the pictures are not those of this data set\n  at   {tmp_path / 'train.parquet'}, row 1\n"
        "  why  they have 28x28 pixels and not 32x32\n  fix  check --dataset and --data-dir"
    )


def test_limits(small: Path) -> None:
    data = loader("cifar10", "train", small, batch_size=4, limit=6, shuffle=True)
    assert (data.n_images, len(data)) == (6, 2)
    assert sorted(epoch(data)[1]) == LABELS[:6]
    assert loader("cifar10", "train", small, batch_size=4, limit=100).n_images == 23
    for option in ({"limit": 0}, {"batch_size": 0}, {"seed": -1}, {"workers": -1}):
        with pytest.raises(UsageError, match="at least"):
            loader("cifar10", "train", small, **{"batch_size": 4, **option})


def test_digits_keep_their_values() -> None:
    pytest.importorskip("sklearn", reason='pip install "arithmos[data]"')
    images, labels = epoch(loader("digits", "train", batch_size=100))
    expected, classes = load("digits", "train")
    np.testing.assert_array_equal(images, expected)
    np.testing.assert_array_equal(labels, classes)
    shifted, _ = epoch(loader("digits", "train", batch_size=100, augment=True))
    assert set(np.unique(shifted * 16)) <= set(range(17))


def test_many_row_groups_are_shuffled_and_complete(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loader_module, "IN_MEMORY_BYTES", 0)
    write_parquet(tmp_path / "train-00000-of-00002.parquet", PICTURES[:12], LABELS[:12], row_group_size=1)
    write_parquet(tmp_path / "train-00001-of-00002.parquet", PICTURES[12:], LABELS[12:], row_group_size=2)
    plain, _ = load("cifar10", "train", tmp_path)
    images, _ = epoch(loader("cifar10", "train", tmp_path, batch_size=4, shuffle=True))
    assert sorted(map(bytes, images)) == sorted(map(bytes, plain))
    assert not np.array_equal(images, plain)


def test_an_interrupt_does_not_reach_the_processes(large: Path) -> None:
    data = loader("imagenet", "train", large, preparation=SMALLER, batch_size=1, workers=1)
    batches = iter(data)
    next(batches)
    os.kill(data._feed._iterator._workers[0].pid, signal.SIGINT)
    assert len(list(batches)) == 10


def test_a_process_that_died_is_said_in_words(large: Path) -> None:
    data = loader("imagenet", "train", large, preparation=SMALLER, batch_size=1, workers=1)

    def dying() -> Iterator[Any]:
        raise RuntimeError("DataLoader worker (pid 7) is killed by signal: Bus error. It is possible that …\nmore")
        yield

    data._feed = dying()
    with pytest.raises(UsageError) as caught:
        list(data)
    assert str(caught.value) == (
        f"a process that decodes pictures has died\n  at   {large / 'train'}\n"
        "  why  DataLoader worker (pid 7) is killed by signal: Bus error. It is possible that …\n"
        "  fix  decode in this process (workers=0), or give the machine more memory, and a container more shared "
        "memory (--shm-size=2g)"
    )


def test_real_cifar10(data_dir: Path) -> None:
    data = loader("cifar10", "test", data_dir / "cifar10", batch_size=128, augment=True, shuffle=True)
    assert (data.n_images, len(data)) == (500, 4)
    assert data.digest == "pixels:2176304e327409d1429c10dc0fa63f4248abfeaf7ce6256affdf6ef6f9511a37"
    images, labels = epoch(data)
    assert images.shape == (500, 3, 32, 32) and sorted(set(labels)) == list(range(10))


def test_real_imagenet(data_dir: Path) -> None:
    data = loader("imagenet", "test", data_dir, batch_size=8, augment=True, shuffle=True, limit=16)
    images, _ = epoch(data)
    assert images.shape == (16, 3, 224, 224) and 0.7 < images.std() < 1.5
