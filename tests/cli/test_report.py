"""`arithmos report --proof`: shown where it holds for this bundle's network, refused otherwise."""

from __future__ import annotations

import json
import shutil
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from arithmos.cli.main import main
from arithmos.ir.codec import digest, save
from arithmos.report.proof import verified_proof
from arithmos.targets.zk.keys import model_hash
from targets.zk.conftest import image, network

pytest.importorskip("jinja2", reason='pip install "arithmos[report]"')
pytest.importorskip("matplotlib", reason='pip install "arithmos[report]"')
pytestmark = pytest.mark.skipif(
    find_spec("groth16py") is None, reason='needs groth16py: pip install "arithmos[groth16]"'
)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """net, the bundle; proved, what `arithmos prove` wrote."""
    folder = tmp_path_factory.mktemp("made")
    save(network(), folder / "net", golden=image())
    done = CliRunner().invoke(main, ["prove", str(folder / "net"), "-o", str(folder / "proved")])
    assert done.exit_code == 0, done.output
    return folder


def test_the_page_shows_the_proof(arithmos: Any, made: Path, tmp_path: Path) -> None:
    result = arithmos("report", made / "net", "--proof", made / "proved", "-o", tmp_path / "page")
    assert result.exit_code == 0, result.stderr
    stamp = json.loads((made / "proved" / "proof" / "proof.json").read_text())
    page = (tmp_path / "page" / "index.html").read_text()
    assert stamp["model_hash"] in page and '<a href="#proof">' in page and "set up" in page and "proving key" in page
    assert "which claims that this network gives" in page
    assert {"proof.png", "proof.csv"} <= {f.name for f in (tmp_path / "page" / "figures").iterdir()}


@pytest.fixture
def proved(made: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(made / "proved", tmp_path / "proved"))


def test_a_proof_that_does_not_hold_is_not_shown(arithmos: Any, made: Path, proved: Path, tmp_path: Path) -> None:
    public = proved / "proof" / "public.json"
    numbers = json.loads(public.read_text())
    public.write_text(json.dumps([str(int(numbers[0]) + 1), *numbers[1:]]))
    result = arithmos("report", made / "net", "--proof", proved, "-o", tmp_path / "page")
    assert result.exit_code == 1 and "the proof does not hold" in result.stderr
    assert not (tmp_path / "page").exists()


def test_the_proof_of_another_bundle(arithmos: Any, proved: Path, tmp_path: Path) -> None:
    other = save(network(1), tmp_path / "other")
    result = arithmos("report", other, "--proof", proved, "-o", tmp_path / "page")
    assert result.exit_code == 2 and "this proof is of another network" in result.stderr
    assert digest(network(1))[:16] in result.stderr and not (tmp_path / "page").exists()


def test_a_stamp_without_times(arithmos: Any, made: Path, proved: Path, tmp_path: Path) -> None:
    """The verifier needs none of them; the page does."""
    stamp = proved / "proof" / "proof.json"
    facts = json.loads(stamp.read_text())
    del facts["steps"]["prove"]["cpu_s"]
    stamp.write_text(json.dumps(facts))
    result = arithmos("report", made / "net", "--proof", proved, "-o", tmp_path / "page")
    assert result.exit_code == 2
    assert result.stderr == (
        "error: proof.json cannot be read\n"
        f"  at   {stamp}\n"
        "  why  it lacks 'cpu_s'\n"
        "  fix  make it again: arithmos prove\n"
    )
    assert not (tmp_path / "page").exists()


def test_the_page_may_not_replace_the_proof(arithmos: Any, made: Path, proved: Path) -> None:
    result = arithmos("report", made / "net", "--proof", proved, "-o", proved, "--force")
    assert result.exit_code == 2 and "is read from and cannot be the output" in result.stderr
    assert (proved / "proof" / "proof.bin").is_file()


def test_a_model_hash_is_compared(arithmos: Any, made: Path, tmp_path: Path) -> None:
    """Here --proof is OUT/proof, above it is OUT."""
    known = json.loads((made / "proved" / "proof" / "proof.json").read_text())["model_hash"]
    given = ("--proof", made / "proved" / "proof", "--model-hash", known.upper())
    result = arithmos("report", made / "net", *given, "-o", tmp_path / "page")
    assert result.exit_code == 0, result.stderr
    page = (tmp_path / "page" / "index.html").read_text()
    assert "its model hash is the one that was expected" in page and "claims" not in page
    result = arithmos(
        "report", made / "net", "--proof", made / "proved", "--model-hash", "0" * 64, "-o", tmp_path / "no"
    )
    assert result.exit_code == 1 and "the proof is for another model" in result.stderr
    result = arithmos("report", made / "net", "--model-hash", known, "-o", tmp_path / "no")
    assert result.exit_code == 2 and "--model-hash goes with --proof" in result.stderr
    assert not (tmp_path / "no").exists()


def test_the_statement_of_another_network(arithmos: Any, made: Path, proved: Path, tmp_path: Path) -> None:
    """A valid proof of network 1 that claims to be of the bundle's: nothing but a trusted hash can tell."""
    save(network(1), tmp_path / "other", golden=image())
    assert arithmos("prove", tmp_path / "other", "-o", tmp_path / "forged").exit_code == 0
    stamps = [json.loads((folder / "proof" / "proof.json").read_text()) for folder in (proved, tmp_path / "forged")]
    trusted, statement = stamps[0]["model_hash"], stamps[0]["statement"]
    forged = tmp_path / "forged" / "proof"
    stamp = stamps[1] | {"statement": statement}
    stamp["model_hash"] = model_hash((forged / "verifying_key.json").read_bytes(), statement)
    (forged / "proof.json").write_text(json.dumps(stamp))
    result = arithmos("report", made / "net", "--proof", tmp_path / "forged", "-o", tmp_path / "page")
    assert result.exit_code == 2 and "error: proof and keys are not of one model\n" in result.stderr
    shutil.rmtree(tmp_path / "forged" / "keys")
    assert not verified_proof(network(), forged)["trusted"]
    result = arithmos("report", made / "net", "--proof", forged, "--model-hash", trusted, "-o", tmp_path / "no")
    assert result.exit_code == 1 and "the proof is for another model" in result.stderr
