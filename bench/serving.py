"""Compares the server with ``mlflow models serve``: the same model, the same picture, in turn.

$ python bench/serving.py                      # after `dvc repro`: some minutes, alone
$ python bench/serving.py mnist --seconds 20

MLflow's server gets the picture in two ways: as the JSON of its pixels, which any model takes, and
as base64, which this project's models take. Both servers listen on the loopback address, and the
clients are threads of this process. Prints a table of the targets, which are beside the pixels.
"""

import argparse
import io
import json
import os
import subprocess
import sys
import threading
import time
from base64 import b64encode
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.client import HTTPConnection
from pathlib import Path
from typing import NamedTuple

import numpy as np
import psutil
from PIL import Image

from checkout import ROOT
from classifier.images.preprocessing import PREPROCESSING, read_preprocessing
from stages.programs import environment

PORTS = {"this server": 8181, "MLflow": 8182}
CLIENTS = (8, 32)
HEADER = (
    "| what | this server | `mlflow models serve`, pixels | the same, base64 | target | |\n"
    "|---|---|---|---|---|---|"
)


class Server(NamedTuple):
    """A server that runs, and the request that it gets."""

    port: int
    process: psutil.Process
    started: float  # seconds until it was ready
    processor: float  # seconds of it until then, of all its processes
    memory: float  # MB then, of all of them
    path: str
    kind: str
    body: bytes


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("pipelines", nargs="*", default=["flowers", "mnist"])
    parser.add_argument("--exports", type=Path, default=ROOT / "exports")
    parser.add_argument("--store", default=f"sqlite:///{ROOT / 'mlflow.db'}", help="of MLflow")
    parser.add_argument("--picture", type=Path, help="any image (a JPEG of noise)")
    parser.add_argument("--seconds", type=float, default=10, help="of each measurement")
    parser.add_argument("--rounds", type=int, default=2)
    arguments = parser.parse_args()
    busy = psutil.getloadavg()[0]
    print(f"{os.cpu_count()} CPUs; the load average before: {busy:.1f}\n\n{HEADER}", flush=True)
    for pipeline in arguments.pipelines:
        folder = arguments.exports / pipeline
        for row in compare(pipeline, folder, arguments):
            print(row, flush=True)


def noise(shape: tuple[int, int, int]) -> bytes:
    """A JPEG of twice the height and width of the model's images."""
    height, width, _ = shape
    small = np.random.default_rng(0).integers(0, 256, (12, 12, 3), dtype=np.uint8)
    content = io.BytesIO()
    Image.fromarray(small).resize((2 * width, 2 * height)).save(content, "JPEG")
    return content.getvalue()


def compare(pipeline: str, folder: Path, arguments: argparse.Namespace) -> Iterator[str]:
    """The rows of the table for one model."""
    preprocessing = read_preprocessing(folder / "assets" / PREPROCESSING)
    given: Path | None = arguments.picture
    picture = given.read_bytes() if given else noise(preprocessing.shape)
    pixels = preprocessing(picture)
    numbers = json.dumps({"inputs": [pixels.tolist()]}).encode()
    base64 = json.dumps({"inputs": [b64encode(picture).decode()]}).encode()
    ours = (
        "this server",
        ["-m", "classifier.serve", str(folder)],
        "/readyz",
        (f"/v1/models/{pipeline}/classify", "image/jpeg", picture),
    )
    theirs = (
        "MLflow",
        [
            "-m",
            "mlflow",
            *f"models serve --env-manager local -m models:/{pipeline}@champion".split(),
        ],
        "/ping",
        ("/invocations", "application/json", numbers),
    )
    rounds, seconds = range(arguments.rounds), arguments.seconds
    with (
        running(*ours, arguments.store) as server,
        running(*theirs, arguments.store) as peer,
    ):
        pair = server, peer
        every = *pair, peer._replace(body=base64)
        yield row(f"{pipeline}: start", [each.started for each in pair], "s", "under 2 s", below(2))
        yield row(
            f"{pipeline}: its processor time", [each.processor for each in pair], "s", "stated"
        )
        yield row(
            f"{pipeline}: memory then",
            [each.memory for each in pair],
            "MB",
            "under 300 MB",
            below(300),
        )
        times = [[one_by_one(each, seconds) for each in every] for _ in rounds]
        alone = [1000 * np.concatenate(each) for each in zip(*times, strict=True)]
        p50, p99 = ([float(np.percentile(of, p)) for of in alone] for p in (50, 99))
        tenth = at_most_share(0.1)
        yield row(f"{pipeline}: one picture, p50", p50, "ms", "at most 1/10", tenth)
        yield row(f"{pipeline}: one picture, p99", p99, "ms", "stated")
        for clients in CLIENTS:
            rates, slowest = [], []
            for each in every:
                results = [together(each, clients, seconds) for _ in rounds]
                rates.append(float(np.mean([rate for rate, _ in results])))
                slowest.append(float(np.percentile(np.concatenate([t for _, t in results]), 99)))
            what = f"{pipeline}: {clients} clients"
            yield row(f"{what}, rate", rates, "/s", "at least 10 times", at_least_times(10))
            yield row(f"{what}, p99", [1000 * each for each in slowest], "ms", "stated")
        memory = [memory_of(each.process) for each in pair]
        yield row(f"{pipeline}: memory after", memory, "MB", "stated")


@contextmanager
def running(
    name: str, words: list[str], ready: str, request: tuple[str, str, bytes], store: str
) -> Iterator[Server]:
    """Runs a server until the block ends; gives it when it is ready and has answered once."""
    port = PORTS[name]
    words = [sys.executable, *words, "--port", str(port)]
    begun = time.perf_counter()
    process = subprocess.Popen(
        words,
        env=environment() | {"MLFLOW_TRACKING_URI": store, "TF_CPP_MIN_LOG_LEVEL": "2"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        while not answers(port, ready):
            if process.poll() is not None or time.perf_counter() > begun + 180:
                sys.exit(f"serving: {name} did not start: {' '.join(words)}")
            time.sleep(0.01)
        started = time.perf_counter() - begun
        known = psutil.Process(process.pid)
        server = Server(port, known, started, processor_of(known), memory_of(known), *request)
        send(server, HTTPConnection("127.0.0.1", port, timeout=120))
        yield server
    finally:
        for each in [*psutil.Process(process.pid).children(recursive=True), process]:
            each.terminate()
        process.wait(30)


def answers(port: int, path: str) -> bool:
    try:
        connection = HTTPConnection("127.0.0.1", port, timeout=5)
        connection.request("GET", path)
        return connection.getresponse().status == 200
    except OSError:
        return False


def processor_of(process: psutil.Process) -> float:
    """Seconds of processor time of the process and its children."""
    every = [process, *process.children(recursive=True)]
    return sum(sum(each.cpu_times()[:2]) for each in every)


def memory_of(process: psutil.Process) -> float:
    """MB of the process and its children."""
    every = [process, *process.children(recursive=True)]
    return sum(each.memory_info().rss for each in every) / 1e6


def send(server: Server, connection: HTTPConnection) -> None:
    connection.request("POST", server.path, server.body, {"Content-Type": server.kind})
    reply = connection.getresponse()
    content = reply.read()
    if reply.status != 200:
        sys.exit(f"serving: port {server.port} answered {reply.status}: {content[:200]!r}")


def one_by_one(server: Server, seconds: float) -> np.ndarray:
    """The seconds of each request of one client that sends one after another."""
    connection = HTTPConnection("127.0.0.1", server.port, timeout=120)
    times: list[float] = []
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        begun = time.perf_counter()
        send(server, connection)
        times.append(time.perf_counter() - begun)
    return np.array(times)


def together(server: Server, clients: int, seconds: float) -> tuple[float, np.ndarray]:
    """Answers per second to so many clients, and the seconds of each request."""
    times: list[np.ndarray] = []
    begun = time.perf_counter()

    def client() -> None:
        times.append(one_by_one(server, seconds))

    threads = [threading.Thread(target=client) for _ in range(clients)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    every = np.concatenate(times)
    if len(times) < clients:
        sys.exit("serving: a client failed")
    return len(every) / (time.perf_counter() - begun), every


Met = Callable[[float, float], float]  # how many times the target: 1 or more is met


def below(limit: float) -> Met:
    return lambda ours, theirs: limit / ours


def at_most_share(share: float) -> Met:
    return lambda ours, theirs: share * theirs / ours


def at_least_times(times: float) -> Met:
    return lambda ours, theirs: ours / (times * theirs)


def row(what: str, values: list[float], unit: str, target: str, met: Met | None = None) -> str:
    ours, theirs = values[:2]
    verdict = ""
    if met is not None:
        times = met(ours, theirs)
        verdict = "met" if times >= 1 else f"missed by {100 * (1 / times - 1):.0f} %"
        verdict += f" ({ours / theirs:.3g} times)"
    shown = [f"{value:,.4g} {unit}" for value in values]
    cells = [what, *shown, *[""] * (3 - len(shown)), target, verdict]
    return f"| {' | '.join(cells)} |"


if __name__ == "__main__":
    main()
