"""A bundle that is not what was written: refused by every verb that reads one, by its file, tensor or value."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from arithmos.ir.codec import SCHEMA, save
from arithmos.ir.graph import Graph
from cli.refusals import refused

READERS = (
    "run net --input images.npy -o out/y.npy",
    "verify net --targets engine",
    "export net --target c -o out",
    "show net",
)


@pytest.fixture
def here(net: Graph, images: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, with images and a sound bundle that has every file."""
    monkeypatch.chdir(tmp_path)
    save(net, "net", recipe="weight_bits = 8\n", report={"top1": 0.5})
    return tmp_path


def flip(file: Path, after: str, bit: int = 1) -> None:
    """Change one bit of the byte that follows the text; of the last byte but one for no text."""
    data = bytearray(file.read_bytes())
    data[data.index(after.encode()) + len(after) if after else -2] ^= bit
    file.write_bytes(data)


@pytest.mark.parametrize("verb", READERS)
@pytest.mark.parametrize(
    ("name", "after", "why"),
    [
        ("graph.json", '"shift": ', "graph.json does not match its digest"),
        ("graph.json", "", "graph.json is damaged: "),
        ("tensors.safetensors", "", " does not match its digest"),
        ("tensors.safetensors", "{", "tensors.safetensors is damaged: "),
        ("golden.safetensors", "", "golden.safetensors does not match its digest"),
        ("recipe.toml", "", "recipe.toml does not match its digest"),
        ("report.json", "", "report.json does not match its digest"),
    ],
)
def test_one_flipped_bit(arithmos: Any, here: Path, verb: str, name: str, after: str, why: str) -> None:
    flip(here / "net" / name, after)
    refused(arithmos, here, 2, verb, "error: this bundle cannot be loaded\n  at   net\n  why  ", why, "  fix  copy or ")


def edited(bundle: Path, change: Callable[[dict[str, Any]], object]) -> None:
    """Change graph.json and its digest, as somebody would who knows the format."""
    document = json.loads((bundle / "graph.json").read_text())
    change(document)
    body = {key: value for key, value in document.items() if key not in ("digest", "files")}
    canonical = json.dumps(body, sort_keys=True, separators=(",", ":")).encode()
    (bundle / "graph.json").write_text(json.dumps({**document, "digest": hashlib.sha256(canonical).hexdigest()}))


@pytest.mark.parametrize("verb", READERS)
def test_an_edited_range_with_a_new_digest(arithmos: Any, here: Path, net: Graph, verb: str) -> None:
    proven = net.values["conv1.acc"].range
    edited(here / "net", lambda document: document["values"]["conv1.acc"].update(range=[-5, 5]))
    why = f"  why  'conv1.acc' is proven to be in {proven}, its entry says [-5, 5]\n"
    refused(arithmos, here, 2, verb, why, "  fix  make the bundle again from the network\n")


@pytest.mark.parametrize("verb", READERS)
def test_an_accumulator_that_would_exceed_int64(arithmos: Any, here: Path, verb: str) -> None:
    edited(here / "net", lambda document: document["values"]["images"].update(range=[-(1 << 62), 1 << 62]))
    refused(arithmos, here, 2, verb, "'conv1.acc'", " bits, int64 has 64", "  fix  make the bundle again from the net")


@pytest.mark.parametrize("verb", READERS)
def test_a_newer_schema(arithmos: Any, here: Path, verb: str) -> None:
    edited(here / "net", lambda document: document.update(schema=SCHEMA + 1))
    why = f"  why  its schema is {SCHEMA + 1}, this version reads up to {SCHEMA}\n  fix  upgrade arithmos\n"
    refused(arithmos, here, 2, verb, why)


@pytest.mark.parametrize("verb", READERS)
def test_a_missing_file(arithmos: Any, here: Path, verb: str) -> None:
    (here / "net" / "tensors.safetensors").unlink()
    why = "  why  it has no tensors.safetensors\n  fix  give a directory that `arithmos quantize` wrote\n"
    refused(arithmos, here, 2, verb, why)


@pytest.mark.parametrize(
    ("facts", "why"),
    [
        ("[1]", "it is not a JSON object"),
        ('{"origin": 5, "layers": {}}', "'origin' is no object, 'layers' is no list"),
        ('{"name": []}', "'name' is no text"),
    ],
)
@pytest.mark.parametrize("verb", ["run net --input images.npy", "verify net --targets engine", "report net -o out"])
def test_facts_that_are_none(arithmos: Any, here: Path, verb: str, facts: str, why: str) -> None:
    (here / "net" / "report.json").write_text(facts)
    digest = hashlib.sha256(facts.encode()).hexdigest()
    edited(here / "net", lambda document: document["files"].update({"report.json": digest}))
    said = f"error: a file of the bundle cannot be read\n  at   net/report.json\n  why  {why}\n  fix  make the bundle"
    refused(arithmos, here, 2, verb, said)
