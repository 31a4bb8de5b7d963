"""Fetching from a server of our own on this machine: whole, broken off, continued, wrong, offline."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest

from arithmos.errors import UsageError
from arithmos.train.data import fetch as fetch_module
from arithmos.train.data.datasets import DATASETS
from arithmos.train.data.fetch import fetch
from arithmos.train.data.remotes import BY_HAND, REMOTES, Remote

CONTENT = np.random.default_rng(0).bytes(1_000_000)
SHA256 = hashlib.sha256(CONTENT).hexdigest()


class Server(ThreadingHTTPServer):
    """Sends CONTENT; can break off, ignore ranges, lie, or refuse."""

    requests: list[str]
    breaks_off_after: int = 1 << 40
    knows_ranges: bool = True
    content: bytes = CONTENT
    status: int = 200

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/file.bin"


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        asked = self.headers.get("Range", "")
        self.server.requests.append(asked)
        start = int(asked[6:-1]) if asked and self.server.knows_ranges else 0
        body = self.server.content[start:]
        self.send_response(self.server.status if self.server.status != 200 else 206 if start else 200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body[: self.server.breaks_off_after])

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    made = Server(("127.0.0.1", 0), Handler)
    made.requests = []
    thread = threading.Thread(target=made.serve_forever, args=(0.01,))
    thread.start()
    yield made
    made.shutdown()
    thread.join()
    made.server_close()


def remote(*urls: str) -> list[Remote]:
    return [Remote("file.bin", urls, SHA256, len(CONTENT))]


def refused(folder: Path, *urls: str) -> UsageError:
    with pytest.raises(UsageError) as caught:
        fetch("cifar10", folder, remotes=remote(*urls))
    return caught.value


def test_a_file_arrives_whole_and_once(tmp_path: Path, server: Server) -> None:
    shown: list[tuple[str, int, int]] = []
    counted = []

    @contextmanager
    def bar(name: str, there: int, total: int) -> Iterator[Callable[[int], None]]:
        shown.append((name, there, total))
        yield counted.append

    folder = tmp_path / "new" / "folder"
    assert fetch("cifar10", folder, remotes=remote(server.url), bar=bar) == [folder / "file.bin"]
    assert (folder / "file.bin").read_bytes() == CONTENT
    assert [path.name for path in folder.iterdir()] == ["file.bin"]
    assert shown == [("file.bin", 0, 1_000_000)]
    assert sum(counted) == 1_000_000
    fetch("cifar10", folder, remotes=remote(server.url))
    assert server.requests == [""]


def test_one_that_broke_off_is_continued(tmp_path: Path, server: Server) -> None:
    server.breaks_off_after = 300_000
    error = refused(tmp_path, server.url)
    assert str(error) == (
        f"data set 'cifar10' was not fetched\n  at   {tmp_path}\n"
        f"  why  {server.url}: it broke off at 300,000 of 1,000,000 bytes, which are kept\n"
        "  fix  try again, or fetch these by hand and put them, as they are, into the folder above\n"
        f"       {server.url} (1,000,000 bytes, sha256 {SHA256})"
    )
    assert [path.name for path in tmp_path.iterdir()] == ["file.bin.part"]
    server.breaks_off_after = 1 << 40
    fetch("cifar10", tmp_path, remotes=remote(server.url))
    assert (tmp_path / "file.bin").read_bytes() == CONTENT
    assert server.requests == ["", "bytes=300000-"]


def test_a_server_that_cannot_continue_begins_again(tmp_path: Path, server: Server) -> None:
    (tmp_path / "file.bin.part").write_bytes(b"x" * 500)
    server.knows_ranges = False
    fetch("cifar10", tmp_path, remotes=remote(server.url))
    assert (tmp_path / "file.bin").read_bytes() == CONTENT


def test_a_part_of_another_version_fails_the_checksum_and_goes(tmp_path: Path, server: Server) -> None:
    (tmp_path / "file.bin.part").write_bytes(b"x" * 500)
    error = refused(tmp_path, server.url)
    assert error.why.startswith(f"{server.url}: the sha256 is ") and error.why.endswith(f"and not {SHA256}")
    assert list(tmp_path.iterdir()) == []
    fetch("cifar10", tmp_path, remotes=remote(server.url))


def test_a_wrong_file_never_becomes_visible(tmp_path: Path, server: Server) -> None:
    server.content = bytes(len(CONTENT))
    assert "the sha256 is" in refused(tmp_path, server.url).why
    server.content = CONTENT + b"more"
    assert refused(tmp_path, server.url).why == f"{server.url}: it sends more than 1,000,000 bytes"
    server.content, server.status = b"<html>not found</html>", 404
    assert refused(tmp_path, server.url).why == f"{server.url}: HTTP Error 404: Not Found"
    assert list(tmp_path.iterdir()) == []


def test_mirrors_are_tried_in_turn(tmp_path: Path, server: Server) -> None:
    dead = "http://127.0.0.1:9/file.bin"
    fetch("cifar10", tmp_path, remotes=remote(dead, server.url))
    assert (tmp_path / "file.bin").read_bytes() == CONTENT
    (tmp_path / "file.bin").unlink()
    assert "Connection refused" in refused(tmp_path, dead).why


def test_offline(tmp_path: Path, server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ARITHMOS_OFFLINE", "1")
    error = refused(tmp_path, server.url)
    assert error.why == "ARITHMOS_OFFLINE is set: the network is not used"
    assert error.fix.endswith(f"{server.url} (1,000,000 bytes, sha256 {SHA256})")
    assert server.requests == []
    (tmp_path / "file.bin").write_bytes(CONTENT)
    assert fetch("cifar10", tmp_path, remotes=remote(server.url)) == [tmp_path / "file.bin"]


def test_files_fetched_by_hand_are_checked(tmp_path: Path, server: Server) -> None:
    (tmp_path / "file.bin").write_bytes(CONTENT[:-5])
    error = refused(tmp_path, server.url)
    assert str(error) == (
        f"files are there that are not the known ones\n  at   {tmp_path}\n"
        "  why  a download broke off, or they were changed (sha256): file.bin: 999,995 of 1,000,000 bytes\n"
        "  fix  remove them and run this again, or leave --download out to read them as they are"
    )
    assert (tmp_path / "file.bin").read_bytes() == CONTENT[:-5]


def test_a_place_that_cannot_be_written(tmp_path: Path, server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    assert refused(tmp_path / "file", server.url).what == "cannot write file.bin.part"

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(fetch_module, "_continue", full)
    assert refused(tmp_path / "other", server.url).why == "no space left on device"


def test_what_cannot_be_fetched() -> None:
    for name in ("digits", "imagenet"):
        with pytest.raises(UsageError) as caught:
            fetch(name, Path("nowhere"))
        assert (caught.value.what, caught.value.why) == (f"data set '{name}' cannot be fetched", BY_HAND[name])


def test_the_table_is_complete() -> None:
    assert {*REMOTES, *BY_HAND} == set(DATASETS)
    for wanted in REMOTES.values():
        for found in wanted:
            assert len(bytes.fromhex(found.sha256)) == 32
            assert all(url.startswith("https://") and url.endswith(f"/{found.name}") for url in found.urls)
