"""Sweeps by Hydra's multirun: trials of one parent run, which do not change DVC's outputs."""

import shutil
from pathlib import Path

import pandas as pd
import pytest
from mlflow.tracking import MlflowClient

from conftest import PYTHON, command, experiment_id

TRIALS = ["hydra/sweeper=optuna", "hydra.sweeper.n_trials=3", "epochs=1"]


@pytest.fixture
def prepared(finished: Path, project: Path) -> Path:
    shutil.copytree(finished / "data", project / "data")
    return project


def sweep(folder: Path, *words: str, check: bool = True) -> str:
    stage = [PYTHON, "-m", "stages.train", "pipeline=tiny", "--multirun"]
    result = command(*stage, *words, cwd=folder, check=check)
    assert check or result.returncode == 1
    return result.stdout


def test_optuna_s_trials_are_children_of_one_run_with_a_table_and_a_chart(prepared: Path) -> None:
    rates = "optimizer.learning_rate=tag(log,interval(0.001,0.1))"
    output = sweep(prepared, *TRIALS, rates)
    client = MlflowClient(f"sqlite:///{prepared / 'mlflow.db'}")
    runs = client.search_runs([experiment_id(client, "tiny")])
    (parent,) = [run for run in runs if "sweep" in run.data.tags]
    children = [run for run in runs if run.data.tags.get("mlflow.parentRunId")]
    assert len(children) == 3
    assert {run.data.tags["mlflow.parentRunId"] for run in children} == {parent.info.run_id}
    assert {run.info.status for run in runs} == {"FINISHED"}
    files = {file.path for file in client.list_artifacts(parent.info.run_id)}
    assert files == {"sweep.csv", "sweep.png"}
    table_file = Path(client.download_artifacts(parent.info.run_id, "sweep.csv"))
    table = pd.read_csv(table_file)
    assert list(table.columns) == ["run", "train.optimizer.learning_rate", "best_val_accuracy"]
    best = max(run.data.metrics["best_val_accuracy"] for run in children)
    assert table["best_val_accuracy"][0] == pytest.approx(best)
    assert f"Best value: {best}"[:20] in output
    printed = [line.partition("its table: ")[2] for line in output.splitlines()]
    last = [file for file in printed if file][-1]
    assert Path(last).read_text() == table_file.read_text()
    assert not (prepared / "models").exists()
    models = sorted((prepared / ".dvc" / "tmp" / "multirun").glob("*/*/train/model.keras"))
    assert len(models) == 3


@pytest.mark.slow
def test_the_same_sweep_twice_tries_the_same(prepared: Path) -> None:
    rates = "optimizer.learning_rate=interval(0.001,0.1)"
    lines = [
        [line for line in sweep(prepared, *TRIALS, rates).splitlines() if "Best param" in line]
        for _ in range(2)
    ]
    assert lines[0][0].partition("Best")[2] == lines[1][0].partition("Best")[2]


def test_a_trial_that_fails_ends_the_sweep_in_one_line(prepared: Path) -> None:
    output = sweep(prepared, *TRIALS, "model.filters=choice([8,8,8,8,8,8])", check=False)
    assert "train: pipelines.tiny.train: model: 16 pixels are too few for 6 halvings" in output
    assert "Traceback" not in output
