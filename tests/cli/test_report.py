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
