"""compare: runs side by side, from what MLflow remembers of them."""

import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from mlflow.tracking import MlflowClient

from classifier import tracking
from classifier.tracking import EvaluatedRun
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


def group(accuracies: dict[int, float], rate: str, classes: str = "xy") -> list[EvaluatedRun]:
    """Runs of these accuracies by seed, on 200 images of classes in turn."""
    images = np.arange(200)
    runs = []
    for seed, accuracy in accuracies.items():
        order = np.random.default_rng(seed).permutation(images)
        table = pd.DataFrame(
            {"id": images.astype(str), "class": np.array(list(classes))[images % 2]}
        )
        table["correct"] = order < accuracy * len(images)
        for name in classes:
            table[f"p({name})"] = 0.5
        params = {"train.seed": str(seed), "train.rate": rate}
        metrics = {"test.accuracy": accuracy, "test.log_loss": 1 - accuracy}
        runs.append(EvaluatedRun(f"seed={seed}", params, metrics, table, str(seed)))
    return runs


@pytest.fixture
def groups(project: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, list[EvaluatedRun]]:
    """Experiments of several seeds, by their names, in place of MLflow's."""
    found = {
        "before": group({7: 0.80, 8: 0.81, 9: 0.79}, "0.1"),
        "after": group({7: 0.95, 8: 0.96, 9: 0.95}, "0.2"),
        "same": group({7: 0.79, 8: 0.83, 9: 0.80}, "0.3"),
        "one": group({7: 0.9}, "0.1"),
        "others": group({7: 0.9, 8: 0.9}, "0.1", classes="xz"),
        "rates": [*group({7: 0.9}, "0.1"), *group({8: 0.9}, "0.2")],
    }
    monkeypatch.setattr(
        tracking, "evaluated_trials", lambda root, pipeline, name: found.get(name, [])
    )
    monkeypatch.setattr(
        tracking, "evaluated_runs", lambda root, pipeline, names: group({5: 0.9}, "0.1")
    )
    return found


def test_experiments_of_several_seeds_get_a_verdict_each_and_a_page(
    groups: dict[str, list[EvaluatedRun]],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert run(monkeypatch, "tiny", "before", "after", "same") == 0
    printed = capsys.readouterr().out
    *_, after, same, page = printed.splitlines()
    assert after.startswith("after minus before: +15.33 points of accuracy, between +")
    assert after.endswith("a real difference, after is better")
    assert same.startswith("same minus before: +0.67 points")
    assert "may be chance, as seeds alone differ as much" in same
    assert "train.rate: 0.1 (before), 0.2 (after), 0.3 (same)" in printed
    assert "0.8 ± 0.01" in printed
    assert "recall per class" in printed
    assert page == "reports/tiny/compare.html shows it"
    html = Path("reports/tiny/compare.html").read_text()
    assert f'<p class="verdict real">{after}.</p>' in html
    assert f'<p class="verdict">{same}.</p>' in html
    assert "data:image/png;base64," in html


def test_one_seed_is_no_verdict(
    groups: dict[str, list[EvaluatedRun]],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    for name in ("one", "a run"):  # an experiment of one seed; a run by its name
        assert run(monkeypatch, "tiny", "before", name) == 0
        unknown = f"the seeds' spread is unknown, as {name} has one seed: this is no verdict"
        assert unknown in capsys.readouterr().out


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["before", "others"], "they have other classes: y, z"),
        (["before", "before"], "'before' is named twice"),
        (
            ["before", "rates"],
            "the runs of 'rates' differ in more than the seed, those of 'before'",
        ),
    ],
)
def test_groups_that_cannot_be_compared_are_one_line(
    groups: dict[str, list[EvaluatedRun]],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    names: list[str],
    message: str,
) -> None:
    assert run(monkeypatch, "tiny", *names) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"compare: {message}")
    assert not Path("reports/tiny/compare.html").exists()


def test_groups_of_other_test_images_are_one_line(
    groups: dict[str, list[EvaluatedRun]],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    groups["after"] = [each._replace(predictions=each.predictions[:90]) for each in groups["after"]]
    assert run(monkeypatch, "tiny", "before", "after") == 1
    assert "they were tested on different images: 200 and 90" in capsys.readouterr().err
