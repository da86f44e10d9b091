"""Downloads of files: one for all who need it, and again after damage."""

import hashlib
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Event

import pytest

from classifier.sources import fetch as module
from classifier.sources.fetch import Access, from_url
from classifier.sources.source import Obtainable, Source


def any_file(source: Source) -> Obtainable:
    return Obtainable(name="any", file="a.tar", sources=[source], max_bytes=10**9)


@pytest.mark.fault("two first downloads of a file at once", "the second waits, then finds the file")
def test_a_second_download_waits_and_finds_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    content = b"whole" * 1000
    downloads: list[Path] = []
    started, go_on = Event(), Event()

    def slow_download(url: str, partial: Path, **options: object) -> None:
        downloads.append(partial)
        partial.parent.mkdir(exist_ok=True)
        with partial.open("ab") as file:
            file.write(content[: len(content) // 2])
            started.set()
            go_on.wait(10)
            file.write(content[len(content) // 2 :])

    monkeypatch.setattr(module, "download", slow_download)
    sha256 = hashlib.sha256(content).hexdigest()
    source = Source(kind="url", url="http://any/file", sha256=sha256)
    access = Access(None, tmp_path / "downloads")
    fetched = [tmp_path / "first", tmp_path / "second"]
    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(from_url, source, fetched[0], access, any_file(source))
        assert started.wait(10)
        second = pool.submit(from_url, source, fetched[1], access, any_file(source))
        deadline = time.monotonic() + 10
        while not caplog.messages and time.monotonic() < deadline:
            time.sleep(0.01)
        assert not second.done()
        go_on.set()
        first.result(10)
        second.result(10)
    assert [file.read_bytes() for file in fetched] == [content, content]
    assert len(downloads) == 1
    (message,) = caplog.messages
    assert message.startswith("waiting for another process that downloads http://any/file")
    assert list((tmp_path / "downloads").iterdir()) == [tmp_path / "downloads" / sha256]


def test_a_damaged_download_of_before_is_downloaded_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "download", lambda url, partial, **_: partial.write_bytes(b"good"))
    sha256 = hashlib.sha256(b"good").hexdigest()
    (tmp_path / sha256).write_bytes(b"bad")
    source = Source(kind="url", url="http://any/file", sha256=sha256)
    from_url(source, tmp_path / "fetched", Access(None, tmp_path), any_file(source))
    assert (tmp_path / "fetched").read_bytes() == (tmp_path / sha256).read_bytes() == b"good"
