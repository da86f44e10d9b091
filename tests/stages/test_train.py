"""train: every form of the model, its history, and its MLflow run."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import keras
import numpy as np
import pandas as pd
import pytest
from mlflow.tracking import MlflowClient

from classifier.saving import load_model

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def trained(finished: Path) -> Path:
    return finished / "models" / "tiny"


def test_three_forms_of_one_model(trained: Path) -> None:
    images = np.random.default_rng(0).integers(0, 256, (4, 16, 16, 3), dtype=np.uint8)
    whole = load_model(trained / "model.keras")
    rebuilt = keras.models.model_from_json((trained / "architecture.json").read_text())
    rebuilt.load_weights(trained / "model.weights.h5")
    assert whole.optimizer.iterations.numpy() > 0
    np.testing.assert_array_equal(
        whole.predict(images, verbose=0), rebuilt.predict(images, verbose=0)
    )


def test_history_has_a_row_an_epoch(trained: Path) -> None:
    history = pd.read_csv(trained / "history.csv")
    assert history["epoch"].tolist() == [1, 2]
    assert {"loss", "val_loss", "accuracy", "val_accuracy", "learning_rate"} < set(history.columns)
    assert np.isfinite(history.to_numpy()).all()


def test_run_remembers_parameters_metrics_dataset_and_tags(finished: Path) -> None:
    client = MlflowClient(f"sqlite:///{finished / 'mlflow.db'}")
    experiment = client.get_experiment_by_name("tiny")
    (run,) = client.search_runs([experiment.experiment_id])
    assert run.info.status == "FINISHED"
    assert run.data.params["train.epochs"] == "2"
    assert run.data.params["train.model.filters"] == "[8]"
    assert run.data.params["split.seed"] == "7"
    assert run.data.tags["data.source"] == "folder"
    assert run.data.tags["seed"] == "7"
    assert len(run.data.tags["weights_sha256"]) == 64
    history = pd.read_csv(finished / "models" / "tiny" / "history.csv")
    logged = client.get_metric_history(run.info.run_id, "val_loss")
    assert [metric.step for metric in logged] == [1, 2]
    assert [metric.value for metric in logged] == pytest.approx(history["val_loss"].tolist())
    (dataset,) = run.inputs.dataset_inputs
    assert (dataset.dataset.name, len(dataset.dataset.digest) > 0) == ("tiny", True)
    assert "summary.txt" in [file.path for file in client.list_artifacts(run.info.run_id)]


def test_same_seed_same_weights(run_stage: Run, finished: Path, project: Path) -> None:
    shutil.copytree(finished / "data", project / "data")
    contents = []
    for seed in (3, 3, 4):
        assert run_stage("train", "pipeline=tiny", f"seed={seed}")[0] == 0
        contents.append(Path("models/tiny/model.keras").read_bytes())
    assert contents[0] == contents[1]
    assert contents[0] != contents[2]


def test_a_model_too_deep_for_the_image_says_so_before_the_first_epoch(
    run_stage: Run, finished: Path, project: Path
) -> None:
    shutil.copytree(finished / "data", project / "data")
    status, error, _ = run_stage("train", "pipeline=tiny", "model.filters=[8,8,8,8,8]")
    assert status == 1
    assert "model: 16 pixels are too few for 5 halvings (filters)" in error
    assert not Path("models/tiny").exists()


def test_a_loss_that_becomes_nan_fails_the_run(
    run_stage: Run, finished: Path, project: Path
) -> None:
    shutil.copytree(finished / "data", project / "data")
    status, error, _ = run_stage("train", "pipeline=tiny", "optimizer.learning_rate=1e38")
    assert status == 1
    assert "the loss became NaN in epoch" in error
    assert list(Path("models").iterdir()) == []
    client = MlflowClient(f"sqlite:///{project / 'mlflow.db'}")
    (run,) = client.search_runs([client.get_experiment_by_name("tiny").experiment_id])
    assert run.info.status == "FAILED"


def test_residual_model_and_early_stopping(run_stage: Run, finished: Path, project: Path) -> None:
    shutil.copytree(finished / "data", project / "data")
    status, _, _ = run_stage(
        "train",
        "pipeline=tiny",
        "model=residual",
        "model.filters=[8,16]",
        "~model.convolutions",
        "epochs=6",
        "patience=1",
        "monitor=val_accuracy",
        "optimizer.learning_rate=0.5",
    )
    assert status == 0
    history = pd.read_csv("models/tiny/history.csv")
    assert len(history) < 6
    architecture = json.loads(Path("models/tiny/architecture.json").read_text())
    assert architecture["class_name"] == "Functional"
