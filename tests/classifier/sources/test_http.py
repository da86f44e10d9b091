"""Downloads from a real HTTP server with the faults of real ones."""

import hashlib
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote

import pytest

from classifier.sources.dataset import Dataset
from classifier.sources.fetch import Access, from_url
from classifier.sources.http import BLOCK, DownloadError, download
from classifier.sources.source import Source
from classifier.support.checksum import ChecksumError

CONTENT = bytes(range(256)) * 2000


class Server(ThreadingHTTPServer):
    """Serves CONTENT with one fault per path. ``requests`` are the paths and Ranges."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.requests: list[tuple[str, str | None]] = []
        self.stopped = threading.Event()

    def url(self, path: str) -> str:
        return f"http://127.0.0.1:{self.server_port}/{path}"


class Handler(BaseHTTPRequestHandler):
    server: Server

    def log_message(self, *arguments: object) -> None:
        pass

    def do_GET(self) -> None:
        path, wanted = unquote(self.path).strip("/"), self.headers.get("Range")
        earlier = [request for request, _ in self.server.requests].count(path)
        self.server.requests.append((path, wanted))
        status, _, retry_after = path.partition("-")
        if status.isdigit() and (status in ("403", "404") or earlier < 2):
            self.send_response(int(status))
            self.send_header("Retry-After", retry_after or "0")
            self.end_headers()
            return
        if path == "redirect":
            self.send_response(302)
            self.send_header("Location", self.server.url("whole"))
            self.end_headers()
            return
        if path == "noresume":
            wanted = None
        start = int(wanted.removeprefix("bytes=").rstrip("-")) if wanted else 0
        if start >= len(CONTENT):
            self.send_response(416)
            self.send_header("Content-Range", f"bytes */{len(CONTENT)}")
            self.end_headers()
            return
        body = CONTENT[start:]
        self.send_response(206 if start else 200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if path == "stalls" and not earlier:
            self.wfile.write(body[: len(body) // 2])
            self.server.stopped.wait(1.5)  # longer than the client's timeout
            return
        breaks = (path in ("breaks", "noresume") and not earlier) or path == "always"
        self.wfile.write(body[: len(body) // 2] if breaks else body)


@pytest.fixture
def server() -> Iterator[Server]:
    with Server() as running:
        threading.Thread(target=running.serve_forever, args=(0.01,), daemon=True).start()
        yield running
        running.stopped.set()
        running.shutdown()


@pytest.fixture(autouse=True)
def waits(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The seconds that the client would wait between its attempts."""
    seconds: list[float] = []
    monkeypatch.setattr(time, "sleep", seconds.append)
    return seconds


@pytest.mark.fault("download", "the whole file arrives")
@pytest.mark.parametrize(
    "path", ["whole", "breaks", "stalls", "noresume", "redirect", "429", "500", "503"]
)
def test_the_whole_file_arrives(server: Server, tmp_path: Path, path: str) -> None:
    partial = tmp_path / "file.part"
    download(server.url(path), partial, timeout=0.5)
    assert partial.read_bytes() == CONTENT


@pytest.mark.fault("network break", "resumed where it was")
def test_an_interrupted_download_is_resumed(server: Server, tmp_path: Path) -> None:
    download(server.url("breaks"), tmp_path / "file.part")
    whole_blocks = len(CONTENT) // 2 // BLOCK * BLOCK
    assert whole_blocks > 0
    assert server.requests == [("breaks", None), ("breaks", f"bytes={whole_blocks}-")]


def test_the_bytes_of_an_earlier_call_are_kept(server: Server, tmp_path: Path) -> None:
    partial = tmp_path / "file.part"
    partial.write_bytes(CONTENT[:1000])
    download(server.url("whole"), partial)
    assert server.requests == [("whole", "bytes=1000-")]
    assert partial.read_bytes() == CONTENT


def test_a_complete_partial_file_is_not_downloaded_again(server: Server, tmp_path: Path) -> None:
    partial = tmp_path / "file.part"
    partial.write_bytes(CONTENT)
    download(server.url("whole"), partial)
    assert len(server.requests) == 1
    assert partial.read_bytes() == CONTENT


def test_back_off_doubles(server: Server, tmp_path: Path, waits: list[float]) -> None:
    expected = r"(interrupted|IncompleteRead|Connection broken).* \(4 attempts\)"
    with pytest.raises(DownloadError, match=expected):
        download(server.url("always"), tmp_path / "file.part", attempts=4)
    assert waits == [1, 2, 4]
    assert len(server.requests) == 4


@pytest.mark.parametrize(
    ("retry_after", "expected"),
    [("7", [7, 7]), ("999", [60, 60]), ("Fri,%2031%20Dec%202100%2023:59:59%20GMT", [60, 60])],
)
def test_the_server_says_how_long_to_wait(
    server: Server, tmp_path: Path, waits: list[float], retry_after: str, expected: list[float]
) -> None:
    download(server.url(f"503-{retry_after}"), tmp_path / "file.part")
    assert waits == expected


def test_a_wait_that_cannot_be_read_is_ignored(
    server: Server, tmp_path: Path, waits: list[float]
) -> None:
    download(server.url("503-soon"), tmp_path / "file.part")
    assert waits == [1, 2]


def test_a_busy_server_is_named_after_the_attempts(server: Server, tmp_path: Path) -> None:
    with pytest.raises(DownloadError, match=r"HTTP 503 Service Unavailable \(2 attempts\)"):
        download(server.url("503"), tmp_path / "file.part", attempts=2)


def test_a_token_is_neither_in_the_message_nor_in_the_log(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG", "urllib3.util.retry")
    with pytest.raises(DownloadError) as raised:
        download("http://127.0.0.1:9/file?token=secret", tmp_path / "file.part", attempts=2)
    assert str(raised.value).startswith("http://127.0.0.1:9/file: connection refused")
    assert "secret" not in caplog.text


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
    sha256, actual = "0" * 64, hashlib.sha256(CONTENT).hexdigest()
    source = Source(kind="url", url=server.url("whole"), sha256=sha256)
    dataset = Dataset(
        name="any",
        format="folders",
        file="any.tar",
        sources=[source],
        max_bytes=10**9,
        max_files=10,
    )
    access = Access(mirror=None, downloads=tmp_path / "partial")
    with pytest.raises(ChecksumError, match=f"checksum of any.tar is {actual}, expected {sha256}"):
        from_url(source, tmp_path / "fetched", access, dataset)
    assert list((tmp_path / "partial").iterdir()) == []
