"""What is written for zkCNN, and that whatever is changed in it is found: the files, the comparison, bad input."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

import arithmos as ar
from arithmos.cli.main import main
from arithmos.errors import UsageError, VerificationError
from arithmos.ir.border import to_integers
from arithmos.ir.codec import digest
from arithmos.targets.zkcnn.chain import configuration_of
from arithmos.targets.zkcnn.comparison import Compared, compare_files
from arithmos.targets.zkcnn.configuration import Configuration, Layer, Window, read_configuration
from arithmos.targets.zkcnn.export import is_lenet, vgg_words
from targets.zkcnn.conftest import Small, quantized
from targets.zkcnn.direct import direct

LAYERS = [
    {"co": 3, "k": 3, "padding": 1, "pool": 2, "pool_stride": 2},
    {"co": 4, "k": 3, "stride": 2, "padding": 1},
    {"co": 5},
    {"co": 3},
]


@pytest.fixture(scope="module")
def folder(small: Small, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The files of the small network."""
    return ar.export(small.net, "zkcnn", tmp_path_factory.mktemp("zkcnn") / "files", golden=small.image)


def test_the_text_alone_gives_the_networks_integers(small: Small, folder: Path) -> None:
    values = ar.run(small.net, small.image, every=True)
    found = direct((folder / "input.txt").read_text().split(), (2, 8, 8), LAYERS)
    for layer, acc in zip(configuration_of(small.net).layers, found, strict=True):
        expected = values[layer.name][0]
        half = 1 << layer.shift >> 1 if layer.shift else 0
        assert {place: int(expected[place]) + half for place in np.ndindex(expected.shape)} == acc, layer.name


def test_what_the_files_say(small: Small, folder: Path) -> None:
    assert sorted(file.name for file in folder.iterdir() if file.suffix) == ["README.txt", "input.txt", "network.json"]
    said = json.loads((folder / "network.json").read_text())
    assert said["network"] == digest(small.net)
    assert said["image"] == {"channels": 2, "height": 8, "width": 8, "bits": 8}
    assert said["layers"][0] == {
        "name": "0.acc",
        "kind": "convolution",
        "channels_in": 2,
        "channels_out": 3,
        "window": {"size": 3, "stride": 1, "padding": 1},
        "max_pool": {"size": 2, "stride": 2},
        "weight_bits": 8,
        "shift": 8,
        "added_to_bias": 128,
    }
    assert [row["shift"] for row in said["layers"]] == [8, 8, 7, None]
    assert read_configuration(folder / "network.json") == configuration_of(small.net)
    lines = (folder / "input.txt").read_text().splitlines()
    assert [len(line.split()) for line in lines] == [128, 54, 3, 108, 4, 80, 5, 15, 3]
    assert set(lines[6].split()) == {"0.001953125"}  # no bias of its own: half a step alone, 2**6 / 2**(7 + 8)
    readme = (folder / "README.txt").read_text()
    assert "\n6.acc: fully connected 16 -> 5; relu, shift 7\n" in readme
    assert "\n0.acc: convolution 2 -> 3, 3x3, stride 1, padding 1; relu, shift 8; max pool 2x2, stride 2\n" in readme
    assert "all accumulators are equal: 216 numbers of 4 layers." in readme


def test_the_comparison_counts(small: Small, folder: Path) -> None:
    assert compare_files(small.net, folder) == Compared(4, 216)


def test_a_text_of_another_image_is_found_where_the_image_is_known(small: Small, folder: Path) -> None:
    image = to_integers(small.net, small.image)[small.net.inputs[0]][0].copy()
    assert compare_files(small.net, folder, image) == Compared(4, 216)
    image[0, 0, :2] ^= 1
    with pytest.raises(VerificationError) as caught:
        compare_files(small.net, folder, image)
    assert caught.value.why == "input: 2 of 128 pixels of the text are not the image's"


@pytest.mark.parametrize(
    ("line", "layer"), [(1, "0.acc"), (2, "0.acc"), (3, "3.acc"), (6, "6.acc"), (7, "8"), (8, "8")]
)
def test_a_changed_number_is_found_and_its_layer_named(
    small: Small, folder: Path, tmp_path: Path, line: int, layer: str
) -> None:
    copy = shutil.copytree(folder, tmp_path / "copy")
    lines = (copy / "input.txt").read_text().splitlines()
    words = lines[line].split()
    bits = 8 if layer == "8" else next(row.shift for row in configuration_of(small.net).layers if row.name == layer)
    step = 2.0 ** -(bits if line % 2 else bits + 8)  # one integer of a weight, or of a bias
    inner = sorted(range(len(words)), key=lambda i: abs(float(words[i])))[0]  # the extremes decide the scale
    words[inner] = repr(float(words[inner]) + step)
    lines[line] = " ".join(words)
    (copy / "input.txt").write_text("\n".join(lines))
    with pytest.raises(VerificationError) as caught:
        compare_files(small.net, copy)
    assert caught.value.what == "zkCNN computes other integers than the network from this text"
    named = [text.partition("[")[0] for text in caught.value.why.splitlines() if "[" in text]
    assert named[0] == layer


def test_another_image_in_the_text_is_named_with_its_shifts(small: Small, tmp_path: Path) -> None:
    with pytest.raises(VerificationError) as caught:
        ar.export(small.net, "zkcnn", tmp_path / "files", golden=small.others, sample=1)
    assert caught.value.why.splitlines()[:2] == [
        "zkCNN has 0.acc shifted by 6 (by 8 in the network)",
        "zkCNN has 3.acc shifted by 6 (by 8 in the network)",
    ]
    assert "calibrate on them with\n--scales power_of_two --weight-scale tensor --activation-observer zkcnn" in (
        caught.value.fix
    )
    assert not (tmp_path / "files").exists()


@pytest.mark.parametrize(
    ("options", "what"),
    [
        ({}, "there is no image 0 to prove"),
        ({"sample": 1}, "there is no image 1 to prove"),
        ({"sample": -1}, "there is no image -1 to prove"),
        ({"sample": "x"}, "there is no image x to prove"),
    ],
)
def test_images_that_are_none(small: Small, tmp_path: Path, options: dict[str, object], what: str) -> None:
    golden = {"golden": small.image} if options else {}
    with pytest.raises(UsageError) as caught:
        ar.export(small.net, "zkcnn", tmp_path / "files", **options, **golden)
    n = 1 if options else 0
    assert str(caught.value) == (
        f"{what}\n"
        f"  why  the text holds one inference, and there are {n} images to choose from\n"
        '  fix  name one from 0 on with --set sample=N; in Python, give images: ar.export(net, "zkcnn", path, '
        "golden=images)"
    )


def test_files_of_another_network(small: Small, folder: Path) -> None:
    other = quantized(small.others[1:])
    with pytest.raises(UsageError) as caught:
        compare_files(other, folder)
    assert str(caught.value) == (
        "these zkCNN files are of another network\n"
        f"  at   {folder}\n"
        f"  why  network {digest(small.net)}, this is {digest(other)}\n"
        "  fix  give the bundle they were exported from, or export again"
    )


@pytest.mark.parametrize(
    ("name", "change", "why"),
    [
        ("input.txt", lambda text: text[:-20], "it has "),
        ("input.txt", lambda text: text + " nan", "a number is not finite"),
        ("input.txt", None, "[Errno 2] No such file or directory"),
        ("network.json", None, "FileNotFoundError: "),
        ("network.json", lambda text: text[:-20], "JSONDecodeError: "),
        ("network.json", lambda text: "[]", "TypeError: "),
        (
            "network.json",
            lambda text: text.replace('"schema": 1', '"schema": 2'),
            "ValueError: format zkcnn, schema 2;",
        ),
        (
            "network.json",
            lambda text: text.replace('"channels_out": 5', '"channels_out": 0'),
            "ValueError: 0 is no int",
        ),
        (
            "network.json",
            lambda text: text.replace('"shift": 8', '"shift": 99999999'),
            "ValueError: 99999999 is no integer from 0 on, at most 62",
        ),
        ("network.json", lambda text: text.replace('"shift": 7', '"shift": null'), "ValueError: every layer but the l"),
    ],
)
def test_damaged_files(small: Small, folder: Path, tmp_path: Path, name: str, change: object, why: str) -> None:
    copy = shutil.copytree(folder, tmp_path / "copy")
    if callable(change):
        (copy / name).write_text(change((copy / name).read_text()))
    else:
        (copy / name).unlink()
    with pytest.raises(UsageError) as caught:
        compare_files(small.net, copy)
    assert caught.value.where == str(copy / name)
    assert caught.value.why.startswith(why), caught.value.why


def with_words(text: str, line: int, change: Callable[[float], float]) -> str:
    lines = text.splitlines()
    lines[line] = " ".join(repr(change(float(word))) for word in lines[line].split())
    return "\n".join(lines)


@pytest.mark.parametrize(
    ("line", "change", "what", "why"),
    [
        (0, lambda x: 64 * x, "the image of this text is none for the network", "its numbers differ by more than 255"),
        (0, lambda x: 1e-310 * x, "the image: its numbers extend over ", "this is followed from 2**-200 to 2**200"),
        (1, lambda x: 1e300 * x, "0.acc: its numbers extend over ", "this is followed from 2**-200 to 2**200"),
        (1, lambda x: 1.7e308 if x > 0 else -1.7e308, "0.acc: its numbers extend over inf", "this is followed from"),
        (2, lambda x: 1e308 if x else -1e308, "0.acc: its sums do not fit 53 bits", "weights or biases"),
    ],
)
def test_numbers_of_any_size(
    small: Small, folder: Path, tmp_path: Path, line: int, change: Callable[[float], float], what: str, why: str
) -> None:
    copy = shutil.copytree(folder, tmp_path / "copy")
    (copy / "input.txt").write_text(with_words((copy / "input.txt").read_text(), line, change))
    with pytest.raises(UsageError) as caught:
        compare_files(small.net, copy)
    assert caught.value.what.startswith(what) and caught.value.why.startswith(why), caught.value


@pytest.mark.parametrize("factor", [2.0**-150, 2.0**-60, 2.0**20, 2.0**150])
def test_a_last_layer_of_other_weights_is_found_at_any_scale(
    small: Small, folder: Path, tmp_path: Path, factor: float
) -> None:
    """Its accumulators then have up to 150 bits more or less after the point than the network's."""
    copy = shutil.copytree(folder, tmp_path / "copy")
    (copy / "input.txt").write_text(with_words((copy / "input.txt").read_text(), 7, lambda x: factor * x))
    with pytest.raises((VerificationError, UsageError)) as caught:
        compare_files(small.net, copy)
    assert caught.value.why.startswith("8[0]: the text gives ") or "53 bits" in caught.value.what, caught.value


def convolutions(*words: int | str) -> list[Layer]:
    """3x3 convolutions that keep the extents, each with a pool where an M follows."""
    made: list[Layer] = []
    for word in words:
        if word == "M":
            made[-1] = Layer("", 1, made[-1].channels_out, 1, made[-1].window, Window(2, 2))
        else:
            made.append(Layer("", 1, int(word), 1, Window(3, 1, 1)))
    return made


def linear(*widths: int) -> list[Layer]:
    return [Layer("", 1, width, 1) for width in widths]


def test_the_forms_that_zkcnns_programs_read() -> None:
    eleven = (64, "M", 128, "M", 256, 256, "M", 512, 512, "M", 512, 512, "M")
    vgg = Configuration("", (3, 32, 32), (*convolutions(*eleven), *linear(512, 512, 10)))
    assert vgg_words(vgg) == "64 M 128 M 256 256 M 512 512 M 512 512 M"
    assert vgg_words(Configuration("", (3, 64, 64), vgg.layers)) == ""
    assert vgg_words(Configuration("", (3, 32, 32), (*convolutions(*eleven[:2]), *linear(512, 512, 10)))) == ""
    assert not is_lenet(vgg)
    for side, border in ((28, 2), (32, 0)):
        pools = (
            Layer("", 1, 6, 1, Window(5, 1, border), Window(2, 2)),
            Layer("", 6, 16, 1, Window(5, 1), Window(2, 2)),
        )
        assert is_lenet(Configuration("", (1, side, side), (*pools, *linear(120, 84, 10))))
        assert not is_lenet(Configuration("", (1, side, side), (*pools, *linear(120, 10))))


def test_the_command_line(small: Small, tmp_path: Path) -> None:
    bundle = tmp_path / "net"
    both = np.concatenate([small.image, small.others[:1]])
    ar.save(small.net, bundle, golden=to_integers(small.net, both))
    run = CliRunner().invoke
    verified = run(main, ["verify", str(bundle), "--targets", "zkcnn", "--samples", "0"])
    assert verified.exit_code == 1
    assert "zkCNN computes other integers for 1 of 2 inputs" in verified.output
    np.save(tmp_path / "image.npy", to_integers(small.net, small.image)[small.net.inputs[0]])
    given = ["--samples", "0", "--input", str(tmp_path / "image.npy")]
    verified = run(main, ["verify", str(bundle), "--targets", "zkcnn", *given])
    assert verified.exit_code == 0, verified.output
    assert "; 216 elements are accumulators" in verified.output
    exported = run(main, ["export", str(bundle), "--target", "zkcnn", "-o", str(tmp_path / "files")])
    assert exported.exit_code == 0, exported.output
    assert compare_files(small.net, tmp_path / "files") == Compared(4, 216)
    refused = run(
        main, ["export", str(bundle), "--target", "zkcnn", "--set", "sample=1", "-o", str(tmp_path / "other")]
    )
    assert refused.exit_code == 1
    assert not (tmp_path / "other").exists()
