"""The server as a process: what it imports, who it lets in, how it ends and what it survives."""

import json
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import requests

from classifier.serve.__main__ import TOKEN, main
from conftest import CLASSES, ROOT, free_port, png, without_store, write_exported

ROSE = png(CLASSES["red"], seed=1)


def start(folder: Path, port: int, *words: str) -> subprocess.Popen[str]:
    """Starts a server of ``folder``; returns when it is ready."""
    environment = without_store() | {"PYTHONPATH": str(ROOT / "src")}
    with (folder.parent / "server.log").open("a") as output:
        server = subprocess.Popen(
            [sys.executable, "-m", "classifier.serve", str(folder), "--port", str(port), *words],
            env=environment,
            stdout=output,
            stderr=subprocess.STDOUT,
            text=True,
        )
    deadline = time.monotonic() + 60
    while True:
        try:
            if requests.get(f"http://127.0.0.1:{port}/readyz", timeout=10).ok:
                return server
        except requests.RequestException:
            said = (folder.parent / "server.log").read_text()
            assert server.poll() is None and time.monotonic() < deadline, said
            time.sleep(0.05)


@contextmanager
def serving(folder: Path, *words: str) -> Iterator[tuple[int, subprocess.Popen[str]]]:
    port = free_port()
    server = start(folder, port, *words)
    try:
        yield port, server
    finally:
        server.kill()
        server.wait(10)


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """The port of a server that waits half a second for an upload."""
    folder = write_exported(tmp_path_factory.mktemp("running") / "exports" / "tiny")
    with serving(folder.parent, "--seconds", "0.5") as (port, _):
        yield port


def classify(port: int) -> requests.Response:
    address = f"http://127.0.0.1:{port}/v1/models/tiny/classify"
    return requests.post(address, files={"image": ROSE}, timeout=20)


def connected(port: int, sent: bytes) -> socket.socket:
    client = socket.create_connection(("127.0.0.1", port), timeout=20)
    client.sendall(sent)
    return client


def received(client: socket.socket) -> bytes:
    """All that the server sends until it closes the connection."""
    parts = []
    while part := client.recv(65536):
        parts.append(part)
    return b"".join(parts)


def head(length: int) -> bytes:
    return (
        b"POST /v1/models/tiny/classify HTTP/1.1\r\nHost: x\r\nContent-Type: image/png\r\n"
        b"Content-Length: %d\r\n\r\n" % length
    )


def test_the_server_imports_nothing_heavy(tmp_path: Path) -> None:
    folder = write_exported(tmp_path / "tiny")
    code = (
        "import sys, pathlib, classifier.serve.__main__\n"
        "from classifier.serve.exported import load\n"
        f"load('tiny', pathlib.Path({str(folder)!r}))\n"
        "heavy = ('gradio', 'keras', 'matplotlib', 'mlflow', 'pandas', 'scipy', 'tensorflow')\n"
        "print([name for name in heavy if name in sys.modules])\n"
    )
    environment = without_store() | {"PYTHONPATH": str(ROOT / "src")}
    words = [sys.executable, "-c", code]
    result = subprocess.run(words, env=environment, capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"


@pytest.mark.fault("a client that sends slowly", "408, one line; the server serves on")
def test_a_slow_body(running: int) -> None:
    with connected(running, head(len(ROSE)) + ROSE[:100]) as client:
        reply = received(client)
    assert reply.startswith(b"HTTP/1.1 408 ")
    error = json.loads(reply.partition(b"\r\n\r\n")[2])["error"]
    assert error == "the request did not come within 0.5 s: 100 bytes did"
    assert classify(running).ok


@pytest.mark.fault("a client that never ends its head", "the connection is closed")
@pytest.mark.parametrize("before", ["first", "second"])
def test_a_slow_head(running: int, before: str) -> None:
    with connected(running, b"") as client:
        if before == "second":
            client.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
            assert client.recv(65536).startswith(b"HTTP/1.1 200 ")
        client.sendall(b"POST /v1/models/tiny/classify HTTP/1.1\r\nHost:")
        begun = time.monotonic()
        received(client)
    assert time.monotonic() - begun < 5
    assert classify(running).ok


@pytest.mark.fault("a body that goes on after its refusal", "the connection is closed")
def test_a_refused_body_is_not_read_for_ever(running: int) -> None:
    with connected(running, head(10**12)) as client:
        begun = time.monotonic()
        with pytest.raises(OSError):  # reset
            while time.monotonic() - begun < 20:
                client.sendall(bytes(1000))
                time.sleep(0.01)
    assert time.monotonic() - begun < 10
    assert classify(running).ok


@pytest.mark.fault("a broken upload", "the server serves on")
def test_a_broken_upload(running: int) -> None:
    for _ in range(3):
        connected(running, head(len(ROSE)) + ROSE[:100]).close()
    assert classify(running).ok


@pytest.fixture
def refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., str]:
    """Starts a server in this process and folder, which must fail; its line on the console."""
    monkeypatch.chdir(tmp_path)

    def start_here(*words: str) -> str:
        monkeypatch.setattr(sys, "argv", ["classifier.serve", *words])
        with pytest.raises(SystemExit) as end:
            main()
        assert end.value.code == 1
        (line,) = capsys.readouterr().err.splitlines()
        return line

    return start_here


@pytest.mark.fault("two servers on one port", "one line, exit status 1; the first serves on")
def test_two_servers_on_one_port(running: int, tmp_path: Path, refused: Callable[..., str]) -> None:
    line = refused(str(write_exported(tmp_path / "tiny")), "--port", str(running))
    assert line.startswith(f"serve: 127.0.0.1:{running} cannot be listened on (Address already in")
    assert classify(running).ok


@pytest.mark.fault("a server without a model, or open to others without a token", "one line, 1")
@pytest.mark.parametrize(
    ("words", "token", "message"),
    [
        ([], "", "exports is no folder: run 'dvc repro', or name exported folders"),
        (["empty"], "", "no model in empty"),
        (["empty", "--host", "0.0.0.0"], "", f"--host 0.0.0.0 lets other machines in: set {TOKEN}"),
        (["empty", "--host", "0.0.0.0"], "short", f"{TOKEN} has fewer than 16 characters"),
        (["empty", "--queue", "1"], "", "--queue must be at least --files"),
        (["empty", "--log", "no/log"], "", "--log no/log: there is no folder no"),
        (["empty", "tiny", "other/tiny"], "", "there are two models 'tiny'"),
    ],
)
def test_a_server_that_cannot_start(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    refused: Callable[..., str],
    words: list[str],
    token: str,
    message: str,
) -> None:
    (tmp_path / "empty").mkdir()
    for place in ("tiny", "other/tiny"):
        write_exported(tmp_path / place)
    monkeypatch.setenv(TOKEN, token)
    assert refused(*words, "--port", "0").startswith(f"serve: {message}")


@pytest.mark.fault("SIGTERM while a request is sent", "it is answered, then the server ends")
def test_sigterm_finishes_what_was_accepted(tmp_path: Path) -> None:
    folder = write_exported(tmp_path / "exports" / "tiny")
    with serving(folder) as (port, server), connected(port, head(len(ROSE)) + ROSE[:100]) as client:
        time.sleep(0.2)
        server.send_signal(signal.SIGTERM)
        time.sleep(0.5)
        assert server.poll() is None
        client.sendall(ROSE[100:])
        reply = received(client)
        assert reply.startswith(b"HTTP/1.1 200 ")
        assert json.loads(reply.partition(b"\r\n\r\n")[2])["answers"][0]["class"] == "red"
        assert server.wait(10) == -signal.SIGTERM


class Load:
    """Clients that classify until they are stopped; each picture is sent until it is answered."""

    def __init__(self, port: int, clients: int = 4):
        self.port = port
        self.answers: list[dict] = []
        self.broken = 0  # connections
        self.refused: Counter[int] = Counter()  # by status
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._run) for _ in range(clients)]

    def __enter__(self) -> "Load":
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join(30)

    def wait_for(self, reached: Callable[["Load"], bool]) -> None:
        deadline = time.monotonic() + 60
        while not reached(self):
            assert time.monotonic() < deadline, (len(self.answers), self.broken, self.refused)
            time.sleep(0.02)

    def _run(self) -> None:
        address = f"http://127.0.0.1:{self.port}/v1/models/tiny/classify"
        session = requests.Session()
        sent = False
        while sent or not self._stop.is_set():
            sent = True
            try:
                reply = session.post(address, files={"image": ROSE}, timeout=20)
            except requests.RequestException:
                self.broken += 1
                time.sleep(0.05)
                continue
            sent = False
            if reply.status_code == 200:
                self.answers.append(reply.json())
            else:
                self.refused[reply.status_code] += 1


@pytest.mark.fault("kill -9 of the server under load", "every picture is answered after a restart")
def test_kill_and_restart_under_load(tmp_path: Path) -> None:
    folder = write_exported(tmp_path / "exports" / "tiny")
    port = free_port()
    server = start(folder, port)
    try:
        with Load(port) as load:
            load.wait_for(lambda load: len(load.answers) > 40)
            server.send_signal(signal.SIGKILL)
            server.wait(10)
            before = len(load.answers)
            load.wait_for(lambda load: load.broken >= 4)
            server = start(folder, port)
            load.wait_for(lambda load: len(load.answers) > before + 40)
    finally:
        server.kill()
        server.wait(10)
    assert not load.refused
    assert {answer["answers"][0]["class"] for answer in load.answers} == {"red"}
    # An answer is of one request, whichever of them was broken off.
    assert len({answer["request_id"] for answer in load.answers}) == len(load.answers)


@pytest.mark.fault("a new version under load", "no request is lost: each gets one of the versions")
def test_a_change_of_the_model_under_load(tmp_path: Path) -> None:
    folder = write_exported(tmp_path / "exports" / "tiny")

    def versions(load: Load) -> list[str]:
        return list(dict.fromkeys(answer["model"]["version"] for answer in load.answers))

    with serving(folder.parent, "--every", "0.1") as (port, _), Load(port) as load:
        for count, sharpness in enumerate((0.01, 0.015, 0.02), 1):
            write_exported(folder, sharpness)
            load.wait_for(lambda load, count=count: len(versions(load)) == count)  # type: ignore[misc]
    assert load.broken == 0 and not load.refused
    shares = {
        version: {
            a["answers"][0]["probability"] for a in load.answers if a["model"]["version"] == version
        }
        for version in versions(load)
    }
    assert all(max(of) - min(of) < 1e-6 for of in shares.values())  # no answer mixes two versions
    assert len({round(min(of), 4) for of in shares.values()}) == 3


def test_the_process_is_small(running: int) -> None:
    page = requests.get(f"http://127.0.0.1:{running}/metrics", timeout=20).text
    (line,) = [line for line in page.splitlines() if line.startswith("process_resident_memory")]
    assert float(line.split()[1]) < 300e6
