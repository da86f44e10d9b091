"""compare: runs side by side, from what MLflow remembers of them."""

import sys
from pathlib import Path

import pytest
from mlflow.tracking import MlflowClient

from conftest import run_stages, stage, write_project
from stages import compare


@pytest.fixture(scope="module")
def two_runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny pipeline's run, and one that was trained for longer."""
    folder = write_project(tmp_path_factory.mktemp("compare") / "project")
    photos = folder.with_name("project-photos")
    (photos / "blue").rename(photos / "None")  # a name that pandas would take for a missing value
    run_stages(folder, "download", "split", "normalize", "augment")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        for epochs in (1, 30):
            stage("train", "pipeline=tiny", f"epochs={epochs}")
            stage("evaluate", "pipeline=tiny")
    return folder


def run(monkeypatch: pytest.MonkeyPatch, *words: str) -> int:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.setattr(sys, "argv", ["stages.compare", *words])
    try:
        compare.main()
    except SystemExit as end:  # as the interpreter does with a message
        print(end.code, file=sys.stderr)
        return 1
    return 0


def test_two_latest_runs(
    two_runs: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(two_runs)
    assert run(monkeypatch, "tiny") == 0
    lines = capsys.readouterr().out.splitlines()
    rows = {line.split()[0]: line.split()[1:] for line in lines if line.split()}
    assert rows["train.epochs"] == ["1", "30"]
    assert {"test.accuracy", "test.calibration.ece", "model.parameters"} <= set(rows)
    assert rows["test.accuracy"][2:] == ["higher", "is", "better"]
    assert rows["test.log_loss"][2:] == ["lower", "is", "better"]
    assert rows["test.images"][2:] == []
    assert "train.seed" not in rows  # the same in both
    assert lines[0].split() == ["convnet", "convnet", "epochs=30"]
    assert {"red", "green", "None"} <= set(rows)
    assert "McNemar's p " in lines[-1]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["tine"], "no pipeline 'tine' in params.yaml: did you mean 'tiny'?"),
        (["tiny", "convnet"], "one run alone"),
        (["tiny", "convnet", "convmet"], "no evaluated run 'convmet' of tiny: did you mean 'conv"),
    ],
)
def test_what_is_not_there_is_named(
    two_runs: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    words: list[str],
    message: str,
) -> None:
    monkeypatch.chdir(two_runs)
    assert run(monkeypatch, *words) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"compare: {message}")


def test_runs_of_one_name_are_told_apart_by_their_ids(
    two_runs: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(two_runs)
    client = MlflowClient(f"sqlite:///{two_runs / 'mlflow.db'}")
    experiment = client.get_experiment_by_name("tiny")
    assert experiment is not None
    runs = client.search_runs([experiment.experiment_id])
    for each in runs:
        client.update_run(each.info.run_id, name="convnet")
    try:
        assert run(monkeypatch, "tiny") == 0
    finally:
        for each in runs:
            client.update_run(each.info.run_id, name=each.info.run_name)
    first, second = capsys.readouterr().out.splitlines()[0].split()
    assert first != second
    assert {first, second} == {f"convnet-{each.info.run_id[:6]}" for each in runs}
