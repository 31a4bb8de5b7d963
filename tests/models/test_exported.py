"""Exported programs: read whole, and refused where loading them would run anything but arithmetic."""

from __future__ import annotations

import io
import json
import os
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from arithmos.errors import UsageError
from arithmos.models.exported import is_arithmetic, load_exported
from arithmos.models.registry import build

torch = pytest.importorskip("torch", reason='pip install "arithmos[torch]"')


class Touch:
    """A pickle that creates a folder when it is loaded."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, tuple[object, ...]]:
        return os.mkdir, (str(self.path),)


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("program") / "model.pt2"
    dynamic = ({0: torch.export.Dim.AUTO, 2: torch.export.Dim.AUTO},)

    class Strided(torch.nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return torch.nn.functional.relu(x[:, :, ::2]).reshape(x.size(0), -1)

    torch.export.save(torch.export.export(Strided(), (torch.zeros(2, 3, 8, 8),), dynamic_shapes=dynamic), file)
    return file


def rewritten(
    program: Path, to: Path, change: Callable[[str, bytes], bytes], more: dict[str, bytes] | None = None
) -> Path:
    """A copy of the archive with every file's content changed by `change`, and the files `more` under its root."""
    with zipfile.ZipFile(program) as old, zipfile.ZipFile(to, "w") as new:
        for name in old.namelist():
            new.writestr(name, change(name, old.read(name)))
        root = old.namelist()[0].partition("/")[0]
        for name, content in (more or {}).items():
            new.writestr(f"{root}/{name}", content)
    return to


def refused(file: Path) -> UsageError:
    with pytest.raises(UsageError) as caught:
        load_exported(file)
    return caught.value


def test_round_trip(tmp_path: Path) -> None:
    model = build("digits_cnn", seed=3)
    images = torch.randn(2, 1, 8, 8)
    torch.export.save(torch.export.export(model, (images,)), tmp_path / "m.pt2")
    assert torch.equal(load_exported(tmp_path / "m.pt2").module()(images), model(images))


def test_symbolic_sizes_and_guards_are_arithmetic(program: Path) -> None:
    assert load_exported(program).module()(torch.ones(3, 3, 6, 8)).shape == (3, 72)


def test_code_in_symbolic_sizes_is_refused(program: Path, tmp_path: Path) -> None:
    code = f"__import__('os').mkdir('{tmp_path / 'executed'}')"

    def change(name: str, content: bytes) -> bytes:
        if not name.endswith("models/model.json"):
            return content
        document = json.loads(content)
        sizes = document["graph_module"]["graph"]["tensor_values"]["x"]["sizes"]
        sizes[0]["as_expr"]["expr_str"] = code
        return json.dumps(document).encode()

    error = refused(rewritten(program, tmp_path / "m.pt2", change))
    assert error.what == "the file contains code"
    assert code in error.why
    assert not (tmp_path / "executed").exists()


def test_code_in_guards_is_refused(program: Path, tmp_path: Path) -> None:
    def change(name: str, content: bytes) -> bytes:
        if not name.endswith("models/model.json"):
            return content
        return json.dumps(json.loads(content) | {"guards_code": ["exec('1')"]}).encode()

    assert "exec('1')" in refused(rewritten(program, tmp_path / "m.pt2", change)).why


def test_calls_of_other_than_operators_are_refused(program: Path, tmp_path: Path) -> None:
    def change(_: str, content: bytes) -> bytes:
        return content.replace(b"torch.ops.aten.relu.default", b"torch.serialization.os.system")

    assert "torch.serialization.os.system" in refused(rewritten(program, tmp_path / "m.pt2", change)).why


def test_a_pickle_among_the_sample_inputs_is_refused(program: Path, tmp_path: Path) -> None:
    buffer = io.BytesIO()
    torch.save((Touch(tmp_path / "executed"),), buffer)

    def change(name: str, content: bytes) -> bytes:
        return buffer.getvalue() if name.endswith("sample_inputs/model.pt") else content

    assert "sample_inputs/model.pt" in refused(rewritten(program, tmp_path / "m.pt2", change)).why
    assert not (tmp_path / "executed").exists()


def test_pickled_tensors_objects_and_libraries_are_refused(program: Path, tmp_path: Path) -> None:
    unchanged = lambda name, content: content  # noqa: E731
    for truth in (b"true", b"1", b'"yes"', b"[0]"):  # torch asks whether it is true, not whether it is True
        entry = b'"config": {"t": {"use_pickle": ' + truth + b"}}"
        pickled = lambda name, content, entry=entry: content.replace(b'"config": {}', entry)  # noqa: E731
        assert "the pickle of a tensor" in refused(rewritten(program, tmp_path / "m.pt2", pickled)).why
    for name in ("data/constants/opaque_obj_0", "data/constants/custom_obj_0", "data/aotinductor/model/model.so"):
        changed = rewritten(program, tmp_path / "m.pt2", unchanged, {name: b"x"})
        assert name.rpartition("/")[0].split("/")[1] in refused(changed).why


@pytest.mark.parametrize(
    ("share", "reason"),
    [
        (0.0, "File is not a zip file"),
        (0.3, "File is not a zip file"),
        (0.99, "PytorchStreamReader failed reading zip archive"),
    ],
)
def test_truncated_files(
    program: Path, tmp_path: Path, share: float, reason: str, capfd: pytest.CaptureFixture[str]
) -> None:
    content = program.read_bytes()
    (tmp_path / "m.pt2").write_bytes(content[: int(share * len(content))])
    error = refused(tmp_path / "m.pt2")
    assert error.why.startswith(reason)
    assert capfd.readouterr() == ("", "")
    assert str(error) == (
        "the file is not an exported program of this torch, or it is damaged\n"
        f"  at   {tmp_path / 'm.pt2'} ({int(share * len(content)):,} bytes)\n"
        f"  why  {error.why}\n"
        f"  fix  write it again with torch.export.save of torch {torch.__version__.partition('+')[0]}"
    )


def test_one_flipped_byte(program: Path, tmp_path: Path) -> None:
    content = bytearray(program.read_bytes())
    content[content.index(b"torch.ops.aten.relu") + 3] ^= 1
    (tmp_path / "m.pt2").write_bytes(content)
    assert "Bad CRC-32" in refused(tmp_path / "m.pt2").why


def test_other_archives_and_missing_files(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "m.pt2", "w") as archive:
        archive.writestr("readme.txt", "hello")
    assert refused(tmp_path / "m.pt2").what.startswith("the file is not an exported program")
    assert refused(tmp_path / "no.pt2").what == "there is no such exported program"


@pytest.mark.parametrize(
    "text",
    [
        "Add(FloorDiv(Add(Symbol('s53', positive=True, integer=True), Integer(1)), Integer(2)), Integer(-2))",
        "s77",
        "s0 + 2*s1 // 3",
        "(4 % ((-48) + 24*((1 + L['x'].size()[2]) // 2))) != 0",
        "L['x'].size()[0]*3 >= 2 and not L['x'].stride()[1] == 1",
        "max(2, L['x'].size()[0]) <= 9",
    ],
)
def test_arithmetic(text: str) -> None:
    assert is_arithmetic(text)


@pytest.mark.parametrize(
    "text",
    [
        "__import__('os').system('x')",
        "exec('x')",
        "open",
        "S('__import__')",
        "S('exec(1)')",
        "L.__class__",
        "L['x'].tofile('y')",
        "torch.hub.load('a', 'b')",
        "[x for x in y]",
        "(lambda: 1)()",
        "x := 1",
        "1; 2",
        "",
        "f'{1}'",
    ],
)
def test_not_arithmetic(text: str) -> None:
    assert not is_arithmetic(text)
