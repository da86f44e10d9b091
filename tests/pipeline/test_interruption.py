"""An interrupted stage leaves no output that DVC takes for complete."""

import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from mlflow.tracking import MlflowClient

from conftest import PYTHON, command, commit_all, experiment_id

pytestmark = pytest.mark.slow

Run = Callable[..., tuple[int, str, str]]


@contextmanager
def training(*overrides: str) -> Iterator[subprocess.Popen[str]]:
    """Trains in another process; the block starts after its first epoch."""
    words = [PYTHON, "-m", "stages.train", "pipeline=tiny", *overrides]
    process = subprocess.Popen(
        words,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        # A shell starts background processes, such as the tests, with SIGINT ignored.
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


@pytest.mark.difference("an interruption", "the whole state is in the checkpoint")
@pytest.mark.fault(
    "kill -9 while training",
    "goes on after the last finished epoch, ends with the same bytes, one MLflow run",
)
def test_killed_training_goes_on_and_ends_with_the_same_bytes(prepared: Path) -> None:
    again = [PYTHON, "-m", "stages.train", "pipeline=tiny", "epochs=60"]
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
    Path("models/tiny").rename("interrupted")

    assert "Epoch 1/60" in command(*again, cwd=prepared).stdout
    files = sorted(Path("models/tiny").iterdir())
    assert len(files) == 6
    for file in files:
        assert file.read_bytes() == (Path("interrupted") / file.name).read_bytes(), file.name

    client = MlflowClient(f"sqlite:///{prepared / 'mlflow.db'}")
    runs = client.search_runs([experiment_id(client, "tiny")])
    assert [run.info.status for run in runs] == ["FINISHED", "FINISHED"]
    for run in runs:
        steps = {metric.step for metric in client.get_metric_history(run.info.run_id, "loss")}
        assert steps == set(range(1, 61))


def test_a_changed_configuration_starts_from_the_beginning(prepared: Path, run_stage: Run) -> None:
    with training("epochs=60") as process:
        process.kill()
    status, _, output = run_stage("train", "pipeline=tiny", "epochs=3")
    assert status == 0
    assert "Epoch 1/3" in output
    assert len(checkpoints()) == 1  # of the killed training, which can still continue


@pytest.mark.fault("two trainings of a pipeline at once", "the second waits; both end well")
@pytest.mark.parametrize("epochs", [150, 3], ids=["the same", "another"])
def test_two_trainings_at_once(prepared: Path, epochs: int) -> None:
    words = [PYTHON, "-m", "stages.train", "pipeline=tiny", f"epochs={epochs}"]
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
    (run,) = client.search_runs([experiment_id(client, "tiny")])
    assert run.info.status == "KILLED"
    assert len(checkpoints()) == 1  # to continue from
