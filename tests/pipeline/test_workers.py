"""Training on several devices or workers gives the same weights as on one worker."""

import json
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import mlflow
import numpy as np
import pandas as pd
import pytest

from classifier.saved.saving import load_model
from conftest import (
    PYTHON,
    command,
    experiment_id,
    free_port,
    run_stages,
    without_store,
    write_project,
)

# Without batch normalization and dropout, which depend on the replica's part of the batch.
OPTIONS = [
    "pipeline=tiny",
    "epochs=30",
    "model.normalization=layer",
    "model.dropout=0",
    "class_weight=balanced",
]
MULTI_WORKER = ["strategy=multi_worker"]
MODEL = Path("models", "tiny", "model.keras")


@pytest.fixture(scope="module")
def augmented(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny project before training, with a policy that each worker applies to its own part."""
    folder = write_project(tmp_path_factory.mktemp("workers") / "project")
    run_stages(folder, "download", "split", "normalize")
    augment = [PYTHON, "-m", "stages.augment", "pipeline=tiny", "policy=crops"]
    command(*augment, cwd=folder)
    return folder


@pytest.fixture(scope="module")
def alone(augmented: Path) -> list[np.ndarray]:
    """The weights after training on one worker."""
    train(augmented)
    return weights(augmented)


@pytest.fixture(autouse=True)
def no_checkpoint_remains(augmented: Path) -> Iterator[None]:
    """Deletes the checkpoints of a failed test, from which the next test would continue."""
    yield
    shutil.rmtree(trainings(augmented), ignore_errors=True)


def train(folder: Path, *options: str) -> str:
    words = [PYTHON, "-m", "stages.train", *OPTIONS, *options]
    return command(*words, cwd=folder).stdout


def weights(folder: Path) -> list[np.ndarray]:
    return list(load_model(folder / MODEL).get_weights())


def tf_config(ports: list[int], index: int) -> dict[str, str]:
    cluster = {"worker": [f"127.0.0.1:{port}" for port in ports]}
    task = {"type": "worker", "index": index}
    return {"TF_CONFIG": json.dumps({"cluster": cluster, "task": task})}


def slurm(index: int) -> dict[str, str]:
    return {
        "SLURM_STEP_NODELIST": "localhost",
        "SLURM_STEP_NUM_TASKS": "2",
        "SLURM_STEP_TASKS_PER_NODE": "2",
        "SLURM_PROCID": str(index),
    }


def start(folder: Path, *options: str, **environment: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        # Not PYTHON: gRPC may not work in a forked process.
        [sys.executable, "-m", "stages.train", *OPTIONS, *MULTI_WORKER, *options],
        cwd=folder,
        env={**without_store(), **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def start_two(folder: Path) -> list[subprocess.Popen[str]]:
    ports = [free_port(), free_port()]
    return [start(folder, **tf_config(ports, index)) for index in (0, 1)]


def trainings(folder: Path) -> Path:
    return folder / ".dvc" / "tmp" / "trainings"


def start_until_a_checkpoint(folder: Path) -> list[subprocess.Popen[str]]:
    """Starts two workers; returns when the chief has written a checkpoint for all of them."""
    chief, other = start_two(folder)
    deadline = time.monotonic() + 120
    while all("-worker" in file.parent.name for file in trainings(folder).glob("*/phase1.npz")):
        if chief.poll() is not None or time.monotonic() > deadline:
            for worker in (chief, other):
                worker.kill()
            pytest.fail(chief.communicate()[0])
        time.sleep(0.05)
    return [chief, other]


def finish(workers: list[subprocess.Popen[str]]) -> list[str]:
    outputs = [worker.communicate(timeout=120)[0] for worker in workers]
    for worker, output in zip(workers, outputs, strict=True):
        assert worker.returncode == 0, output
    return outputs


def runs(folder: Path) -> list[mlflow.entities.Run]:
    client = mlflow.MlflowClient(f"sqlite:///{folder / 'mlflow.db'}")
    return client.search_runs([experiment_id(client, "tiny")])


@pytest.mark.slow
def test_two_replicas_of_one_process(augmented: Path, alone: list[np.ndarray]) -> None:
    train(augmented, "strategy=mirrored", "strategy.replicas=2")
    for actual, expected in zip(weights(augmented), alone, strict=True):
        np.testing.assert_allclose(actual, expected, atol=1e-4)


@pytest.mark.slow
def test_two_replicas_balance_the_classes_and_monitor_them(augmented: Path) -> None:
    options = ["class_weight=null", "sampling=balanced", "monitor=val_balanced_accuracy"]
    options += ["loss=focal", "epochs=3"]
    train(augmented, *options)
    expected, history = weights(augmented), pd.read_csv(augmented / MODEL.with_name("history.csv"))
    train(augmented, *options, "strategy=mirrored", "strategy.replicas=2")
    for actual, one in zip(weights(augmented), expected, strict=True):
        np.testing.assert_allclose(actual, one, atol=1e-4)
    name = "val_balanced_accuracy"
    two = pd.read_csv(augmented / MODEL.with_name("history.csv"))
    np.testing.assert_allclose(two[name], history[name], atol=0.12)  # one of 9 images


@pytest.mark.slow
def test_a_head_on_features_and_then_the_top_of_its_base(
    augmented: Path, alone: list[np.ndarray]
) -> None:
    shutil.copy(augmented / MODEL, augmented / "base.keras")
    options = ["model=transfer", "~model.filters", "~model.convolutions", "model.base=base.keras"]
    options += ["epochs=3", "fine_tune_epochs=2", "fine_tune_layers=1"]
    train(augmented, *options)
    expected = weights(augmented)
    printed = train(augmented, *options, "strategy=mirrored", "strategy.replicas=2")
    assert "the head trains on 8 features of each image" in printed
    for actual, one in zip(weights(augmented), expected, strict=True):
        np.testing.assert_allclose(actual, one, atol=1e-4)


@pytest.mark.slow
def test_two_workers_one_of_them_killed(augmented: Path, alone: list[np.ndarray]) -> None:
    before = len(runs(augmented))
    finish(start_two(augmented))
    assert len(runs(augmented)) == before + 1
    assert runs(augmented)[0].data.metrics["val_accuracy"] > 0
    for actual, expected in zip(weights(augmented), alone, strict=True):
        np.testing.assert_allclose(actual, expected, atol=1e-4)
    uninterrupted = (augmented / MODEL).read_bytes()

    (augmented / MODEL).unlink()
    chief, other = start_until_a_checkpoint(augmented)
    other.send_signal(signal.SIGKILL)
    output = chief.communicate(timeout=120)[0]
    assert chief.returncode == 1
    assert "train: pipelines.tiny.train: a worker was lost: start all of them again" in output
    assert not (augmented / MODEL).exists()

    finish(start_two(augmented))
    assert (augmented / MODEL).read_bytes() == uninterrupted
    assert len(runs(augmented)) == before + 2
    assert not list(trainings(augmented).iterdir())


@pytest.mark.slow
def test_workers_without_a_common_disk_are_refused(augmented: Path, tmp_path: Path) -> None:
    for worker in start_until_a_checkpoint(augmented):
        worker.kill()
        worker.wait()
    copy = shutil.copytree(
        augmented, tmp_path / "other", ignore=shutil.ignore_patterns("trainings")
    )
    ports = [free_port(), free_port()]
    workers = [start(folder, **tf_config(ports, n)) for n, folder in enumerate([augmented, copy])]
    for worker in workers:
        output = worker.communicate(timeout=120)[0]
        assert "the workers would continue after different epochs" in output
        assert worker.returncode == 1


@pytest.mark.slow
def test_a_chief_may_be_listed_separately_from_the_workers(augmented: Path) -> None:
    """As Vertex AI and Kubeflow's TFJob do: chief and worker both have the index 0."""
    before = len(runs(augmented))
    cluster = {kind: [f"127.0.0.1:{free_port()}"] for kind in ("chief", "worker")}
    configurations = [
        json.dumps({"cluster": cluster, "task": {"type": kind, "index": 0}}) for kind in cluster
    ]
    finish([start(augmented, "epochs=1", TF_CONFIG=text) for text in configurations])
    assert len(runs(augmented)) == before + 1
    assert not list(trainings(augmented).iterdir())


@pytest.mark.slow
def test_slurm_says_who_the_workers_are(augmented: Path) -> None:
    options = ["epochs=1", "strategy.cluster=slurm"]
    outputs = finish([start(augmented, *options, **slurm(index)) for index in (0, 1)])
    assert all("1 epochs in" in output for output in outputs)


@pytest.mark.slow
def test_the_learning_rate_can_be_scaled_by_the_number_of_replicas(augmented: Path) -> None:
    train(augmented, "strategy=mirrored", "strategy.replicas=2", "strategy.scaling=linear")
    assert runs(augmented)[0].data.metrics["learning_rate"] == pytest.approx(0.002)


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (["strategy=multi_worker"], "the environment names no workers"),
        (["strategy=multi_worker", "strategy.cluster=slurm"], "strategy: cluster is slurm: "),
        (["strategy=mirrored", "strategy.replicas=0"], "strategy.replicas is 0: must be"),
        (["strategy=mirrored", "strategy.replicas=3"], "batch_size is 8: 3 replicas"),
    ],
)
def test_bad_input(augmented: Path, options: list[str], expected: str) -> None:
    words = [PYTHON, "-m", "stages.train", *OPTIONS, *options]
    result = command(*words, cwd=augmented, check=False)
    assert result.returncode == 1
    assert expected in result.stdout.splitlines()[-1]
