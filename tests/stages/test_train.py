"""train: every form of the model, its history, and its MLflow run."""

import json
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import keras
import numpy as np
import pandas as pd
import pytest
from mlflow.tracking import MlflowClient

from classifier.layers.views import network_of
from classifier.saved.rounding import TRAINING_DIGITS, significant
from classifier.saved.saving import load_model
from conftest import experiment_id

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
    assert history["kept"].idxmax() == history["val_accuracy"].idxmax()
    assert history["kept"].sum() == 1


def test_run_remembers_parameters_metrics_dataset_and_tags(finished: Path) -> None:
    client = MlflowClient(f"sqlite:///{finished / 'mlflow.db'}")
    (run,) = client.search_runs([experiment_id(client, "tiny")])
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
    values = [significant(metric.value, TRAINING_DIGITS) for metric in logged]
    assert values == history["val_loss"].tolist()
    assert run.inputs is not None
    (dataset,) = run.inputs.dataset_inputs
    assert (dataset.dataset.name, len(dataset.dataset.digest) > 0) == ("tiny", True)
    assert "summary.txt" in [file.path for file in client.list_artifacts(run.info.run_id)]


OWN = """\
import keras


def build(shape, classes, preprocessing):
    head = keras.layers.Dense(classes, activation="softmax", name="probabilities")
    return keras.Sequential([keras.Input(shape), preprocessing, keras.layers.Flatten(), head])
"""


@pytest.mark.slow
@pytest.mark.parametrize(("group", "name"), [("own", "own"), ("mine/small", "mine_small")])
def test_the_choice_of_the_group_names_a_model_of_the_user(
    run_stage: Run,
    finished: Path,
    plain: Path,
    monkeypatch: pytest.MonkeyPatch,
    group: str,
    name: str,
) -> None:
    module = f"own_model_{name}"
    (plain / "code").mkdir()
    (plain / "code" / f"{module}.py").write_text(OWN)
    monkeypatch.syspath_prepend(plain / "code")
    (plain / "conf" / "model" / group).parent.mkdir(exist_ok=True)
    (plain / "conf" / "model" / f"{group}.yaml").write_text(f"_target_: {module}.build\n")
    for words in (["train", f"model={group}", "epochs=1"], ["evaluate"], ["export"]):
        status, error, _ = run_stage(words[0], "pipeline=tiny", *words[1:])
        assert status == 0, error
    client = MlflowClient(f"sqlite:///{plain / 'mlflow.db'}")
    (run,) = client.search_runs([experiment_id(client, "tiny")])
    assert (run.info.run_name, run.data.tags["model"]) == (name, name)
    architecture = json.loads(Path("models/tiny/architecture.json").read_text())
    assert architecture["config"]["name"] == name
    assert load_model(Path("models/tiny/last.keras")).name == name
    report = Path("reports/tiny/report.html").read_text("utf-8")
    assert name in report and "sequential" not in report
    version = client.get_model_version("tiny", "1")
    assert version.tags["model"] == name
    assert version.description is not None and f" images ({name}): " in version.description


@pytest.mark.slow
def test_run_names_say_what_changed(run_stage: Run, finished: Path, project: Path) -> None:
    shutil.copytree(finished / "data", project / "data")
    for overrides in (
        [],
        ["seed=8"],
        [],
        ["optimizer=adamw"],
        ["optimizer=adamw", "epochs=1", "batch_size=4", "patience=3", "precision=float32"],
    ):
        assert run_stage("train", "pipeline=tiny", *overrides)[0] == 0
    client = MlflowClient(f"sqlite:///{project / 'mlflow.db'}")
    runs = client.search_runs(
        [experiment_id(client, "tiny")], order_by=["attributes.start_time ASC"]
    )
    assert [run.info.run_name for run in runs] == [
        "convnet",
        "convnet seed=8",
        "convnet seed=7",
        "convnet optimizer=AdamW",
        "convnet epochs=1 patience=3 batch_size=4",
    ]


def test_use_of_the_machine_is_logged(
    run_stage: Run, finished: Path, project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_SYSTEM_METRICS_SAMPLING_INTERVAL", "0.2")
    monkeypatch.setenv("MLFLOW_SYSTEM_METRICS_SAMPLES_BEFORE_LOGGING", "1")
    shutil.copytree(finished / "data", project / "data")
    assert run_stage("train", "pipeline=tiny", "epochs=20")[0] == 0
    client = MlflowClient(f"sqlite:///{project / 'mlflow.db'}")
    (run,) = client.search_runs([experiment_id(client, "tiny")])
    assert 0 <= run.data.metrics["system/cpu_utilization_percentage"] <= 100


@pytest.mark.slow
@pytest.mark.difference("random numbers of a training", "one seed for all of them")
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


@pytest.mark.fault(
    "the loss becomes NaN", "one line with the step and what to try, MLflow run FAILED"
)
def test_a_loss_that_becomes_nan_fails_the_run(
    run_stage: Run, finished: Path, project: Path
) -> None:
    shutil.copytree(finished / "data", project / "data")
    status, error, _ = run_stage("train", "pipeline=tiny", "optimizer.learning_rate=1e38")
    assert status == 1
    assert "the loss became NaN or infinite at step" in error
    assert list(Path("models").iterdir()) == []
    client = MlflowClient(f"sqlite:///{project / 'mlflow.db'}")
    (run,) = client.search_runs([experiment_id(client, "tiny")])
    assert run.info.status == "FAILED"


@pytest.mark.slow
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


@pytest.fixture
def plain(finished: Path, project: Path) -> Path:
    """A project with data, whose params.yaml leaves the model's own settings as they are."""
    shutil.copytree(finished / "data", project / "data")
    params = project / "params.yaml"
    lines = params.read_text().splitlines(keepends=True)
    params.write_text("".join(line for line in lines if not line.startswith("      model:")))
    return project


OWN_MODEL = """\
import keras

def tiny({arguments}):
    inputs = keras.Input((16, 16, 3), dtype="uint8")
    hidden = keras.layers.Flatten()(keras.layers.Rescaling(1 / 255)(inputs))
    return keras.Model(inputs, keras.layers.Dense(3)(hidden), name="tiny")
"""


@pytest.mark.fault(
    "a model of the user's own with another signature, or without softmax",
    "one line that says what is expected, before MLflow has a run",
)
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            "image_shape, classes, preprocessing, *, filters",
            "train: pipelines.tiny.train: model: the outputs of tiny are no probabilities: ",
        ),
        (
            "filters, classes, preprocessing",
            "model: own_model.tiny takes (filters, classes, preprocessing), but must take "
            "(image_shape, classes, preprocessing, *, filters)",
        ),
        ("image_shape, *, filters", "but must take (image_shape, classes, preprocessing, *, filte"),
    ],
    ids=["logits", "a key first", "too few"],
)
def test_what_a_model_of_the_user_s_own_must_be(
    run_stage: Run, plain: Path, monkeypatch: pytest.MonkeyPatch, arguments: str, message: str
) -> None:
    Path("own_model.py").write_text(OWN_MODEL.format(arguments=arguments))
    Path("conf/model/own.yaml").write_text("_target_: own_model.tiny\nfilters: 8\n")
    monkeypatch.syspath_prepend(plain)
    monkeypatch.delitem(sys.modules, "own_model", raising=False)
    status, error, _ = run_stage("train", "pipeline=tiny", "model=own")
    assert status == 1
    assert message in error
    assert not Path("mlflow.db").exists()
    assert not Path("models/tiny").exists()


@pytest.mark.slow
def test_options_together_and_the_stages_after(run_stage: Run, plain: Path) -> None:
    options = ["precision=mixed_bfloat16", "class_weight=balanced", "steps_per_execution=2"]
    groups = ["mixing=mixup", "optimizer=lion", "schedule=plateau"]
    status, error, _ = run_stage("train", "pipeline=tiny", *options, *groups)
    assert status == 0, error
    model = network_of(load_model(Path("models/tiny/model.keras")))
    assert {layer.compute_dtype for layer in model.layers} == {"float32"}
    last = load_model(Path("models/tiny/last.keras"))
    assert last.get_layer("block1_convolution1").compute_dtype == "bfloat16"
    assert last.get_layer("probabilities").compute_dtype == "float32"
    for words in (["evaluate"], ["export", "runtimes=[litert]"]):
        status, error, _ = run_stage(*words, "pipeline=tiny")
        assert status == 0, error
    keras.config.set_dtype_policy("float32")


@pytest.mark.slow
@pytest.mark.parametrize("base", ["tiny", "models:/tiny@candidate", "models/tiny/model.keras"])
def test_transfer_from_what_this_project_trained(
    run_stage: Run, finished: Path, plain: Path, base: str
) -> None:
    for name in ("models", "reports"):
        shutil.copytree(finished / name, plain / name)
    if base.startswith("models:/"):
        assert run_stage("export", "pipeline=tiny")[0] == 0  # registers it in this store
        shutil.rmtree(plain / "models")
    lines = {
        "tiny": "DVC does not look after models/tiny/model.keras, which train reads",
        "models:/tiny@candidate": "base models:/tiny@candidate is models:/tiny/1 today",
        "models/tiny/model.keras": "DVC does not look after models/tiny/model.keras",
    }
    before = network_of(load_model(finished / "models" / "tiny" / "model.keras"))
    options = ["epochs=1", "fine_tune_epochs=2", "fine_tune_layers=1", "monitor=loss"]
    status, error, output = run_stage(
        "train", "pipeline=tiny", "model=transfer", f"model.base={base}", *options
    )
    assert status == 0, error
    assert "3 epochs in" in output
    assert lines[base] in output
    model = load_model(Path("models/tiny/last.keras"))
    first, tuned = (
        [model_.get_layer(name).get_weights()[0] for model_ in (before, model)]
        for name in ("block1_convolution1_normalization", "block1_convolution1")
    )
    np.testing.assert_array_equal(*first)
    assert (tuned[0] != tuned[1]).any()
    rates = pd.read_csv("models/tiny/history.csv")["learning_rate"]
    assert rates[1] == pytest.approx(0.1 * rates[0])


def test_what_cannot_be_transferred(run_stage: Run, plain: Path) -> None:
    for base, expected in {
        "tiny": "models/tiny/model.keras is missing: make it with 'dvc repro train@tiny'",
        "models:/tiny@champion": "no model 'models:/tiny@champion': ",
        "old.keras": "model: base old.keras does not exist",
    }.items():
        command = ["pipeline=tiny", "model=transfer", f"model.base={base}"]
        status, error, _ = run_stage("train", *command)
        assert status == 1
        assert expected in error
        assert "Traceback" not in error
    status, error, _ = run_stage("train", "pipeline=tiny", "model=dense", "fine_tune_epochs=1")
    assert (status, "no layer of dense is frozen" in error) == (1, True)
