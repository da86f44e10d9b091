"""DVC's queue: several workers, a failure, and a worker that is stuck."""

import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from conftest import COMMANDS, command, commit_all, without_store

pytestmark = pytest.mark.slow
STAGE = """\
stages:
  one:
    cmd: sh -c 'sleep ${t} && test ${t} != 2 && echo ${t} > out'
    outs: [out]
"""


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    commit_all(tmp_path)
    command("dvc", "init", "-q", cwd=tmp_path)
    (tmp_path / "dvc.yaml").write_text(STAGE)
    (tmp_path / "params.yaml").write_text("t: 0\n")
    commit_all(tmp_path)
    return tmp_path


def run(folder: Path, *words: str) -> subprocess.Popen[str]:
    source = str(Path(__file__).parents[2] / "src")
    variables = without_store() | {"PYTHONPATH": source}
    variables["PATH"] = os.pathsep.join([str(COMMANDS), variables["PATH"]])
    return subprocess.Popen(
        [sys.executable, "-m", "stages.queue", *words],
        cwd=folder,
        env=variables,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def worker_of(queue: subprocess.Popen[str], command: str) -> psutil.Process:
    """The worker of the queue that runs this command."""
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        with suppress(psutil.NoSuchProcess):
            for worker in psutil.Process(queue.pid).children():
                for child in worker.children(recursive=True):
                    if child.cmdline() == command.split():
                        return worker
        time.sleep(0.2)
    raise AssertionError(f"no worker runs {command}")


@pytest.mark.fault("a worker of DVC's queue that is stuck", "the command ends, status 1")
def test_a_queue_ends_with_a_failure_and_a_worker_that_is_stuck(repository: Path) -> None:
    command("dvc", "exp", "run", "--queue", "--name", "x", "-S", "t=1,2,8", cwd=repository)
    queue = run(repository, "--workers", "2", "--patience", "12")
    worker = worker_of(queue, "sleep 8")
    worker.send_signal(signal.SIGSTOP)
    output, _ = queue.communicate(timeout=300)
    assert sorted(output.splitlines()) == [
        "1 of 3 experiments succeeded",
        "x-1: success",
        "x-2: failed",
        "x-3: lost",
    ]
    assert queue.returncode == 1
    assert not worker.is_running()
    names = command("dvc", "exp", "list", "--name-only", cwd=repository).stdout.split()
    assert names == ["x-1"]

    command("dvc", "exp", "run", "--queue", "--name", "y", "-S", "t=60", cwd=repository)
    queue = run(repository)
    worker = worker_of(queue, "sleep 60")
    queue.terminate()
    output, _ = queue.communicate(timeout=60)
    assert output == "queue: interrupted: its workers have ended\n"
    assert queue.returncode == 1
    assert not worker.is_running()
    assert run(repository, "--workers", "0").communicate()[0].startswith("queue: --workers is 0")
