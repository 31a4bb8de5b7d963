"""The exported folder: stock onnxruntime with default options runs it; manifest, metadata and page are right."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

import factories
from arithmos.ir.codec import digest, random_inputs
from arithmos.ir.interpret import evaluate
from arithmos.targets.export import export
from arithmos.targets.onnx.export import export as export_onnx

ort = pytest.importorskip("onnxruntime", reason='pip install "arithmos[onnx]"')
onnx = pytest.importorskip("onnx", reason='pip install "arithmos[onnx]"')


def test_stock_runtime_gives_the_integers_for_any_batch(tmp_path: Path) -> None:
    graph = factories.residual_cnn()
    folder = export(graph, "onnx", tmp_path / "net", every=True)
    session = ort.InferenceSession(folder / "model.onnx", providers=["CPUExecutionProvider"])
    for batch in (1, 4):
        inputs = random_inputs(graph, batch)
        expected = evaluate(graph, inputs, every=True)
        names = [output.name for output in session.get_outputs()]
        assert set(names) == expected.keys() - set(graph.inputs)
        assert names[: len(graph.outputs)] == list(graph.outputs)
        for name, array in zip(names, session.run(None, inputs), strict=True):
            np.testing.assert_array_equal(array, expected[name], err_msg=name)


def test_what_the_files_say(tmp_path: Path) -> None:
    graph = factories.residual_cnn()
    folder = export(graph, "onnx", tmp_path / "net")
    assert sorted(path.name for path in folder.iterdir() if path.suffix) == ["README.md", "manifest.json", "model.onnx"]
    manifest = json.loads((folder / "manifest.json").read_text())
    assert manifest["digest"] == digest(graph)
    assert manifest["inputs"] == [
        {
            "value": "image",
            "tensor": "image",
            "dtype": "uint8",
            "shape": "(N, 3, 12, 12)",
            "range": [0, 255],
            "scale": {"exponent": -8},
            "source": "",
        }
    ]
    assert manifest["values"] == []
    model = onnx.load(folder / "model.onnx")
    properties = {entry.key: entry.value for entry in model.metadata_props}
    assert properties["arithmos.digest"] == digest(graph)
    assert json.loads(properties["arithmos.outputs"])[0]["source"] == "head (model.py:41)"
    assert {entry.version for entry in model.opset_import} == {17}
    page = (folder / "README.md").read_text()
    assert '| `image` | input | uint8 | (N, 3, 12, 12) | [0, 255] | {"exponent": -8} |' in page
    assert '{"image": array_of_uint8}' in page


def test_weights_are_stored_as_integers(tmp_path: Path) -> None:
    folder = export(factories.residual_cnn(), "onnx", tmp_path / "net")
    stored = [a.data_type for a in onnx.load(folder / "model.onnx").graph.initializer if a.dims[2:] == [3, 3]]
    assert stored == [onnx.TensorProto.INT8] * 5


def test_many_weights_are_written_beside_the_model(tmp_path: Path) -> None:
    graph = factories.residual_cnn()
    export_onnx(graph, tmp_path, external_bytes=1000)
    assert (tmp_path / "model.onnx.data").stat().st_size > 1000
    session = ort.InferenceSession(tmp_path / "model.onnx", providers=["CPUExecutionProvider"])
    inputs = random_inputs(graph, 2)
    (logits,) = session.run(None, inputs)
    np.testing.assert_array_equal(logits, evaluate(graph, inputs)["logits"])
