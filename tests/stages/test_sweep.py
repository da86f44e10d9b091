"""Sweeps: which trials belong together, and the table of them."""

import shutil
from collections.abc import Callable
from hashlib import md5
from pathlib import Path

import pandas as pd
import pytest
from mlflow.tracking import MlflowClient

from conftest import command, commit_all, experiment_id
from stages import sweep as module
from stages.sweep import sweep

Run = Callable[..., tuple[int, str, str]]
LOCK = """\
schema: '2.0'
stages:
  evaluate@tiny:
    cmd: python -m stages.evaluate pipeline=tiny
    outs:
    - path: reports/tiny/weights.sha256
      hash: md5
      md5: {}
"""


def commit(folder: Path) -> str:
    commit_all(folder)
    return command("git", "rev-parse", "HEAD", cwd=folder).stdout.strip()


def change(before: str, after: str) -> None:
    text = Path("params.yaml").read_text()
    assert before in text
    Path("params.yaml").write_text(text.replace(before, after))


@pytest.fixture
def experiment(project: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A committed project as a DVC experiment sees it; the commit."""
    head = commit(project)
    monkeypatch.setenv("DVC_EXP_BASELINE_REV", head)
    monkeypatch.setenv("DVC_EXP_NAME", "muggy-whey")
    monkeypatch.setattr(module, "_multirun", lambda: False)
    return head


def test_the_parameters_that_differ_from_the_commit_are_the_sweep(experiment: str) -> None:
    assert sweep("tiny") is None
    change("epochs: 2", "epochs: 3")
    one = sweep("tiny")
    name = f"experiments of {experiment[:7]}: train.epochs"
    assert one == (name, {"train.epochs": 3}, experiment)
    change("epochs: 3", "epochs: 4")
    other = sweep("tiny")
    assert other is not None
    assert (other.name, other.values) == (name, {"train.epochs": 4})
    change("optimizer: adam", "optimizer: sgd")
    another = sweep("tiny")
    assert another is not None
    assert another.values == {"train.epochs": 4, "train.groups.optimizer": "sgd"}
    assert another.name != name


def test_the_name_that_the_user_gives_is_the_sweep(
    experiment: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = set()
    for number, old, new in ((1, "epochs: 2", "epochs: 3"), (12, "seed: 7", "seed: 8")):
        change(old, new)
        monkeypatch.setenv("DVC_EXP_NAME", f"it's-mine-{number}")
        trial = sweep("tiny")
        assert trial is not None
        names.add(trial.name)
    assert names == {f"experiments its-mine of {experiment[:7]}"}


def test_a_sweep_of_many_parameters_has_a_short_name(experiment: str) -> None:
    extra = "".join(f", a_very_long_parameter_{number}: 1" for number in range(20))
    change("batch_size: 8", f"batch_size: 9\n      more: {{x: 1{extra}}}")
    trial = sweep("tiny")
    assert trial is not None
    assert len(trial.values) == 22
    assert len(trial.name) < 200


@pytest.mark.slow
def test_the_table_has_the_committed_run_only_the_sweep_s_trials_and_what_varies(
    run_stage: Run, finished: Path, project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(finished / "data", project / "data")
    assert run_stage("train", "pipeline=tiny")[0] == 0
    client = MlflowClient(f"sqlite:///{project / 'mlflow.db'}")
    (committed,) = client.search_runs([experiment_id(client, "tiny")])
    weights = committed.data.tags["weights_sha256"]
    (project / "dvc.lock").write_text(LOCK.format(md5(f"{weights}\n".encode()).hexdigest()))
    monkeypatch.setenv("DVC_EXP_BASELINE_REV", commit(project))
    params = Path("params.yaml").read_text()
    output = ""
    for name, old, new in (
        ("unrelated-one", "batch_size: 8", "batch_size: 4"),
        ("fancy-duct", "epochs: 2", "epochs: 1"),
        ("total-kegs", "epochs: 2", "epochs: 3"),
    ):
        Path("params.yaml").write_text(params)
        change(old, new)
        monkeypatch.setenv("DVC_EXP_NAME", name)
        status, error, output = run_stage("train", "pipeline=tiny")
        assert status == 0, error
    runs = client.search_runs([experiment_id(client, "tiny")])
    (parent,) = [run for run in runs if "train.epochs" in run.data.tags.get("sweep", "")]
    file = client.download_artifacts(parent.info.run_id, "sweep.csv")
    table = pd.read_csv(file)
    assert list(table.columns) == ["run", "train.epochs", "best_val_accuracy"]
    by_run = table.set_index("run")["train.epochs"].to_dict()
    assert by_run == {"convnet (committed)": 2, "fancy-duct": 1, "total-kegs": 3}
    assert f"its table: {parent.info.artifact_uri}/sweep.csv".replace("file://", "") in output
    best = table.iloc[0]
    expected = f"best_val_accuracy of 3 runs is {best['best_val_accuracy']:.6g} ({best['run']})"
    assert expected in output
