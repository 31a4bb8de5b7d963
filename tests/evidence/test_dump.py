"""Dumps: every value comes back from every format; the manifest holds; one changed number anywhere is found."""

from __future__ import annotations

import hashlib
import json
import subprocess
import tracemalloc
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.numpy

import factories
from arithmos.errors import UsageError
from arithmos.evidence.dump import dump, dump_bytes
from arithmos.evidence.manifest import root
from arithmos.evidence.recheck import verify_dump
from arithmos.evidence.tensor_files import FORMATS
from arithmos.ir.build import Builder
from arithmos.ir.codec import digest, encode, random_inputs
from arithmos.ir.graph import Graph
from arithmos.ir.interpret import evaluate
from arithmos.ir.interval import Interval, narrowest_dtype, signed
from arithmos.settings import tool
from samples import tiny

FORMAT = pytest.mark.parametrize("format", FORMATS)


def manifest_of(folder: Path) -> dict[str, dict[str, object]]:
    document = json.loads((folder / "manifest.json").read_text())
    return {tensor["name"]: tensor for tensor in document["tensors"]}


def stored(folder: Path, tensor: dict[str, object]) -> np.ndarray:
    """What a reader without arithmos gets."""
    dtype, shape, path = np.dtype(str(tensor["dtype"])), tensor["shape"], folder / str(tensor["file"])
    assert isinstance(shape, list)
    if path.suffix == ".safetensors":
        return safetensors.numpy.load_file(path)[str(tensor["key"])]
    if path.suffix == ".npz":
        return np.asarray(np.load(path)[str(tensor["key"])])
    text = path.read_text()
    if path.suffix == ".hex":
        bits = 8 * dtype.itemsize
        assert {len(line) for line in text.splitlines()} == {bits // 4}
        numbers = [int(line, 16) for line in text.splitlines()]
        numbers = [n - (1 << bits) if dtype.kind == "i" and n >> (bits - 1) else n for n in numbers]
    else:
        numbers = [int(item.strip().rstrip("UL")) for item in text[text.index("= {") + 3 : -3].split(",")]
    return np.array(numbers, dtype=dtype).reshape(shape)


@FORMAT
@pytest.mark.parametrize("witness", [False, True])
@pytest.mark.parametrize("target", ["interpreter", "engine"])
def test_round_trip(tmp_path: Path, format: str, witness: bool, target: str) -> None:
    graph = factories.residual_cnn()
    inputs = random_inputs(graph, 2)
    folder = dump(graph, inputs, tmp_path / "out", format=format, witness=witness, target=target)
    tensors = manifest_of(folder)
    expected = evaluate(graph, inputs, every=True) | dict(graph.constants)
    assert expected.keys() == {name for name in tensors if ":" not in name}
    assert any(":" in name for name in tensors) == witness
    for name, array in expected.items():
        interval = graph.values[name].range
        assert interval is not None
        found = stored(folder, tensors[name])
        assert found.dtype == narrowest_dtype(interval)
        np.testing.assert_array_equal(found, array, err_msg=name)
    check = verify_dump(folder)
    assert check.ok, str(check)
    assert check.tensors == len(tensors) - len(graph.constants) - len(graph.inputs)
    total = sum(np.dtype(str(t["dtype"])).itemsize * int(np.prod(t["shape"])) for t in tensors.values())  # type: ignore[arg-type]
    assert dump_bytes(graph, 2, witness=witness) == total


@pytest.mark.parametrize("name", ["attention", "integer_layer_norm", "folded_batch", "embedding", "pools"])
def test_every_kind_of_network(tmp_path: Path, name: str) -> None:
    graph = factories.INTEGER[name]()
    check = verify_dump(dump(graph, random_inputs(graph, 2), tmp_path / "out", witness=True))
    assert check.ok, str(check)


def test_a_target_without_a_stream(tmp_path: Path) -> None:
    pytest.importorskip("onnxruntime", reason='pip install "arithmos[onnx]"')
    graph = factories.residual_cnn()
    assert verify_dump(dump(graph, random_inputs(graph, 2), tmp_path / "out", target="onnx")).ok


def test_equal_dumps_are_equal_files(tmp_path: Path) -> None:
    graph = factories.residual_cnn()
    for format in FORMATS:
        folders = [dump(graph, random_inputs(graph, 1), tmp_path / f"{format}{i}", format=format) for i in (0, 1)]
        files = [sorted(path.relative_to(folder) for path in folder.rglob("*") if path.is_file()) for folder in folders]
        assert files[0] == files[1]
        assert all((folders[0] / name).read_bytes() == (folders[1] / name).read_bytes() for name in files[0])


def test_what_the_manifest_says(tmp_path: Path) -> None:
    graph = factories.residual_cnn()
    folder = dump(graph, random_inputs(graph, 2), tmp_path / "out", witness=True)
    document = json.loads((folder / "manifest.json").read_text())
    assert {key: document[key] for key in ("schema", "format", "model", "target", "samples", "inputs", "outputs")} == {
        "schema": 2,
        "format": "safetensors",
        "model": digest(graph),
        "target": "interpreter",
        "samples": 2,
        "inputs": ["image"],
        "outputs": ["logits"],
    }
    assert document["nodes"] == encode(graph)["nodes"]
    assert (document["field"], document["chunks"], document["origin"]) == (None, 0, {})
    tensors = manifest_of(folder)
    keys = ("role", "op", "dtype", "shape", "layout", "scale")
    wanted = {
        "image": ("input", "", "uint8", [2, 3, 12, 12], "NCHW", {"exponent": -8}),
        "stem.acc.weight": ("parameter", "", "int8", [8, 3, 3, 3], "OIHW", None),
        "stem.acc.bias": ("parameter", "", "int16", [8], "O", None),
        "head.weight": ("parameter", "", "int8", [10, 16], "OI", None),
        "stem.acc": ("accumulator", "conv", "int32", [2, 8, 12, 12], "NCHW", None),
        "block1.relu2.sum": ("accumulator", "add", "int32", [2, 8, 12, 12], "row-major", None),
        "stem": ("activation", "requantize", "uint8", [2, 8, 12, 12], "NCHW", None),
        "stem:rem": ("auxiliary", "requantize", "uint32", [2, 8, 12, 12], "NCHW", None),
        "stem:clamp": ("auxiliary", "requantize", "int8", [2, 8, 12, 12], "NCHW", None),
    }
    assert {name: tuple(tensors[name][key] for key in keys) for name in wanted} == wanted
    assert tensors["image"]["bound"] == [0, 255]
    assert tensors["stem:rem"]["bound"] == [0, (1 << 24) - 1]


def test_three_roots(tmp_path: Path) -> None:
    graph = factories.residual_cnn()

    def roots(name: str, seed: int, **options: object) -> dict[str, str]:
        folder = dump(graph, random_inputs(graph, 2, seed=seed), tmp_path / name, **options)  # type: ignore[arg-type]
        found = json.loads((folder / "manifest.json").read_text())["roots"]
        assert isinstance(found, dict)
        return found

    first, second = roots("a", 1), roots("b", 2)
    assert first["parameters"] == second["parameters"]
    assert first["inputs"] != second["inputs"]
    assert first["outputs"] != second["outputs"]
    assert roots("c", 1, format="hex", witness=True, values="stem*") == first
    assert root([]) == "4f53cda18c2baa0c0354bb5f9a3ecbe5ed12ab4d8e11ba873c2f11161202b945"


def test_chunks_are_rechecked(tmp_path: Path) -> None:
    graph = factories.INTEGER["pools"]()
    folder = dump(graph, random_inputs(graph, 2), tmp_path / "out", witness=True, chunks=8)
    assert any(name.endswith(":difference.chunks") for name in manifest_of(folder))
    assert verify_dump(folder).ok
    assert dump_bytes(graph, 2, witness=True, chunks=8) == sum(
        np.dtype(str(t["dtype"])).itemsize * int(np.prod(t["shape"]))  # type: ignore[arg-type]
        for t in manifest_of(folder).values()
    )


def test_the_library_reads_the_safetensors_file_and_every_tensor_is_aligned(tmp_path: Path) -> None:
    graph = factories.residual_cnn()
    folder = dump(graph, random_inputs(graph, 3), tmp_path / "out", witness=True)
    data = (folder / "values.safetensors").read_bytes()
    head = int.from_bytes(data[:8], "little")
    table = json.loads(data[8 : 8 + head])
    assert table.pop("__metadata__") == {"producer": "arithmos", "model": digest(graph)}
    assert head % 8 == 0
    for tensor in table.values():
        assert tensor["data_offsets"][0] % (int(tensor["dtype"].lstrip("IU")) // 8) == 0
    with safetensors.safe_open(folder / "values.safetensors", framework="numpy") as file:
        assert set(file.keys()) == set(manifest_of(folder))


def test_c_arrays_compile_without_a_warning_and_keep_their_numbers(tmp_path: Path) -> None:
    compiler = tool("cc")
    if compiler is None:
        pytest.skip("no C compiler: apt-get install gcc")
    b = Builder("int")
    x = b.input("x", (-1, 2), Interval(-(1 << 62), 1 << 62))
    low = b.add("add", x, b.constant("low", np.array([-(1 << 62), 5])), name="to the lowest")
    unsigned = b.add("clip", x, lo=0, hi=(1 << 32) - 1, name="2nd*/value")
    graph = b.graph(low, unsigned)
    folder = dump(graph, np.array([[-(1 << 62), 1 << 40]]), tmp_path / "out", format="c")
    program = tmp_path / "main.c"
    keys = {name: tensor["key"] for name, tensor in manifest_of(folder).items()}
    program.write_text(
        '#include "values.h"\n#include <stdio.h>\nint main(void) {\n'
        f'  printf("%lld %lld %lld", (long long){keys["to the lowest"]}[0],\n'
        f"    (long long){keys['2nd*/value']}[1], (long long){keys['low']}[1]);\n"
        "  return 0;\n}\n"
    )
    flags = ["-std=c99", "-Wall", "-Wextra", "-Werror", "-pedantic", f"-I{folder}"]
    subprocess.run([compiler, *flags, str(program), "-o", str(tmp_path / "main")], check=True)
    printed = subprocess.run([tmp_path / "main"], check=True, capture_output=True, text=True).stdout
    assert printed == f"{-(1 << 63)} {(1 << 32) - 1} 5"
    assert verify_dump(folder).ok


def test_a_glob_chooses_values(tmp_path: Path) -> None:
    graph = factories.residual_cnn()
    folder = dump(graph, random_inputs(graph, 1), tmp_path / "out", values="block1.*", witness=True)
    names = set(manifest_of(folder)) - set(graph.constants)
    assert {name.split(":")[0] for name in names if not name.startswith("block1.")} == {"image", "logits"}
    assert "block1.relu2:rem" in names
    assert verify_dump(folder).ok


@pytest.mark.parametrize("format", ["safetensors", "npz"])
def test_memory_is_that_of_the_live_values(tmp_path: Path, format: str) -> None:
    graph = deep(60)
    inputs = random_inputs(graph, 16)
    one = inputs["x"].size * 8
    assert dump_bytes(graph, 16) > 5 * one
    tracemalloc.start()
    dump(graph, inputs, tmp_path / "out", format=format)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 5 * one  # two live int64 values, their temporary, one that is written and its narrow copy
    tracemalloc.start()
    assert verify_dump(tmp_path / "out").ok
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 6 * one


def deep(layers: int) -> Graph:
    """A chain of clips: many values, two of them alive."""
    b = Builder("int")
    y = b.input("x", (-1, 64, 32), signed(8))
    for i in range(layers):
        y = b.add("clip", y, lo=i - 127, hi=None, name=f"layer{i}")
    return b.graph(y)


def altered(folder: Path, name: str, format: str, *, honest: bool) -> None:
    """Change the last element of a tensor by one; with `honest`, every sha256 and root is made to fit."""
    path = folder / "manifest.json"
    document = json.loads(path.read_text())
    (number,) = [n for n, tensor in enumerate(document["tensors"]) if tensor["name"] == name]
    tensor = document["tensors"][number]
    array = stored(folder, tensor).copy()
    array.reshape(-1)[-1] ^= 1
    rewrite(folder, tensor, array, format)
    if honest:
        tensor["sha256"] = hashlib.sha256(array.tobytes()).hexdigest()
        document["roots"]["outputs"] = root(t for t in document["tensors"] if t["name"] in document["outputs"])
        path.write_text(json.dumps(document))


def rewrite(folder: Path, tensor: dict[str, object], array: np.ndarray, format: str) -> None:
    path = folder / str(tensor["file"])
    if format == "safetensors":
        tensors = safetensors.numpy.load_file(path)
        safetensors.numpy.save_file(tensors | {str(tensor["key"]): array}, path)
    elif format == "npz":
        np.savez(path, **(dict(np.load(path).items()) | {str(tensor["key"]): array}))
    elif format == "hex":
        width = array.dtype.itemsize
        path.write_text(array.byteswap().tobytes().hex("\n", width) + "\n")
    else:
        text = path.read_text()
        numbers = ", ".join(str(int(x)) for x in array.reshape(-1))
        path.write_text(text[: text.index("= {") + 3] + numbers + "};\n")


@FORMAT
@pytest.mark.parametrize("honest", [False, True])
def test_one_changed_number_is_named(tmp_path: Path, format: str, honest: bool) -> None:
    graph = factories.residual_cnn()
    folder = dump(graph, random_inputs(graph, 2), tmp_path / "out", format=format, witness=True)
    altered(folder, "block1.relu2", format, honest=honest)
    check = verify_dump(folder)
    assert not check.ok
    found = check.first_difference
    assert found is not None
    assert (found.value, found.index) == ("block1.relu2", (1, 7, 11, 11))
    assert check.problems[0] == str(found)


def test_a_changed_auxiliary_value_is_named(tmp_path: Path) -> None:
    graph = factories.residual_cnn()
    folder = dump(graph, random_inputs(graph, 2), tmp_path / "out", witness=True)
    altered(folder, "stem:q", "safetensors", honest=True)
    check = verify_dump(folder)
    assert check.first_difference is not None
    assert (check.first_difference.value, check.first_difference.index) == ("stem:q", (1, 7, 11, 11))


@pytest.mark.parametrize("honest", [False, True])
def test_a_changed_parameter_or_input_is_named(tmp_path: Path, honest: bool) -> None:
    graph = factories.residual_cnn()
    folder = dump(graph, random_inputs(graph, 2), tmp_path / "out")
    altered(folder, "stem.acc.weight", "safetensors", honest=honest)
    problem = verify_dump(folder).problems[0]
    if honest:  # the numbers of the network's graph.json are other ones
        assert problem == "stem.acc[0, 7, 0, 0]: " + problem.partition(": ")[2]
    else:
        assert problem == "tensor 'stem.acc.weight' does not match its sha256"
    other = dump(graph, random_inputs(graph, 2), tmp_path / "other")
    altered(other, "image", "safetensors", honest=honest)
    check = verify_dump(other)
    assert not check.ok
    if not honest:
        assert check.problems[0] == "tensor 'image' does not match its sha256"


def test_an_input_out_of_its_range_is_named(tmp_path: Path) -> None:
    b = Builder("int")
    graph = b.graph(b.add("clip", b.input("x", (-1, 3), Interval(0, 100)), lo=50, hi=None, name="y"))
    folder = dump(graph, np.array([[1, 2, 100]]), tmp_path / "out")
    document = json.loads((folder / "manifest.json").read_text())
    rewrite(folder, document["tensors"][0], np.array([[1, 2, 101]], dtype=np.uint8), "safetensors")
    assert verify_dump(folder).problems[0] == "tensor 'x' holds integers in [1, 101], its bound is [0, 100]"


def edit(folder: Path, name: str, **facts: object) -> None:
    path = folder / name
    document = json.loads(path.read_text())
    path.write_text(json.dumps(document | facts))


def test_an_edited_manifest_is_noticed(tmp_path: Path) -> None:
    graph = factories.residual_cnn()
    folder = dump(graph, random_inputs(graph, 2), tmp_path / "out")
    document = json.loads((folder / "manifest.json").read_text())
    edit(folder, "manifest.json", roots={**document["roots"], "outputs": "0" * 64})
    assert verify_dump(folder).problems[0].startswith("the manifest says that roots is ")
    tensors = [{**t, "bound": [0, 256]} if t["name"] == "stem" else t for t in document["tensors"]]
    edit(folder, "manifest.json", roots=document["roots"], tensors=tensors)
    proven = graph.values["stem"].range
    assert proven is not None
    text = f"the manifest says of 'stem' that bound is [0, 256], it is [0, {proven.hi}]"
    assert verify_dump(folder).problems == (text,)
    edit(folder, "manifest.json", tensors=[t for t in document["tensors"] if t["name"] != "logits"])
    assert verify_dump(folder).problems[0] == "tensor 'logits' is missing from the manifest"
    edit(folder, "manifest.json", tensors=[t for t in document["tensors"] if t["name"] != "stem.acc.bias"])
    assert verify_dump(folder).problems == ("parameter 'stem.acc.bias' is missing from the manifest",)
    nodes = [{**node, "attrs": {}} if node["op"] == "requantize" else node for node in document["nodes"]]
    edit(folder, "manifest.json", tensors=document["tensors"], nodes=nodes)
    number = next(n for n, node in enumerate(nodes) if node["op"] == "requantize")
    text = f"the manifest says that node {number} is {nodes[number]}, it is {document['nodes'][number]}"
    assert verify_dump(folder).problems[0] == text
    edit(folder, "manifest.json", nodes=nodes[1:])
    text = f"the manifest does not list the {len(nodes)} nodes of the network"
    assert verify_dump(folder).problems == (text,)
    edit(folder, "manifest.json", nodes=document["nodes"], field={"name": "f7", "modulus": "7"})
    with pytest.raises(UsageError, match=r"its field is none that is known: \{'name': 'f7'"):
        verify_dump(folder)
    edit(folder, "manifest.json", field=None)
    edit(folder, "manifest.json", tensors=document["tensors"], model="0" * 64)
    assert verify_dump(folder).problems == (f"the manifest says that model is {'0' * 64}, it is {digest(graph)}",)


def test_a_damaged_file_is_no_dump_or_an_inconsistent_one(tmp_path: Path) -> None:
    graph = factories.residual_cnn()
    folder = dump(graph, random_inputs(graph, 2), tmp_path / "out")
    data = (folder / "values.safetensors").read_bytes()
    (folder / "values.safetensors").write_bytes(data[:-1])
    assert verify_dump(folder).problems[0].startswith("tensor 'block1.conv1.acc.bias' cannot be read: ")
    edit(folder, "manifest.json", schema=1)
    with pytest.raises(UsageError, match="its schema is 1, this version reads 2"):
        verify_dump(folder)
    (folder / "manifest.json").write_text("{")
    with pytest.raises(UsageError, match="this is no dump that can be checked"):
        verify_dump(folder)


def everywhere(document: Any, path: tuple[object, ...] = ()) -> Iterator[tuple[object, ...]]:
    """The path of every entry of a JSON document."""
    if isinstance(document, dict | list):
        for key, entry in document.items() if isinstance(document, dict) else enumerate(document):
            yield *path, key
            yield from everywhere(entry, (*path, key))


UNCHECKED = {"target", "origin", "chunks", "file", "key"}
"""What a dump says of its origin, of a witness that it has not, and of places: numbers are read in their order."""


@pytest.mark.parametrize("name", ["manifest.json", "graph.json"])
def test_any_entry_may_be_anything(tmp_path: Path, name: str) -> None:
    """Every entry of the documents is replaced: the dump is refused or inconsistent, in words."""
    file = dump(tiny(), random_inputs(tiny(), 1), tmp_path / "dump", format="npz") / name
    text = file.read_text()
    wrong: tuple[Any, ...] = (None, True, -1, 3.5, 1 << 70, "x", [], [[1]], {}, {"a": 1})
    survived = set()
    for number, path in enumerate(everywhere(json.loads(text))):
        document = json.loads(text)
        inner = document
        for key in path[:-1]:
            inner = inner[key]
        changed = wrong[number % len(wrong)]
        if inner[path[-1]] == changed:
            continue
        inner[path[-1]] = changed
        file.write_text(json.dumps(document))
        try:
            check = verify_dump(tmp_path / "dump")
        except UsageError:  # anything else is a failure
            continue
        if check.ok:
            survived.add(path)
    assert {path[-1] for path in survived} <= UNCHECKED


def test_bad_usage_leaves_nothing_behind(tmp_path: Path) -> None:
    graph = factories.residual_cnn()
    inputs = random_inputs(graph, 1)
    with pytest.raises(UsageError, match="there is no dump format 'xml'"):
        dump(graph, inputs, tmp_path / "out", format="xml")
    with pytest.raises(UsageError, match=r"no value matches 'nothing\*'"):
        dump(graph, inputs, tmp_path / "out", values="nothing*")
    with pytest.raises(UsageError, match="only an integer graph can be dumped"):
        dump(factories.float_cnn(), inputs, tmp_path / "out")
    with pytest.raises(UsageError, match="there is no field 'bn255'"):
        dump(graph, inputs, tmp_path / "out", field="bn255")
    with pytest.raises(UsageError, match="there is nothing to cut into chunks"):
        dump(graph, inputs, tmp_path / "out", chunks=8)
    with pytest.raises(UsageError, match="there are no chunks of 33 bits"):
        dump(graph, inputs, tmp_path / "out", chunks=33, witness=True)
    with pytest.raises(UsageError, match="there is no target 'engin'"):
        dump(graph, inputs, tmp_path / "out", target="engin")
    assert not list(tmp_path.iterdir())
    dump(graph, inputs, tmp_path / "out")
    with pytest.raises(UsageError, match="exists"):
        dump(graph, inputs, tmp_path / "out")
    dump(graph, inputs, tmp_path / "out", force=True)


def test_inputs_and_constants_may_be_outputs(tmp_path: Path) -> None:
    b = Builder("int")
    x = b.input("x", (-1, 3), signed(8))
    graph = b.graph(x, b.constant("c", np.array([1, 2, 300])), b.add("clip", x, lo=-5, hi=None, name="y"))
    for target in ("interpreter", "engine"):
        folder = dump(graph, np.int8([[1, -100, 3]]), tmp_path / target, target=target)
        check = verify_dump(folder)
        assert check.ok, str(check)
