"""DVC experiments: every run is in the one MLflow store of the main checkout."""

import json
from pathlib import Path

import pandas as pd
import pytest
from mlflow.entities import Run
from mlflow.tracking import MlflowClient

from conftest import PYTHON, command, commit_all, experiment_id, run_queue, write_project

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = write_project(tmp_path_factory.mktemp("experiments") / "project")
    commit_all(folder)
    command("dvc", "repro", cwd=folder)
    commit_all(folder)
    return folder


def runs(folder: Path) -> list[Run]:
    """The runs of trainings, the latest first, without the parents of sweeps."""
    client = MlflowClient(f"sqlite:///{folder / 'mlflow.db'}")
    all_runs = client.search_runs([experiment_id(client, "tiny")])
    return [run for run in all_runs if "sweep" not in run.data.tags]


def accuracies(folder: Path) -> dict[str, float]:
    """The test accuracies in ``dvc exp show``, by the experiments' names."""
    content = json.loads(command("dvc", "exp", "show", "--json", cwd=folder).stdout)
    by_name = {}
    for baseline in content:
        for experiment in baseline.get("experiments") or []:
            revision = experiment["revs"][0]
            metrics = revision["data"]["metrics"]["reports/tiny/metrics.json"]["data"]
            by_name[revision["name"]] = metrics["accuracy"]
    return by_name


def test_swapping_a_group_is_one_option(repository: Path) -> None:
    before = len(runs(repository))
    swap = "pipelines.tiny.train.groups.optimizer=sgd"
    command("dvc", "exp", "run", "--name", "swapped", "-S", swap, cwd=repository)
    new = runs(repository)
    assert len(new) == before + 1
    assert new[0].info.run_name == "swapped"
    assert new[0].data.params["train.optimizer._target_"] == "keras.optimizers.SGD"
    assert "swapped" in accuracies(repository)
    client = MlflowClient(f"sqlite:///{repository / 'mlflow.db'}")
    assert client.get_model_version("tiny", "2").tags["dvc.experiment"] == "swapped"
    assert client.get_registered_model("tiny").aliases == {"candidate": 1, "champion": 1}


@pytest.mark.fault("a relative folder of photos, in a queued experiment", "the photos are found")
def test_a_queued_experiment_finds_the_photos_of_the_main_checkout(tmp_path: Path) -> None:
    folder = write_project(tmp_path / "project")
    for file in (folder / "conf" / "dataset" / "tiny.yaml", folder / "params.yaml"):
        file.write_text(file.read_text().replace(f"{folder}-photos", "../project-photos"))
    commit_all(folder)
    command(PYTHON, "-m", "stages.prepare", cwd=folder, PYTHONPATH=str(folder / "src"))
    command("dvc", "exp", "run", "--queue", "--name", "copied", "download@tiny", cwd=folder)
    run_queue(folder)
    assert "copied" in names(folder)


def names(folder: Path) -> list[str]:
    """The names of the finished experiments."""
    return command("dvc", "exp", "list", "--name-only", cwd=folder).stdout.split()


@pytest.mark.fault("four queued experiments at once on one store", "every run is in it")
def test_queued_sweep_runs_the_copy_s_code_and_logs_to_the_main_checkout(repository: Path) -> None:
    before = len(runs(repository))
    # DVC runs the code at the time of queueing, not the code in the checkout when it runs.
    script = repository / "src" / "stages" / "evaluate.py"
    original = script.read_text()
    script.write_text(original.replace("metrics |= judged", 'metrics |= judged | {"marked": 1}'))
    assert script.read_text() != original
    sweep = "pipelines.tiny.train.optimizer.learning_rate=0.1,0.01,0.001,0.0001"
    command("dvc", "exp", "run", "--queue", "-S", f"+{sweep}", "evaluate@tiny", cwd=repository)
    script.write_text(original)
    run_queue(repository, jobs=4)
    new = runs(repository)[: len(runs(repository)) - before]
    rates = sorted(run.data.params["train.optimizer.learning_rate"] for run in new)
    assert rates == ["0.0001", "0.001", "0.01", "0.1"]
    assert all(run.data.metrics["test.marked"] == 1 for run in new)
    assert {run.info.status for run in new} == {"FINISHED"}
    assert all(run.info.artifact_uri.startswith(repository.as_uri()) for run in new)
    assert {run.info.run_name for run in new} <= set(accuracies(repository))
    client = MlflowClient(f"sqlite:///{repository / 'mlflow.db'}")
    (parent,) = {run.data.tags["mlflow.parentRunId"] for run in new}
    assert client.get_run(parent).info.run_name.startswith("experiments of ")
    table = pd.read_csv(client.download_artifacts(parent, "sweep.csv"))
    assert {run.info.run_name for run in new} <= set(table["run"])
    assert table["best_val_accuracy"].is_monotonic_decreasing


@pytest.mark.parametrize("words", [[], ["--name", "some"]])
def test_a_queued_sweep_has_a_row_for_every_value_and_no_other(
    repository: Path, words: list[str]
) -> None:
    """The committed value, 2 epochs, is not trained again."""
    swap = "pipelines.tiny.train.groups.optimizer=lion"
    command("dvc", "exp", "run", "-S", swap, "train@tiny", cwd=repository)  # of the same commit
    command("git", "restore", "params.yaml", "dvc.lock", cwd=repository)
    asked = [4, 2, 5] if words else [1, 2, 3]
    sweep = f"pipelines.tiny.train.epochs={','.join(map(str, asked))}"
    before = len(runs(repository))
    command("dvc", "exp", "run", "--queue", *words, "-S", sweep, "train@tiny", cwd=repository)
    run_queue(repository)
    new = runs(repository)[: len(runs(repository)) - before]
    assert len(new) == 2
    client = MlflowClient(f"sqlite:///{repository / 'mlflow.db'}")
    text = "experiments some of " if words else ": train.epochs"
    found = client.search_runs([experiment_id(client, "tiny")])
    (parent,) = [run for run in found if text in run.data.tags.get("sweep", "")]
    table = pd.read_csv(client.download_artifacts(parent.info.run_id, "sweep.csv"))
    assert list(table.columns) == ["run", "train.epochs", "best_val_accuracy"]
    assert sorted(table["train.epochs"]) == sorted(asked)
    assert set(table["run"]) - {run.info.run_name for run in new} == {"convnet (committed)"}
