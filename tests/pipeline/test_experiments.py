"""DVC experiments: every run is in the one MLflow store of the main checkout."""

import json
import os
import signal
import time
from contextlib import suppress
from pathlib import Path

import pandas as pd
import pytest
from mlflow.entities import Run
from mlflow.tracking import MlflowClient

from conftest import command, commit_all, write_project


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = write_project(tmp_path_factory.mktemp("experiments") / "project")
    commit_all(folder)
    command("dvc", "repro", cwd=folder)
    commit_all(folder)
    return folder


def runs(folder: Path) -> list[Run]:
    """The trainings' runs, the latest first; without the parents of sweeps."""
    client = MlflowClient(f"sqlite:///{folder / 'mlflow.db'}")
    found = client.search_runs([client.get_experiment_by_name("tiny").experiment_id])
    return [run for run in found if "sweep" not in run.data.tags]


def shown(folder: Path) -> dict[str, float]:
    """Each experiment's name and test accuracy in ``dvc exp show``."""
    content = json.loads(command("dvc", "exp", "show", "--json", cwd=folder).stdout)
    found = {}
    for baseline in content:
        for experiment in baseline.get("experiments") or []:
            revision = experiment["revs"][0]
            metrics = revision["data"]["metrics"]["reports/tiny/metrics.json"]["data"]
            found[revision["name"]] = metrics["accuracy"]
    return found


def test_swapping_a_group_is_one_option(repository: Path) -> None:
    before = len(runs(repository))
    swap = "pipelines.tiny.train.groups.optimizer=sgd"
    command("dvc", "exp", "run", "--name", "swapped", "-S", swap, cwd=repository)
    new = runs(repository)
    assert len(new) == before + 1
    assert new[0].info.run_name == "swapped"
    assert new[0].data.params["train.optimizer._target_"] == "keras.optimizers.SGD"
    assert "swapped" in shown(repository)


def names(folder: Path) -> list[str]:
    """The finished experiments' names."""
    return command("dvc", "exp", "list", "--name-only", cwd=folder).stdout.split()


def run_queue(folder: Path, experiments: int) -> None:
    """Runs them all at once, each in a worker of its own.

    ``dvc exp run --run-all`` waits until the workers have gone, which those of several that begin
    at once may never do (https://github.com/treeverse/dvc/issues/10428).
    """
    known = names(folder)
    command("dvc", "queue", "start", "--jobs", str(experiments), cwd=folder)
    deadline = time.monotonic() + 300
    while len(names(folder)) < len(known) + experiments:
        assert time.monotonic() < deadline
        time.sleep(1)
    for file in (folder / ".dvc" / "tmp" / "exps" / "celery").glob("*.pid"):
        with suppress(ProcessLookupError):
            os.kill(int(file.read_text()), signal.SIGTERM)


@pytest.mark.fault("four queued experiments at once on one store", "every run is in it")
def test_queued_sweep_runs_the_copy_s_code_and_logs_to_the_main_checkout(repository: Path) -> None:
    before = len(runs(repository))
    # The code of the commit that is queued runs, not the one that lies here when it runs.
    script = repository / "src" / "stages" / "evaluate.py"
    original = script.read_text()
    script.write_text(original.replace("evidence.measure(", '{"marked": 1} | evidence.measure('))
    assert script.read_text() != original
    sweep = "pipelines.tiny.train.optimizer.learning_rate=0.1,0.01,0.001,0.0001"
    command("dvc", "exp", "run", "--queue", "-S", f"+{sweep}", "evaluate@tiny", cwd=repository)
    script.write_text(original)
    run_queue(repository, experiments=4)
    new = runs(repository)[: len(runs(repository)) - before]
    rates = sorted(run.data.params["train.optimizer.learning_rate"] for run in new)
    assert rates == ["0.0001", "0.001", "0.01", "0.1"]
    assert all(run.data.metrics["test.marked"] == 1 for run in new)
    assert {run.info.status for run in new} == {"FINISHED"}
    assert all(run.info.artifact_uri.startswith(repository.as_uri()) for run in new)
    assert {run.info.run_name for run in new} <= set(shown(repository))
    client = MlflowClient(f"sqlite:///{repository / 'mlflow.db'}")
    (parent,) = {run.data.tags["mlflow.parentRunId"] for run in new}
    assert client.get_run(parent).info.run_name.startswith("experiments of ")
    table = pd.read_csv(client.download_artifacts(parent, "sweep.csv"))
    assert {run.info.run_name for run in new} <= set(table["run"])
    assert table["best_val_accuracy"].is_monotonic_decreasing
