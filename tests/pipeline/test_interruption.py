"""A stage that is interrupted leaves nothing that DVC would take for whole."""

import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from mlflow.tracking import MlflowClient

from conftest import command, commit_all

Run = Callable[..., tuple[int, str, str]]


def start_training() -> subprocess.Popen[str]:
    """Training with many epochs, in its own process; returns when the first epoch is saved."""
    words = [sys.executable, "-m", "stages.train", "pipeline=tiny", "epochs=100000"]
    process = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 120
    while not Path("models/.tiny.partial/best.keras").exists():
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.1)
    return process


@pytest.fixture
def prepared(project: Path) -> Path:
    commit_all(project)
    command("dvc", "repro", "augment@tiny", cwd=project)
    return project


def test_killed_training_is_not_up_to_date_and_runs_again(prepared: Path, run_stage: Run) -> None:
    process = start_training()
    process.kill()
    process.wait()
    assert not Path("models/tiny").exists()
    assert "train@tiny" in command("dvc", "status", cwd=prepared).stdout
    assert run_stage("train", "pipeline=tiny")[0] == 0
    assert [path.name for path in Path("models").iterdir()] == ["tiny"]


def test_interrupt_is_one_line_and_ends_the_run_as_killed(prepared: Path) -> None:
    process = start_training()
    process.send_signal(signal.SIGINT)
    _, error = process.communicate(timeout=60)
    assert process.returncode == 130, error
    assert error.splitlines()[-1] == (
        "train: pipelines.tiny.train: interrupted: its output stays as it was"
    )
    assert "Traceback" not in error
    assert list(Path("models").iterdir()) == []
    client = MlflowClient(f"sqlite:///{prepared / 'mlflow.db'}")
    (run,) = client.search_runs([client.get_experiment_by_name("tiny").experiment_id])
    assert run.info.status == "KILLED"
