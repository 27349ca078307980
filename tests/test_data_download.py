"""Downloads, against a server on this machine: whole files or a sentence, and nothing left behind."""

import hashlib
import os
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from backlit.data import Mnist, fetch
from backlit.errors import DataError

CONTENT = bytes(range(256)) * 1000
SHA256 = hashlib.sha256(CONTENT).hexdigest()


class Mirror(BaseHTTPRequestHandler):
    """Answers by the first part of the path: good, corrupt, broken (half of the file), unsized, or lost (404)."""

    asked: list[str] = []

    def do_GET(self) -> None:
        self.asked.append(self.path)
        way = self.path.split("/")[1]
        if way == "lost":
            self.send_error(404)
            return
        self.send_response(200)
        if way != "unsized":
            self.send_header("Content-Length", str(len(CONTENT)))
        self.end_headers()
        sent = {"corrupt": CONTENT[::-1], "broken": CONTENT[: len(CONTENT) // 2], "unsized": CONTENT[:-1]}
        self.wfile.write(sent.get(way, CONTENT))

    def log_message(self, *args: object) -> None:
        """Keep the test's output clean."""


@pytest.fixture
def server(tmp_path, monkeypatch):
    monkeypatch.setenv("BACKLIT_CACHE", str(tmp_path))
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.delenv("BACKLIT_OFFLINE", raising=False)
    monkeypatch.setattr(Mirror, "asked", [])
    with ThreadingHTTPServer(("127.0.0.1", 0), Mirror) as http:
        thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield f"http://127.0.0.1:{http.server_port}"
        http.shutdown()
        thread.join()


def left(tmp_path) -> list[str]:
    return sorted(p.relative_to(tmp_path).as_posix() for p in tmp_path.rglob("*") if p.is_file())


def test_a_good_file_is_cached_and_not_asked_for_again(server, tmp_path):
    path = fetch("set/x.bin", [f"{server}/good/x.bin"], SHA256)
    assert path == tmp_path / "data" / "set" / "x.bin"
    assert path.read_bytes() == CONTENT
    assert fetch("set/x.bin", [f"{server}/good/x.bin"], SHA256.upper().lower()) == path
    assert Mirror.asked == ["/good/x.bin"]
    assert left(tmp_path) == ["data/set/x.bin"]


@pytest.mark.parametrize("bad", ["corrupt", "broken", "unsized", "lost"])
def test_the_next_mirror_makes_up_for_a_bad_one(server, tmp_path, bad):
    path = fetch("x.bin", [f"{server}/{bad}/x", f"{server}/good/x"], SHA256)
    assert path.read_bytes() == CONTENT
    assert Mirror.asked == [f"/{bad}/x", "/good/x"]
    assert left(tmp_path) == ["data/x.bin"]


def test_no_mirror_gives_the_file(server, tmp_path):
    bad = ["corrupt", "broken", "unsized", "lost"]
    with pytest.raises(DataError) as caught:
        fetch("x.bin", [*(f"{server}/{way}/x" for way in bad), "http://127.0.0.1:9/x", "file:///etc/hosts"], SHA256)
    text = str(caught.value)
    for part in (
        "x.bin: no mirror gave the file",
        f"{server}/corrupt/x (corrupt: expected SHA-256 {SHA256}, got ",
        f"{server}/broken/x (the connection broke after 128000 of 256000 bytes)",
        f"{server}/unsized/x (corrupt",
        f"{server}/lost/x (HTTP 404",
        "http://127.0.0.1:9/x (no connection: ",
        "file:///etc/hosts (expected an address that starts with http",
        "BACKLIT_DATA",
    ):
        assert part in text
    assert left(tmp_path) == []


def test_a_file_in_the_cache_that_was_damaged_is_fetched_again(server, tmp_path):
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "x.bin").write_bytes(CONTENT[:-1])
    assert fetch("x.bin", [f"{server}/good/x"], SHA256).read_bytes() == CONTENT


def test_a_failed_fetch_leaves_what_was_there(server, tmp_path):
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "x.bin").write_bytes(b"old")
    with pytest.raises(DataError):
        fetch("x.bin", [f"{server}/corrupt/x"], SHA256)
    assert (tmp_path / "data" / "x.bin").read_bytes() == b"old"


def test_what_a_killed_process_left_is_removed_and_a_running_one_is_not_disturbed(server, tmp_path):
    (tmp_path / "data").mkdir()
    stale, running = (tmp_path / "data" / f".x.bin.{name}.part" for name in ("stale", "running"))
    for part in (stale, running):
        part.write_bytes(b"half")
    os.utime(stale, (time.time() - 86400,) * 2)
    fetch("x.bin", [f"{server}/good/x"], SHA256)
    assert left(tmp_path) == ["data/.x.bin.running.part", "data/x.bin"]


def test_offline_forbids_the_network(server, tmp_path, monkeypatch):
    path = fetch("x.bin", [f"{server}/good/x"], SHA256)
    monkeypatch.setenv("BACKLIT_OFFLINE", "1")
    assert fetch("x.bin", [], SHA256) == path
    with pytest.raises(DataError, match=r"y.bin: not found, and BACKLIT_OFFLINE forbids to download it; put it into"):
        fetch("y.bin", [f"{server}/good/y"], SHA256)
    assert Mirror.asked == ["/good/x"]
    monkeypatch.setenv("BACKLIT_OFFLINE", "0")
    assert fetch("y.bin", [f"{server}/good/y"], SHA256).exists()


def test_a_cache_that_cannot_be_written_to(server, tmp_path, monkeypatch):
    (tmp_path / "file").write_bytes(b"")
    monkeypatch.setenv("BACKLIT_CACHE", str(tmp_path / "file"))
    with pytest.raises(DataError, match=r"cannot be written: .*set BACKLIT_CACHE to a directory"):
        fetch("x.bin", [f"{server}/good/x"], SHA256)


def test_a_disk_that_fills_up(server, tmp_path, monkeypatch):
    def full(*args: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(DataError, match=r"x.bin: cannot be written: No space left on device; make room"):
        fetch("x.bin", [f"{server}/good/x"], SHA256)
    assert left(tmp_path) == []


def test_two_processes_may_fetch_the_same_file(server, tmp_path):
    paths: list[object] = []
    threads = [
        threading.Thread(target=lambda: paths.append(fetch("x.bin", [f"{server}/good/x"], SHA256))) for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert paths == [tmp_path / "data" / "x.bin"] * 4
    assert left(tmp_path) == ["data/x.bin"]


def test_mnist_asks_its_mirrors_in_turn(server, monkeypatch):
    monkeypatch.setenv("BACKLIT_DATA", "")
    monkeypatch.setattr(Mnist, "mirrors", (f"{server}/lost/", f"{server}/corrupt/"))
    with pytest.raises(DataError, match=r"mnist/train-images-idx3-ubyte.gz: no mirror gave the file"):
        Mnist().load()
    assert Mirror.asked == ["/lost/train-images-idx3-ubyte.gz", "/corrupt/train-images-idx3-ubyte.gz"]
