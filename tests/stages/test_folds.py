"""folds: cross-validation as DVC experiments, and the comparison of two."""

import sys
from pathlib import Path

import pandas as pd
import pytest
from mlflow.tracking import MlflowClient

from conftest import command, commit_all, experiment_id, write_project
from stages import folds

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = write_project(tmp_path_factory.mktemp("folds") / "project")
    commit_all(folder)
    return folder


def cross_validate(folder: Path, *words: str) -> str:
    return command("python", "-m", "stages.folds", "tiny", *words, cwd=folder).stdout


def test_folds_and_seeds_are_children_of_one_run_and_go_on_after_a_break(repository: Path) -> None:
    first = cross_validate(repository, "--folds", "2")
    assert first.count(" s)") == 2
    assert "between 2 folds; standard deviations" in first
    second = cross_validate(repository, "--folds", "2", "--seeds", "2")
    assert second.count("(trained before)") == 2
    assert second.count(" s)") == 2
    assert "between 2 seeds" in second
    client = MlflowClient(f"sqlite:///{repository / 'mlflow.db'}")
    runs = client.search_runs([experiment_id(client, "tiny")])
    (parent,) = [run for run in runs if "sweep" in run.data.tags]
    children = [run for run in runs if "sweep" not in run.data.tags]
    assert len(children) == 4
    assert {run.data.tags["mlflow.parentRunId"] for run in children} == {parent.info.run_id}
    table = pd.read_csv(client.download_artifacts(parent.info.run_id, "out_of_fold.csv"))
    photos = sorted(
        f"{file.parent.name}/{file.name}"
        for file in repository.with_name("project-photos").rglob("*.*")
    )
    assert len(photos) == 45
    for _, of_seed in table.groupby("seed"):
        assert sorted(of_seed["id"]) == photos
    assert {"accuracy", "folds_std", "seeds_std"} <= set(parent.data.metrics)
    assert not client.search_registered_models()

    cross_validate(repository, "--folds", "2", "--name", "again")
    compared = command("python", "-m", "stages.compare", "tiny", "folds", "again", cwd=repository)
    assert "again minus folds: " in compared.stdout
    assert "corrected t-test's p = " in compared.stdout


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["tine"], "no pipeline 'tine'"),
        (["tiny", "--folds", "1"], "--folds must be 2 or more"),
        (["tiny", "--name", "a/b"], "--name is 'a/b': must be letters"),
        (
            ["tiny", "--folds", "40", "--name", "many"],
            "many-1 failed: split: pipelines.tiny.split: class 'blue' has 15 different images",
        ),
    ],
)
def test_bad_input_is_one_line(repository: Path, words: list[str], message: str) -> None:
    end = command("python", "-m", "stages.folds", *words, cwd=repository, check=False)
    assert end.returncode == 1
    assert end.stdout.startswith("folds: ")
    assert message in end.stdout
    assert end.stdout.count("\n") == 1


def test_changes_without_a_commit_are_refused(
    repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    params = repository / "params.yaml"
    before = params.read_text()
    monkeypatch.chdir(repository)
    monkeypatch.setattr(sys, "argv", ["stages.folds", "tiny"])
    params.write_text(before + "# a change\n")
    with pytest.raises(SystemExit, match="commit your changes first"):
        folds.main()
    params.write_text(before)
