"""Weights of the hub: found in its cache, refused with the file's address where the network cannot be used."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from arithmos.errors import MissingTool, UsageError
from arithmos.models.hub import fetch
from arithmos.models.registry import build
from arithmos.models.weights import load_weights, located

hub = pytest.importorskip("huggingface_hub", reason='pip install "arithmos[hub]"')
from huggingface_hub import constants, errors  # noqa: E402

COMMIT = "0123456789abcdef0123456789abcdef01234567"


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache of the hub; nothing may be fetched."""
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setenv("ARITHMOS_OFFLINE", "1")
    return tmp_path / "hub"


def publish(cache: Path, repo: str, file: str, content: bytes = b"", revision: str = "main") -> Path:
    """Put a file where the hub's own library keeps it, and the revision's commit."""
    folder = cache / f"models--{repo.replace('/', '--')}"
    path = folder / "snapshots" / COMMIT / file
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    (folder / "refs").mkdir(exist_ok=True)
    (folder / "refs" / revision).write_text(COMMIT)
    return path


def refused(reference: str) -> UsageError:
    with pytest.raises(UsageError) as caught:
        fetch(reference)
    return caught.value


@pytest.mark.parametrize(
    ("reference", "file"),
    [
        ("hf:org/net", "model.safetensors"),
        ("hf:org/net@main", "model.safetensors"),
        (f"hf:org/net@{COMMIT}", "model.safetensors"),
        ("hf:org/net", "pytorch_model.bin"),
        ("hf:org/net@main:weights/best.pth", "weights/best.pth"),
        ("hf:org/net:best.safetensors", "best.safetensors"),
    ],
)
def test_cached_files_are_found(cache: Path, reference: str, file: str) -> None:
    path = publish(cache, "org/net", file)
    assert fetch(reference) == path


def test_revisions_are_kept_apart(cache: Path) -> None:
    publish(cache, "org/net", "model.safetensors", revision="v1.0")
    assert fetch("hf:org/net@v1.0").name == "model.safetensors"
    assert "not in the hub's cache" in refused("hf:org/net@v2.0").what


def test_weights_load_from_the_cache(cache: Path) -> None:
    torch = pytest.importorskip("torch", reason='pip install "arithmos[torch]"')
    model = build("digits_cnn", seed=3)
    path = publish(cache, "org/digits", "pytorch_model.bin")
    torch.save(model.state_dict(), path)
    loaded = load_weights(build("digits_cnn"), "hf:org/digits@main")
    assert torch.equal(loaded.fc.weight, model.fc.weight)
    assert located("hf:org/digits") == path


def test_offline_names_the_file_to_fetch(cache: Path) -> None:
    assert str(refused("hf:org/net@v1.0")) == (
        "the weights are not in the hub's cache, and the network cannot be used\n"
        "  at   hf:org/net@v1.0\n"
        "  why  ARITHMOS_OFFLINE is set\n"
        "  fix  fetch this file where there is a network, and give its path instead of hf:org/net@v1.0:\n"
        "       https://huggingface.co/org/net/resolve/v1.0/model.safetensors"
    )
    assert refused("hf:org/net:a/b.pth").fix.endswith("https://huggingface.co/org/net/resolve/main/a/b.pth")


def test_the_hubs_own_switch(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ARITHMOS_OFFLINE", "0")
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    assert refused("hf:org/net").why == "HF_HUB_OFFLINE is set"


@pytest.mark.slow
def test_the_hubs_variables_are_respected(tmp_path: Path) -> None:
    """The real library in a process of its own: its cache by HF_HOME, its switch by HF_HUB_OFFLINE."""
    path = publish(tmp_path / "hub", "org/net", "model.safetensors")
    program = "import sys; from arithmos.models.hub import fetch; print(fetch(sys.argv[1]))"
    environment = {"HF_HOME": str(tmp_path), "HF_HUB_OFFLINE": "1", "HOME": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-c", program, "hf:org/net"], capture_output=True, text=True, check=True, env=environment
    )
    assert done.stdout.strip() == str(path)


def test_no_answer(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The hub's library has tried and finds nothing in its cache; the second name is not asked for over the network."""
    asked = []

    def download(repo: str, name: str, *, revision: str, local_files_only: bool) -> str:
        asked.append((name, local_files_only))
        raise errors.LocalEntryNotFoundError("no connection")

    monkeypatch.setenv("ARITHMOS_OFFLINE", "")
    monkeypatch.setattr(hub, "hf_hub_download", download)
    assert refused("hf:org/net").why == "the hub did not answer"
    assert asked == [("model.safetensors", False), ("pytorch_model.bin", True)]


def answer(status: int) -> Any:
    """What the hub's library raises its errors with."""
    client = pytest.importorskip(errors.HfHubHTTPError.__mro__[1].__module__.partition(".")[0])
    return client.Response(status, request=client.Request("HEAD", "https://huggingface.co/org/net"))


@pytest.mark.parametrize(
    ("kind", "what"),
    [
        ("RepositoryNotFoundError", "there is no such repository, or it asks for a login"),
        ("GatedRepoError", "the repository asks for a login"),
        ("RevisionNotFoundError", "the repository has no such revision"),
        ("HfHubHTTPError", "the hub refused"),
    ],
)
def test_refusals_of_the_hub(cache: Path, monkeypatch: pytest.MonkeyPatch, kind: str, what: str) -> None:
    def download(*_: object, **__: object) -> str:
        raise getattr(errors, kind)("\n401 Client Error\n", response=answer(401))

    monkeypatch.setattr(hub, "hf_hub_download", download)
    assert str(refused("hf:org/net@v1.0")) == (
        f"{what}\n  at   hf:org/net@v1.0\n  why  401 Client Error\n"
        "  fix  check the name on the hub; for one behind a login, log in with `hf auth login` or set HF_TOKEN"
    )


@pytest.mark.parametrize("problem", [OSError(28, "No space left on device"), errors.HTTPError("connection reset")])
def test_failures_on_the_way(cache: Path, monkeypatch: pytest.MonkeyPatch, problem: Exception) -> None:
    def download(*_: object, **__: object) -> str:
        raise problem

    monkeypatch.setattr(hub, "hf_hub_download", download)
    error = refused("hf:org/net")
    assert (error.what, error.why) == ("the file could not be fetched", str(problem))


def test_a_file_of_another_name_is_offered(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def download(*_: object, **__: object) -> str:
        raise errors.RemoteEntryNotFoundError("404", response=answer(404))

    monkeypatch.setenv("ARITHMOS_OFFLINE", "")
    monkeypatch.setattr(hub, "hf_hub_download", download)
    monkeypatch.setattr(hub, "list_repo_files", lambda repo, revision: ["README.md", "a/best.pth", "last.safetensors"])
    assert str(refused("hf:org/net")) == (
        "the repository has no file model.safetensors or pytorch_model.bin\n"
        "  at   hf:org/net\n"
        "  why  its weights files are a/best.pth, last.safetensors\n"
        "  fix  name one: hf:org/net@main:a/best.pth"
    )
    monkeypatch.setattr(hub, "list_repo_files", lambda repo, revision: ["README.md"])
    assert refused("hf:org/net:w.pth").fix == "choose another repository"


@pytest.mark.parametrize("reference", ["hf:", "hf:net", "hf:org/net/more", "hf:org/net@", "hf:org/net:", "hf:a b/c"])
def test_what_is_no_reference(cache: Path, reference: str) -> None:
    assert refused(reference).what == f"'{reference}' names no weights of the hub"


@pytest.mark.parametrize("reference", ["hf:org/..", "hf:-org/net", "hf:org/a--b"])
def test_names_that_the_hub_refuses(cache: Path, reference: str) -> None:
    assert refused(reference).what == "the hub takes no such name"


def test_without_the_library(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with pytest.raises(MissingTool) as caught:
        fetch("hf:org/net")
    assert caught.value.fix == 'pip install "arithmos[hub]"'
