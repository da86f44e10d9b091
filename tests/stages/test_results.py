"""The table at the end of `make repro`, from a pipeline that ran and one that did not."""

import shutil
from pathlib import Path

import pytest

from conftest import write_project
from stages.results import results


def test_results_of_a_finished_pipeline_and_of_one_that_has_not_run(
    finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    project = write_project(tmp_path / "project", ("tiny", "other"))
    for folder in ("reports", "models", "exports"):
        shutil.copytree(finished / folder, project / folder)
    monkeypatch.chdir(project)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    header, tiny, other = results().splitlines()
    assert " ".join(header.split()) == "pipeline test accuracy test images training model report"
    assert tiny.split()[0] == "tiny" and tiny.endswith("reports/tiny/report.html")
    # This copy has another MLflow store, which knows nothing of the training.
    assert " convnet " in tiny and " s " not in tiny
    assert other == "other is not evaluated yet: dvc repro export@other"


def test_results_have_the_seconds_of_training(
    finished: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(finished)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    assert " s " in results().splitlines()[1]
