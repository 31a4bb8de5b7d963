"""Weights files: what fits is copied, what does not is listed whole, and nothing in a file is executed."""

from __future__ import annotations

import os
from collections import OrderedDict
from pathlib import Path

import pytest

from arithmos.errors import UsageError
from arithmos.models.registry import build
from arithmos.models.weights import load_weights

torch = pytest.importorskip("torch", reason='pip install "arithmos[torch]"')
safetensors_torch = pytest.importorskip("safetensors.torch")


class Touch:
    """A pickle that creates a file when it is loaded."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, tuple[object, ...]]:
        return os.mkdir, (str(self.path),)


def same(one: torch.nn.Module, other: torch.nn.Module) -> bool:
    return all(torch.equal(a, b) for a, b in zip(one.state_dict().values(), other.state_dict().values(), strict=True))


def refused(path: Path, model: torch.nn.Module | None = None) -> UsageError:
    """The error of loading `path`, after checking that the model was left as it was."""
    model = model or build("digits_cnn")
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    with pytest.raises(UsageError) as caught:
        load_weights(model, path)
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())
    return caught.value


@pytest.mark.parametrize("name", ["w.safetensors", "w.pt", "w.pth", "w.bin"])
def test_round_trip(tmp_path: Path, name: str) -> None:
    model = build("resnet20", seed=3)
    save = safetensors_torch.save_file if name.endswith("safetensors") else torch.save
    save(model.state_dict(), tmp_path / name)
    assert same(load_weights(build("resnet20"), tmp_path / name), model)


@pytest.mark.parametrize("container", ["state_dict", "model_state_dict", "model"])
@pytest.mark.parametrize("prefix", ["", "module.", "_orig_mod.", "_orig_mod.module.", "module._orig_mod."])
def test_containers_and_prefixes(tmp_path: Path, container: str, prefix: str) -> None:
    model = build("digits_cnn", seed=3)
    tensors = OrderedDict((prefix + name, tensor) for name, tensor in model.state_dict().items())
    torch.save({container: tensors, "epoch": 3, "best": 0.9}, tmp_path / "w.pth")
    assert same(load_weights(build("digits_cnn"), tmp_path / "w.pth"), model)


def test_a_prefix_that_is_the_models_own_stays(tmp_path: Path) -> None:
    model = torch.nn.ModuleDict({"module": torch.nn.Linear(2, 2)})
    torch.save(model.state_dict(), tmp_path / "w.pt")
    fresh = torch.nn.ModuleDict({"module": torch.nn.Linear(2, 2)})
    assert same(load_weights(fresh, tmp_path / "w.pt"), model)


def test_other_float_types_are_cast(tmp_path: Path) -> None:
    model = build("digits_cnn", seed=3)
    torch.save({name: tensor.double() for name, tensor in model.state_dict().items()}, tmp_path / "w.pt")
    assert same(load_weights(build("digits_cnn"), tmp_path / "w.pt"), model)


def test_batch_counters_may_be_missing_or_more(tmp_path: Path) -> None:
    tensors = build("resnet20", seed=3).state_dict()
    torch.save({n: t for n, t in tensors.items() if not n.endswith("tracked")}, tmp_path / "fewer.pt")
    torch.save(tensors | {"bn9.num_batches_tracked": torch.tensor(1)}, tmp_path / "more.pt")
    for file in ("fewer.pt", "more.pt"):
        assert torch.equal(load_weights(build("resnet20"), tmp_path / file).linear.weight, tensors["linear.weight"])


def test_tied_weights_are_stored_once(tmp_path: Path) -> None:
    def tied() -> torch.nn.Module:
        model = torch.nn.ModuleDict({"wte": torch.nn.Embedding(5, 3), "head": torch.nn.Linear(3, 5, bias=False)})
        model["head"].weight = model["wte"].weight
        return model

    model = tied()
    safetensors_torch.save_model(model, str(tmp_path / "w.safetensors"))
    assert len(safetensors_torch.load_file(tmp_path / "w.safetensors")) == 1
    assert same(load_weights(tied(), tmp_path / "w.safetensors"), model)


def test_every_problem_is_listed_at_once(tmp_path: Path) -> None:
    model = build("digits_cnn")
    tensors = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    tensors["conv1.weight"][0, 0, 0, 0] = float("nan")
    tensors["conv2.bias"] = tensors["conv2.bias"].double() * 0 + 1e300
    tensors["conv2.weight"] = tensors["conv2.weight"][:, :4].clone()
    tensors["fc.bias"] = torch.zeros(10, dtype=torch.int8)
    del tensors["fc.weight"]
    tensors["head.weight"] = torch.zeros(10, 256)
    torch.save(tensors, tmp_path / "w.pt")
    assert str(refused(tmp_path / "w.pt", model)) == (
        "the weights do not fit the model: 6 of its tensors are wrong\n"
        f"  at   {tmp_path / 'w.pt'}\n"
        "  why  conv1.weight: 1 of 72 values are NaN\n"
        "       conv2.weight: shape 16x4x3x3, should be 16x8x3x3\n"
        "       conv2.bias: 16 of 16 values are infinite in torch.float32\n"
        "       fc.weight: missing, should be 10x256\n"
        "       fc.bias: torch.int8, should be torch.float32\n"
        "       head.weight: unexpected, 10x256\n"
        "  fix  choose the model these weights were trained for with --model, or correct the file"
    )


def test_long_lists_are_cut_with_their_count(tmp_path: Path) -> None:
    torch.save(build("digits_cnn").state_dict(), tmp_path / "w.pt")
    lines = refused(tmp_path / "w.pt", build("resnet20")).why.splitlines()
    assert len(lines) == 11
    n_wrong = sum(not name.endswith("tracked") for name in build("resnet20").state_dict()) + 5
    assert lines[-1].strip() == f"and {n_wrong - 10} more"


def test_weights_of_another_architecture_name_it(tmp_path: Path) -> None:
    torch.save(build("resnet32").state_dict(), tmp_path / "w.pt")
    error = refused(tmp_path / "w.pt", build("resnet20"))
    first, last = error.why.splitlines()[0], error.why.splitlines()[-1].strip()
    assert (first, last) == ("layer1.3.conv1.weight: unexpected, 16x16x3x3", "and 50 more")
    assert error.fix == "these are the tensors of resnet32: give --model resnet32"


def test_weights_of_another_architecture_and_class_count(tmp_path: Path) -> None:
    torch.save(build("resnet32", classes=100).state_dict(), tmp_path / "w.pt")
    error = refused(tmp_path / "w.pt", build("resnet20"))
    assert error.fix == "these are the tensors of resnet32: give --model resnet32 --classes 100"


def test_weights_of_an_architecture_with_two_forms(tmp_path: Path) -> None:
    torch.save(build("resnet18").state_dict(), tmp_path / "w.pt")
    error = refused(tmp_path / "w.pt", build("cifar_resnet18"))
    assert error.why.splitlines()[0] == "conv1.weight: shape 64x3x7x7, should be 64x3x3x3"
    assert error.fix == "these are the tensors of resnet18: give --model imagenet_resnet18"


def test_weights_of_another_class_count(tmp_path: Path) -> None:
    tensors = build("resnet20", classes=100).state_dict()
    torch.save({n: t for n, t in tensors.items() if not n.endswith("tracked")}, tmp_path / "w.pt")
    assert str(refused(tmp_path / "w.pt", build("resnet20"))) == (
        "the weights are for 100 classes, the model has 10\n"
        f"  at   {tmp_path / 'w.pt'}\n"
        "  why  linear.weight: shape 100x64, should be 10x64\n"
        "       linear.bias: shape 100, should be 10\n"
        "  fix  build the model for 100 classes: --classes 100, or classes=100 in Python"
    )


def test_a_file_of_this_model_that_lacks_a_tensor(tmp_path: Path) -> None:
    tensors = build("resnet20").state_dict()
    del tensors["layer1.0.conv1.weight"]
    torch.save(tensors, tmp_path / "w.pt")
    error = refused(tmp_path / "w.pt", build("resnet20"))
    assert error.fix == "choose the model these weights were trained for with --model, or correct the file"


def test_a_changed_network_names_what_most_of_it_is(tmp_path: Path) -> None:
    torch.save({**build("resnet32").state_dict(), "head.weight": torch.zeros(3, 3)}, tmp_path / "w.pt")
    error = refused(tmp_path / "w.pt", build("resnet20"))
    assert error.fix == "99% of the tensors are those of resnet32: give --model resnet32, or correct the file"


def test_auxiliary_heads_may_be_missing_or_more(tmp_path: Path) -> None:
    for stored, built in ((True, False), (False, True), (True, True)):
        model = build("googlenet", seed=3, auxiliary=stored)
        torch.save(model.state_dict(), tmp_path / "w.pt")
        loaded = load_weights(build("googlenet", auxiliary=built), tmp_path / "w.pt")
        assert torch.equal(loaded.fc.weight, model.fc.weight)


def test_other_spellings_of_residual_networks(tmp_path: Path) -> None:
    model = build("cifar_resnet18", seed=3)
    renamed = {n.replace("downsample", "shortcut").replace("fc.", "linear."): t for n, t in model.state_dict().items()}
    torch.save({"net": 1, "state_dict": {f"module.{name}": tensor for name, tensor in renamed.items()}}, tmp_path / "w")
    (tmp_path / "w").rename(tmp_path / "w.pth")
    assert same(load_weights(build("cifar_resnet18"), tmp_path / "w.pth"), model)


def test_negative_variances(tmp_path: Path) -> None:
    tensors = build("resnet20").state_dict()
    tensors["bn1.running_var"][:2] = -1
    torch.save(tensors, tmp_path / "w.pt")
    assert refused(tmp_path / "w.pt", build("resnet20")).why == "bn1.running_var: 2 of 16 variances are negative"


def test_missing_file_and_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert str(refused(Path("no.pt"))) == (
        f"there is no such weights file\n  at   {tmp_path / 'no.pt'}\n"
        "  why  no file has this path\n  fix  check the path"
    )
    assert refused(tmp_path).what == "the weights file is a folder"


def test_unknown_kind(tmp_path: Path) -> None:
    (tmp_path / "w.h5").write_bytes(b"")
    assert refused(tmp_path / "w.h5").what == "weights cannot be read from '.h5' files"


@pytest.mark.parametrize("share", [0.0, 0.02, 0.5, 0.99])
@pytest.mark.parametrize("name", ["w.safetensors", "w.pt", "legacy.pt"])
def test_truncated_files(tmp_path: Path, name: str, share: float) -> None:
    file, tensors = tmp_path / name, build("digits_cnn").state_dict()
    if name == "w.safetensors":
        safetensors_torch.save_file(tensors, file)
    else:
        torch.save(tensors, file, _use_new_zipfile_serialization=name == "w.pt")
    content = file.read_bytes()
    file.write_bytes(content[: int(share * len(content))])
    error = refused(file)
    assert error.what == f"the file is not a {'safetensors' if 'safe' in name else 'torch.save'} file, or it is cut off"
    assert error.where == f"{file} ({int(share * len(content)):,} bytes)"
    assert error.why


@pytest.mark.parametrize("name", ["w.safetensors", "w.pt"])
@pytest.mark.parametrize(
    "content", [b"<html>404</html>", b"\x00" * 100, bytes(range(256)) * 9, b"PK\x03\x04" + b"x" * 99]
)
def test_files_of_another_kind(tmp_path: Path, name: str, content: bytes) -> None:
    (tmp_path / name).write_bytes(content)
    assert "or it is cut off" in refused(tmp_path / name).what


@pytest.mark.parametrize("zipped", [True, False])
def test_a_pickle_with_code_is_refused_and_not_executed(tmp_path: Path, zipped: bool) -> None:
    torch.save({"fc.weight": Touch(tmp_path / "executed")}, tmp_path / "w.pt", _use_new_zipfile_serialization=zipped)
    assert str(refused(tmp_path / "w.pt")) == (
        "the file contains a pickle with code in it\n"
        f"  at   {tmp_path / 'w.pt'}\n"
        f"  why  loading it would run {os.name}.mkdir; arithmos reads tensors and never executes what a file says\n"
        "  fix  where the model's code is, save its tensors alone: torch.save(model.state_dict(), path)"
    )
    assert not (tmp_path / "executed").exists()


def test_a_whole_module_is_refused(tmp_path: Path) -> None:
    torch.save(build("digits_cnn"), tmp_path / "w.pt")
    assert "loading it would run arithmos.models.cnn.DigitsCnn" in refused(tmp_path / "w.pt").why


def test_files_without_a_state_dict(tmp_path: Path) -> None:
    for content, shown in (([1, 2], "list"), ({"epoch": 3, "lr": 0.1}, "'epoch': int, 'lr': float"), ({}, "none")):
        torch.save(content, tmp_path / "w.pt")
        error = refused(tmp_path / "w.pt")
        assert error.what == "the file holds no state dict"
        assert error.why == f"a state dict is a dictionary of tensors; here are {shown}"
