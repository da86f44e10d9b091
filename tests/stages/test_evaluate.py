"""evaluate: metrics, tables, pictures and the report, and the same in the model's run."""

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
from mlflow.tracking import MlflowClient
from PIL import Image

from conftest import experiment_id, stage


def test_metrics_agree_with_the_predictions(finished: Path) -> None:
    folder = finished / "reports" / "tiny"
    metrics = json.loads((folder / "metrics.json").read_text())
    predictions = pd.read_csv(folder / "predictions.csv")
    assert metrics["images"] == len(predictions) == 9
    assert metrics["accuracy"] == pytest.approx(predictions["correct"].mean())
    assert metrics["source"] == "folder"
    # 'dvc metrics show' says that it failed where any key, however deep, is called so.
    assert '"error"' not in (folder / "metrics.json").read_text()
    assert (predictions["predicted"] == predictions["class"]).tolist() == predictions[
        "correct"
    ].tolist()
    confusion = pd.read_csv(folder / "confusion.csv", index_col="class")
    assert confusion.to_numpy().sum() == 9


def test_report_stands_alone(finished: Path) -> None:
    report = (finished / "reports" / "tiny" / "report.html").read_text("utf-8")
    assert "log loss (nats), lower is better" in report
    assert 'src="data:image/png;base64,' in report
    assert "http" not in report.replace("http-equiv", "")
    assert "test images of tiny, from folder." in report
    for part in (
        "Near-duplicates",
        "Calibration",
        "Suspicious labels",
        "How it fails",
        "Where the network looked",
        "Model card",
    ):
        assert f"<h2>{part}</h2>" in report
    assert "dvc repro evaluate@tiny" in report
    assert "drawings" not in report
    assert "average precision" in report
    assert "no test image" not in report


@pytest.mark.slow
def test_the_report_says_which_test_images_leaked_and_what_was_not_tried(
    finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "project"
    store = shutil.ignore_patterns("mlflow.db*", "mlartifacts")
    shutil.copytree(finished, folder, symlinks=True, ignore=store)
    monkeypatch.chdir(folder)
    predictions = pd.read_csv("reports/tiny/predictions.csv")
    rest = predictions[2:]
    rows = [f"{name},test,x,train,2" for name in predictions["id"][:2]]
    header = "first,first_split,second,second_split,distance"
    pairs = Path("data/near_duplicates/tiny/pairs.csv")
    pairs.write_text("\n".join([header, *rows]) + "\n")
    contents = Path("data/raw/tiny/contents.csv")
    contents.write_text(re.sub(r"(?m)^((red|blue)/.*),,$", r"\1,\2-bush,", contents.read_text()))
    stage("evaluate", "pipeline=tiny", "corruption_images=0")
    assert "corruptions" not in json.loads(Path("reports/tiny/metrics.json").read_text())
    assert "evaluate.corruption_images</code> is 0" in Path("reports/tiny/report.html").read_text()
    assert "10 test images are left out: 2." in Path("reports/tiny/report.html").read_text()
    assert (
        "2 test images have a near-duplicate among those to train or to validate. Without them, "
        f"{100 * rest['correct'].mean():.2f} % of 7 test images are right"
    ) in Path("reports/tiny/report.html").read_text("utf-8")


def test_tables_of_the_failures_agree_with_the_metrics(finished: Path) -> None:
    folder = finished / "reports" / "tiny"
    metrics = json.loads((folder / "metrics.json").read_text())
    corruptions = pd.read_csv(folder / "corruptions.csv", keep_default_na=False)
    unchanged, changed = corruptions.iloc[0], corruptions.iloc[1:]
    assert unchanged["corruption"] == "none"
    assert unchanged["accuracy"] == pytest.approx(metrics["accuracy"])  # a sample of all 9
    assert changed["accuracy"].mean() == pytest.approx(metrics["corruptions"]["accuracy"], rel=1e-5)
    coverage = pd.read_csv(folder / "coverage.csv")
    assert coverage["accuracy"][0] == pytest.approx(metrics["accuracy"], rel=1e-5)
    assert len(pd.read_csv(folder / "slices.csv")) == metrics["slices"]["tested"] == 0


def test_same_run_as_training(finished: Path) -> None:
    client = MlflowClient(f"sqlite:///{finished / 'mlflow.db'}")
    (run,) = client.search_runs([experiment_id(client, "tiny")])
    metrics = json.loads((finished / "reports" / "tiny" / "metrics.json").read_text())
    assert run.data.metrics["test.accuracy"] == pytest.approx(metrics["accuracy"])
    assert "val_accuracy" in run.data.metrics
    note = run.data.tags["mlflow.note.content"]
    assert note.startswith(f"**{100 * metrics['accuracy']:.2f} %** of 9 test images are right (")
    assert "drawings" not in note
    names = [Path(file.path).name for file in client.list_artifacts(run.info.run_id, "evaluation")]
    assert {"confusion.png", "mistakes.png", "report.html", "metrics.json"} <= set(names)


def test_only_the_runs_copy_of_the_report_says_what_changes_from_one_commit_to_the_next(
    finished: Path,
) -> None:
    client = MlflowClient(f"sqlite:///{finished / 'mlflow.db'}")
    (run,) = client.search_runs([experiment_id(client, "tiny")])
    logged = client.download_artifacts(run.info.run_id, "evaluation/report.html")
    report = (finished / "reports" / "tiny" / "report.html").read_text("utf-8")
    for name in ("data.location", "Python"):
        assert f"<dt>{name}</dt>" in Path(logged).read_text("utf-8")
        assert f"<dt>{name}</dt>" not in report
    for text in (Path(logged).read_text("utf-8"), report):
        assert "<dt>tensorflow</dt>" in text


def test_tables_of_the_report_agree_with_the_metrics(finished: Path) -> None:
    folder = finished / "reports" / "tiny"
    metrics = json.loads((folder / "metrics.json").read_text())
    intervals = pd.read_csv(folder / "intervals.csv", index_col="metric")
    for name in ("accuracy", "balanced_accuracy", "top_2_accuracy", "log_loss", "macro_f1"):
        assert intervals["low"][name] <= metrics[name] <= intervals["high"][name]
    calibration = pd.read_csv(folder / "calibration.csv")
    for name, error in (("as trained", "ece"), ("scaled", "scaled_ece")):
        bins = calibration[calibration["probabilities"] == name]
        assert bins["images"].sum() == 9
        distance = (bins["confidence"] - bins["accuracy"]).abs() * bins["images"]
        assert distance.sum() / 9 == pytest.approx(metrics["calibration"][error])


@pytest.mark.difference("paths, run ids and times", "in MLflow alone, not in DVC's outputs")
def test_no_output_names_its_run_or_its_folder(finished: Path) -> None:
    client = MlflowClient(f"sqlite:///{finished / 'mlflow.db'}")
    (run,) = client.search_runs([experiment_id(client, "tiny")])
    files = [
        file
        for name in ("data/normalized", "data/augmented", "models", "reports", "exports")
        for file in (finished / name).rglob("*")
        if file.is_file()
    ]
    assert len(files) > 20
    for file in files:
        content = file.read_bytes()
        assert run.info.run_id.encode() not in content, file
        assert bytes(finished) + b"/" not in content, file


@pytest.mark.difference("Matplotlib's and Pillow's metadata", "left out of the pictures")
def test_pictures_say_nothing_of_time_and_version(finished: Path) -> None:
    pictures = sorted(finished.glob("reports/**/*.png")) + sorted(finished.glob("data/**/*.png"))
    assert len(pictures) > 3
    for file in pictures:
        with Image.open(file) as picture:
            assert not set(picture.info) & {"Software", "Creation Time", "date:create"}, file


def test_the_report_shows_what_the_model_does_not_know(finished: Path) -> None:
    folder = finished / "reports" / "tiny"
    unknown = pd.read_csv(folder / "unknown.csv")
    assert unknown["kind"].tolist() == ["test split", "noise"]
    assert unknown["images"].tolist() == [9, 8]
    assert unknown["auroc"][1] > 0.9
    report = (folder / "report.html").read_text("utf-8")
    assert "<h2>Not knowing</h2>" in report
    assert "<td>noise</td>" in report
    assert "accepted at 0.97" in report


def test_an_unknown_kind_of_pictures_is_refused(
    run_stage: Callable[..., tuple[int, str, str]],
) -> None:
    status, error, _ = run_stage("evaluate", "pipeline=tiny", "unknown=[noises]")
    assert status == 1
    assert "must be one of noise | colours" in error
