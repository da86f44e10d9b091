"""Downloads against a real HTTP server that misbehaves as real ones do."""

import hashlib
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from classifier.data import http
from classifier.data.http import DownloadError, download

CONTENT = bytes(range(256)) * 2000


class Server(ThreadingHTTPServer):
    """Serves CONTENT; each path has its own fault, and ``requests`` remembers what was asked."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.requests: list[tuple[str, str | None]] = []

    def url(self, path: str) -> str:
        return f"http://127.0.0.1:{self.server_port}/{path}"


class Handler(BaseHTTPRequestHandler):
    server: Server

    def log_message(self, *arguments: object) -> None:
        pass

    def do_GET(self) -> None:
        path, asked = self.path.strip("/"), self.headers.get("Range")
        tries = sum(seen == path for seen, _ in self.server.requests)
        self.server.requests.append((path, asked))
        if path.isdigit() and (path in ("403", "404") or tries < 2):
            self.send_response(int(path))
            self.send_header("Retry-After", "0")
            self.end_headers()
            return
        if path == "redirect":
            self.send_response(302)
            self.send_header("Location", self.server.url("whole"))
            self.end_headers()
            return
        start = int(asked.removeprefix("bytes=").rstrip("-")) if asked and path != "noresume" else 0
        if start >= len(CONTENT):
            self.send_response(416)
            self.send_header("Content-Range", f"bytes */{len(CONTENT)}")
            self.end_headers()
            return
        body = CONTENT[start:]
        self.send_response(206 if start else 200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if path == "stalls" and tries == 0:
            self.wfile.write(body[: len(body) // 2])
            threading.Event().wait(1.5)  # longer than the client's timeout
            return
        breaks = (path in ("breaks", "noresume") and tries == 0) or path == "always"
        self.wfile.write(body[: len(body) // 2] if breaks else body)


@pytest.fixture
def server() -> Iterator[Server]:
    with Server() as running:
        threading.Thread(target=running.serve_forever, daemon=True).start()
        yield running
        running.shutdown()


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    waits: list[float] = []
    monkeypatch.setattr(http.time, "sleep", waits.append)
    return waits


@pytest.mark.fault("download", "the whole file arrives")
@pytest.mark.parametrize(
    "path", ["whole", "breaks", "stalls", "noresume", "redirect", "429", "500", "503"]
)
def test_the_whole_file_arrives(server: Server, tmp_path: Path, path: str) -> None:
    partial = tmp_path / "file.part"
    download(server.url(path), partial, timeout=0.5)
    assert partial.read_bytes() == CONTENT


@pytest.mark.fault("network break", "resumed where it was")
def test_a_break_is_resumed_where_it_was(server: Server, tmp_path: Path) -> None:
    download(server.url("breaks"), tmp_path / "file.part")
    whole_blocks = len(CONTENT) // 2 // http.BLOCK * http.BLOCK
    assert whole_blocks > 0
    assert server.requests == [("breaks", None), ("breaks", f"bytes={whole_blocks}-")]


def test_an_earlier_call_s_bytes_are_kept(server: Server, tmp_path: Path) -> None:
    partial = tmp_path / "file.part"
    partial.write_bytes(CONTENT[:1000])
    download(server.url("whole"), partial)
    assert server.requests == [("whole", "bytes=1000-")]
    assert partial.read_bytes() == CONTENT


def test_a_whole_partial_is_not_fetched_again(server: Server, tmp_path: Path) -> None:
    partial = tmp_path / "file.part"
    partial.write_bytes(CONTENT)
    download(server.url("whole"), partial)
    assert len(server.requests) == 1
    assert partial.read_bytes() == CONTENT


def test_back_off_doubles(server: Server, tmp_path: Path, no_waiting: list[float]) -> None:
    with pytest.raises(DownloadError, match=r"broke off|IncompleteRead|Connection broken"):
        download(server.url("always"), tmp_path / "file.part", attempts=4)
    assert no_waiting == [1, 2, 4]


@pytest.mark.fault("HTTP refusal", "one line, no second try")
@pytest.mark.parametrize("status", ["403", "404"])
def test_a_refusal_is_not_retried(server: Server, tmp_path: Path, status: str) -> None:
    with pytest.raises(DownloadError, match=f"HTTP {status}"):
        download(server.url(status), tmp_path / "file.part")
    assert len(server.requests) == 1


@pytest.mark.fault("a file longer than allowed", "refused")
def test_a_file_larger_than_allowed_is_refused(server: Server, tmp_path: Path) -> None:
    with pytest.raises(DownloadError, match="more than max_bytes 1,000"):
        download(server.url("whole"), tmp_path / "file.part", max_bytes=1000)


@pytest.mark.fault("connection refused", "one line after the attempts")
def test_connection_refused_says_so(tmp_path: Path) -> None:
    with pytest.raises(DownloadError, match=r"connection refused \(2 attempts\)"):
        download("http://127.0.0.1:9/file", tmp_path / "file.part", attempts=2)


@pytest.mark.fault("wrong checksum", "one line with both, nothing kept")
def test_a_wrong_checksum_deletes_the_partial_file(server: Server, tmp_path: Path) -> None:
    from classifier.data.checksum import ChecksumError
    from classifier.data.sources import Dataset, Reach, Source, from_url

    sha256 = "0" * 64
    source = Source(kind="url", url=server.url("whole"), sha256=sha256)
    dataset = Dataset(name="any", format="folders", file="any.tar", sources=[source])
    reach = Reach(mirror=None, partial=tmp_path / "partial")
    found = hashlib.sha256(CONTENT).hexdigest()
    with pytest.raises(ChecksumError, match=f"checksum of any.tar is {found}, expected {sha256}"):
        from_url(source, tmp_path / "fetched", reach, dataset)
    assert list((tmp_path / "partial").iterdir()) == []
