"""Sweeps by Hydra's multirun: trials of one parent run, which do not change DVC's outputs."""

import os
import shutil
import signal
import sqlite3
import subprocess
import time
from collections.abc import Callable
from contextlib import closing, suppress
from pathlib import Path

import pandas as pd
import pytest
from mlflow.tracking import MlflowClient

from conftest import COMMANDS, PYTHON, command, experiment_id, without_store

SWEEP = ["-m", "stages.train", "pipeline=tiny", "--multirun", "hydra/sweeper=optuna", "epochs=2"]
RATES = [
    "hydra.sweeper.study_name=rates",
    "hydra.sweeper.n_trials=3",
    "optimizer.learning_rate=tag(log,interval(0.001,0.1))",
]
# How many epochs of the second trial were reported.
REPORTED = """\
SELECT count(*) FROM trial_intermediate_values JOIN trials USING (trial_id) WHERE number = 1
"""


@pytest.fixture
def prepared(finished: Path, project: Path) -> Path:
    shutil.copytree(finished / "data", project / "data")
    return project


def start_and_kill(folder: Path) -> None:
    """Kills a sweep in the second of its three trials, after an epoch."""
    with (folder / "killed.log").open("w") as log:
        environment = without_store() | {"PATH": f"{COMMANDS}{os.pathsep}{os.environ['PATH']}"}
        process = subprocess.Popen(
            [PYTHON, *SWEEP, *RATES], cwd=folder, env=environment, stdout=log, stderr=log
        )
    deadline = time.monotonic() + 300
    while True:
        with (
            suppress(sqlite3.OperationalError),
            closing(sqlite3.connect(folder / ".dvc" / "tmp" / "sweeps.db")) as base,
        ):
            if base.execute(REPORTED).fetchone()[0]:
                break
        assert process.poll() is None, (folder / "killed.log").read_text()
        assert time.monotonic() < deadline
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.wait()


@pytest.mark.slow
@pytest.mark.fault("kill -9 in a trial of a search by Optuna", "the same command goes on")
def test_a_killed_sweep_goes_on_and_its_plots_are_in_the_parent_run(prepared: Path) -> None:
    start_and_kill(prepared)
    output = command(PYTHON, *SWEEP, *RATES, cwd=prepared).stdout
    assert "sweep rates: trial 1 was killed; it does not count" in output
    assert "sweep rates: 1 of 3 trials are finished" in output
    assert output.count("done in") == 2
    assert "sweep rates: 3 trained all epochs, 0 pruned" in output
    client = MlflowClient(f"sqlite:///{prepared / 'mlflow.db'}")
    runs = client.search_runs([experiment_id(client, "tiny")])
    (parent,) = [run for run in runs if "sweep" in run.data.tags]
    children = [run for run in runs if run.data.tags.get("mlflow.parentRunId")]
    assert {run.data.tags["mlflow.parentRunId"] for run in children} == {parent.info.run_id}
    by_trial = {run.data.tags["sweep.trial"]: run.info.status for run in children}
    # The killed training went on after its last epoch, in the same run, as trial 2.
    assert by_trial == dict.fromkeys(["0", "2", "3"], "FINISHED")

    files = {file.path for file in client.list_artifacts(parent.info.run_id)}
    plots = {"history.png", "slice.png", "parallel.png", "epochs.png", "trials.csv"}
    assert files - {"importances.png"} == {"sweep.csv", "sweep.png"} | plots
    trials = pd.read_csv(client.download_artifacts(parent.info.run_id, "trials.csv"))
    assert list(trials["state"]) == ["COMPLETE", "FAIL", "COMPLETE", "COMPLETE"]
    rates = trials["params_optimizer.learning_rate"]
    assert rates[1] == rates[2]
    table_file = Path(client.download_artifacts(parent.info.run_id, "sweep.csv"))
    table = pd.read_csv(table_file)
    assert list(table.columns) == ["run", "train.optimizer.learning_rate", "best_val_accuracy"]
    assert table["best_val_accuracy"][0] == pytest.approx(trials["value"].max())
    assert f"Best value: {trials['value'].max()}"[:20] in output
    printed = [line.partition("its table: ")[2] for line in output.splitlines()]
    assert Path([file for file in printed if file][-1]).read_text() == table_file.read_text()
    assert not (prepared / "models").exists()
    models = (prepared / ".dvc" / "tmp" / "multirun" / "rates").glob("*/train/model.keras")
    assert sorted(model.parts[-3] for model in models) == ["0", "2", "3"]
    assert not list((prepared / ".dvc" / "tmp" / "trainings").iterdir())

    applied = command(PYTHON, "-m", "stages.apply", "tiny", cwd=prepared).stdout
    best = int(trials["value"].to_numpy(float, na_value=-1).argmax())
    assert f"learning_rate: its default → {rates.to_list()[best]!r}" in applied
    assert f"of trial {best}" in applied


def test_a_trial_that_fails_ends_the_sweep_in_one_line(
    prepared: Path, run_stage: Callable[..., tuple[int, str, str]]
) -> None:
    words = [*SWEEP[2:], "hydra.sweeper.n_trials=3", "model.filters=choice([8,8,8,8,8,8])"]
    status, error, _ = run_stage("train", *words)
    reason = "model: 16 pixels are too few for 6 halvings"
    assert status == 1
    assert error.splitlines()[-1].startswith(f"train: pipelines.tiny.train: {reason}")
    assert "Traceback" not in error
