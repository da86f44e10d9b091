"""train with loggers: the same bytes, also with one that fails, and after an interruption."""

import shutil
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

import pandas as pd
import pytest
from ruamel.yaml import YAML

from classifier.support.errors import InputError
from classifier.tracking import loggers
from conftest import ROOT, command, commit_all
from stages.params import groups_outside
from stages.prepare import prepare

Run = Callable[..., tuple[int, str, str]]

ALL = """\
# Every logger, and two of the user's own.
dvclive: {_target_: classifier.tracking.loggers.dvclive}
tensorboard: {_target_: classifier.tracking.loggers.tensorboard, graph: true, histograms: 1}
failing: {_target_: own_logger.failing}
"""
OWN = """\
from pathlib import Path

import keras


def failing(folder, run, preview):
    return Failing()


class Failing(keras.callbacks.Callback):
    def on_epoch_end(self, epoch, logs):
        assert set(logs) == {"accuracy", "learning_rate", "loss", "val_accuracy", "val_loss"}
        if epoch == 1 and not Path("killed").exists():
            Path("killed").touch()
            raise KeyboardInterrupt  # the epoch is shown, and not in the checkpoint
        if epoch == 1:
            raise RuntimeError("of no use")
"""


@pytest.mark.slow
@pytest.mark.skipif(
    not (find_spec("dvclive") and find_spec("tensorboard")),
    reason="dvclive or tensorboard is missing: make setup WITH=live",
)
@pytest.mark.difference("a logger", "it is told of an epoch after it, and left out if it fails")
def test_loggers_change_no_byte_and_go_on_with_an_interrupted_training(
    run_stage: Run, finished: Path, project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from dvc.repo import Repo

    shutil.copytree(finished / "data", project / "data")
    Path("own_logger.py").write_text(OWN)
    Path("conf/logger/all.yaml").write_text(ALL)
    monkeypatch.syspath_prepend(project)
    status, error, _ = run_stage("train", "pipeline=tiny", "logger=all")
    assert (status, "interrupted" in error) == (130, True)
    assert not Path("models/tiny").exists()

    status, error, output = run_stage("train", "pipeline=tiny", "logger=all")
    assert status == 0, error
    line = "the logger Failing has failed (of no use): the training goes on without it"
    assert output.count(line) == 1
    for file in (finished / "models" / "tiny").iterdir():
        assert file.read_bytes() == (project / "models" / "tiny" / file.name).read_bytes(), file
    table = pd.read_csv("live/tiny/dvclive/plots/metrics/train/learning_rate.tsv", sep="\t")
    assert table["step"].tolist() == [1, 2]
    commit_all(project)
    with Repo() as repo:  # finds them by live/tiny/dvc.yaml
        shown = repo.metrics.show()[""]["data"]["live/tiny/dvclive/metrics.json"]["data"]
        assert shown["step"] == 2
    (run,) = Path("live/tiny/runs").iterdir()
    assert {path.name for path in run.iterdir()} == {"train", "validation"}


def test_a_logger_whose_package_is_missing_stops_before_the_first_epoch(
    run_stage: Run, finished: Path, project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(finished / "data", project / "data")
    params = Path("params.yaml")
    params.write_text(f"logger: tensorboard\n{params.read_text()}")
    monkeypatch.setattr(loggers, "find_spec", lambda name: None)
    status, error, _ = run_stage("train", "pipeline=tiny")
    expected = "logger: the package tensorboard is missing: make setup WITH=live"
    assert (status, error.strip()) == (1, f"train: pipelines.tiny.train: {expected}")
    assert not Path("mlflow.db").exists()


def test_params_yaml_chooses_the_logger_beside_the_pipelines(project: Path) -> None:
    params = Path("params.yaml")
    sections = params.read_text()
    assert groups_outside("train") == {}
    params.write_text(f"logger: both\n{sections}")
    assert groups_outside("train") == {"logger": "both"}
    assert groups_outside("evaluate") == {}
    prepare()  # adds no logger to a section, which DVC would take for a change
    written = YAML(typ="safe").load(params)
    assert "logger" not in written["pipelines"]["tiny"]["train"]["groups"]
    assert written["logger"] == "both"
    params.write_text(f"logger: [dvclive, tensorboard]\n{sections}")
    with pytest.raises(InputError, match="must be the name of a file in conf/logger"):
        groups_outside("train")


def test_git_ignores_what_loggers_write_but_not_the_file_by_which_dvc_finds_it() -> None:
    """DVC reads no dvc.yaml in a folder that git ignores."""
    paths = ["live/tiny/", "live/tiny/dvc.yaml", "live/tiny/dvclive/", "live/tiny/runs/"]
    result = command("git", "check-ignore", *paths, cwd=ROOT, check=False)
    assert result.stdout.split() == paths[2:]
