"""A stage that is interrupted leaves nothing that DVC would take for whole."""

import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from mlflow.tracking import MlflowClient

from conftest import command, commit_all

Run = Callable[..., tuple[int, str, str]]


@contextmanager
def training(*overrides: str) -> Iterator[subprocess.Popen[str]]:
    """Training in a process of its own; the block begins when an epoch is finished."""
    words = [sys.executable, "-m", "stages.train", "pipeline=tiny", *overrides]
    process = subprocess.Popen(
        words,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        # A shell lets what it runs in the background ignore Ctrl-C, and the tests with it.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    deadline = time.monotonic() + 120
    try:
        while not list(Path(".dvc/tmp/trainings").glob("*/phase1.npz")):
            assert process.poll() is None and time.monotonic() < deadline
            time.sleep(0.02)
        yield process
    finally:
        process.kill()
        process.communicate()


@pytest.fixture
def prepared(project: Path) -> Path:
    commit_all(project)
    command("dvc", "repro", "augment@tiny", cwd=project)
    return project


@pytest.mark.difference("a break", "the whole state is in the checkpoint")
@pytest.mark.fault(
    "kill -9 while training",
    "goes on after the last finished epoch, ends with the same bytes, one MLflow run",
)
def test_killed_training_goes_on_and_ends_with_the_same_bytes(prepared: Path) -> None:
    again = [sys.executable, "-m", "stages.train", "pipeline=tiny", "epochs=60"]
    with training("epochs=60") as process:
        process.kill()
    assert process.returncode == -signal.SIGKILL
    assert not Path("models/tiny").exists()
    assert "train@tiny" in command("dvc", "status", cwd=prepared).stdout
    assert len(checkpoints()) == 1

    output = command(*again, cwd=prepared).stdout
    assert "Epoch 60/60" in output
    assert "Epoch 1/60" not in output
    assert [path.name for path in Path("models").iterdir()] == ["tiny"]
    assert checkpoints() == []
    Path("models/tiny").rename("broken")

    assert "Epoch 1/60" in command(*again, cwd=prepared).stdout
    files = sorted(Path("models/tiny").iterdir())
    assert len(files) == 5
    for file in files:
        assert file.read_bytes() == (Path("broken") / file.name).read_bytes(), file.name

    client = MlflowClient(f"sqlite:///{prepared / 'mlflow.db'}")
    runs = client.search_runs([client.get_experiment_by_name("tiny").experiment_id])
    assert [run.info.status for run in runs] == ["FINISHED", "FINISHED"]
    for run in runs:
        steps = {metric.step for metric in client.get_metric_history(run.info.run_id, "loss")}
        assert steps == set(range(1, 61))


def test_a_changed_configuration_starts_afresh(prepared: Path, run_stage: Run) -> None:
    with training("epochs=60") as process:
        process.kill()
    status, _, output = run_stage("train", "pipeline=tiny", "epochs=3")
    assert status == 0
    assert "Epoch 1/3" in output
    assert len(checkpoints()) == 1  # the killed one's, to go on from


@pytest.mark.fault("two trainings of a pipeline at once", "the second waits; both end well")
@pytest.mark.parametrize("epochs", [150, 3], ids=["the same", "another"])
def test_two_trainings_at_once(prepared: Path, epochs: int) -> None:
    words = [sys.executable, "-m", "stages.train", "pipeline=tiny", f"epochs={epochs}"]
    with training("epochs=150") as process:
        process.send_signal(signal.SIGSTOP)
        second = subprocess.Popen(
            words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        assert second.stdout is not None
        while "waiting for another process that writes " not in (line := second.stdout.readline()):
            assert line, "it did not wait"
            assert "Epoch 1/" not in line
        process.send_signal(signal.SIGCONT)
        trained = second.stdout.read()
        assert second.wait() == process.wait(timeout=60) == 0, trained
    assert f"Epoch 1/{epochs}\n" in trained
    assert len(Path("models/tiny/history.csv").read_text().splitlines()) == 1 + epochs
    assert [path.name for path in Path("models").iterdir()] == ["tiny"]
    assert checkpoints() == []


def checkpoints() -> list[Path]:
    return list(Path(".dvc/tmp/trainings").iterdir())


@pytest.mark.fault("a signal while training", "one line, MLflow run KILLED, checkpoint kept")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_interrupt_is_one_line_and_ends_the_run_as_killed(
    prepared: Path, number: signal.Signals
) -> None:
    with training("epochs=100000") as process:
        process.send_signal(number)
        _, error = process.communicate(timeout=60)
    assert process.returncode == 128 + number, error
    assert error.splitlines()[-1] == (
        "train: pipelines.tiny.train: interrupted: its output stays as it was"
    )
    assert "Traceback" not in error
    assert list(Path("models").iterdir()) == []
    client = MlflowClient(f"sqlite:///{prepared / 'mlflow.db'}")
    (run,) = client.search_runs([client.get_experiment_by_name("tiny").experiment_id])
    assert run.info.status == "KILLED"
    assert len(checkpoints()) == 1  # to go on from
