"""A table of several labels an image, from the photos to the answers: all stages, and refusals."""

import csv
import json
import runpy
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from classifier.apps.predictions import Labelled, classify
from classifier.apps.rows import csv_lines, table_line
from classifier.images.preprocessing import Preprocessing
from classifier.serve.api import LabelledAnswer, picture_answer
from classifier.serve.batches import Answer
from classifier.serving.loading import SavedClassifier, load_classifier, load_saved_model
from classifier.serving.outputs import as_answers
from classifier.support.errors import InputError
from conftest import CLASSES, ROOT, run_stages, write_project
from stages.suspects import list_suspects

DATASET = """\
name: tiny
format: folders
file: tiny.tar
task: multi_label
sources:
  - {{kind: folder, path: {photos}}}
"""


def write_halves(folder: Path, count: int = 60) -> Path:
    """Images of two colours, or of one, or of grey without a label, and their table."""
    folder.mkdir()
    rng, names = np.random.default_rng(0), sorted(CLASSES)
    with (folder / "labels.csv").open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["image", "labels"])
        for number in range(count):
            chosen = [] if number % 10 == 0 else rng.choice(names, 2).tolist()
            colours = [CLASSES[name] for name in chosen] or [(120, 120, 120)] * 2
            halves = [c + rng.integers(-30, 30, (20, 10, 3)) for c in np.array(colours)]
            pixels = np.concatenate(halves, axis=1).clip(0, 255).astype(np.uint8)
            Image.fromarray(pixels).save(folder / f"{number:03d}.png")
            rows.writerow([f"{number:03d}.png", ";".join(dict.fromkeys(chosen))])
    return folder


def with_labels(project: Path) -> Path:
    """The tiny project, of images with several labels."""
    photos = write_halves(project.parent / f"{project.name}-halves")
    (project / "conf" / "dataset" / "tiny.yaml").write_text(DATASET.format(photos=photos))
    params = (project / "params.yaml").read_text()
    changes = {
        "loss: crossentropy": "loss: binary_crossentropy",
        "epochs: 2": "epochs: 2\n      monitor: val_pr_auc",
        "mistakes: 4": "mistakes: 4, bootstrap: 50, corruption_images: 4",
        "runtimes: []": "runtimes: [litert], accept: 1.0",
    }
    for old, new in changes.items():
        params = params.replace(old, new)
    (project / "params.yaml").write_text(params)
    return project


@pytest.fixture(scope="module")
def labelled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny project whose stages have run; tests only read it."""
    folder = with_labels(write_project(tmp_path_factory.mktemp("labelled") / "project"))
    stages = ("download", "split", "normalize", "augment", "train", "evaluate", "export")
    run_stages(folder, *stages)
    return folder


@pytest.mark.slow
def test_the_report_and_the_metrics_are_of_several_labels(labelled: Path) -> None:
    metrics = json.loads((labelled / "reports/tiny/metrics.json").read_text())
    assert 0 <= metrics["accuracy"] <= metrics["mean_average_precision"] <= 1
    assert metrics["unlabelled"] >= 1
    report = (labelled / "reports/tiny/report.html").read_text()
    for words in ("mean average precision", "exact match", "Found, missed, false alarms"):
        assert words in report
    assert "(no label)" in (labelled / "data/overview/tiny/data.html").read_text()
    classes = pd.read_csv(labelled / "reports/tiny/classes.csv")
    thresholds = json.loads((labelled / "exports/tiny/assets/thresholds.json").read_text())
    assert list(thresholds) == classes["class"].tolist() == sorted(CLASSES)
    assert list(thresholds.values()) == pytest.approx(classes["threshold"].tolist(), rel=1e-5)
    history = pd.read_csv(labelled / "models/tiny/history.csv")
    assert history["kept"].to_numpy()[history["val_pr_auc"].to_numpy().argmax()] == 1


@pytest.mark.slow
def test_the_exported_forms_answer_as_evaluate_does(labelled: Path) -> None:
    predictions = pd.read_csv(
        labelled / "reports/tiny/predictions.csv", keep_default_na=False, index_col="id"
    )
    classifier, saved = (
        load(labelled / "exports/tiny") for load in (load_classifier, load_saved_model)
    )
    (version,) = (labelled / "mlartifacts").rglob("saved_model.pb")
    registered = load_classifier(version.parent)
    assert saved.thresholds is not None and saved.classes == classifier.classes
    photos = labelled.parent / "project-halves"
    files = [str(photos / name) for name in predictions.index]
    read = lambda file: Path(file).read_bytes()  # noqa: E731
    for model in (classifier, saved, registered):
        answers = [*classify(model, files, read, top=1, workers=1)]
        for answer, expected in zip(answers, predictions["predicted"], strict=True):
            assert isinstance(answer, Labelled)
            assert ";".join(sorted(name for name, _ in answer.labels)) == expected
    import tensorflow as tf

    signature = tf.saved_model.load(labelled / "exports/tiny").signatures["encoded"]
    outputs = signature(image_bytes=tf.constant([read(file) for file in files]))
    names = [text.decode().split("\n") for text in outputs["class_names"].numpy()]
    assert [";".join(filter(None, one)) for one in names] == predictions["predicted"].tolist()
    assert outputs["labels"].shape == (len(files), 3)


@pytest.mark.slow
def test_suspects_are_for_one_label(labelled: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(labelled)
    with pytest.raises(InputError, match="the images of tiny may have several labels"):
        list_suspects("tiny", "folds", 5)


def test_an_answer_without_a_label_is_a_row() -> None:
    none = Labelled("a.png", [], 1.0, True)
    assert table_line(none, {}) == "a.png   no label\n"
    assert csv_lines(none, {}) == "a.png,1,,,1.0000,true,\n"
    two = Labelled("a.png", [("x", 0.75), ("y", 0.5)], 1.0, True)
    assert table_line(two, {}) == "a.png   x 75.0 %   y 50.0 %\n"


def test_the_server_answers_with_all_labels_above_their_thresholds() -> None:
    preprocessing = Preprocessing(image_size=8, channels=3, fit="crop")
    thresholds = np.array([0.3, 0.9, 0.5], np.float32)
    model = SavedClassifier(
        (8, 8, 3),
        ["a", "b", "c"],
        lambda images: as_answers({"probabilities": np.zeros((len(images), 3), np.float32)}),
        preprocessing,
        thresholds=thresholds,
    )
    answer = Answer(np.array([0.4, 0.8, 0.6], np.float32), 1.0, True, 0.0, 0.0)
    reply = picture_answer(model, "x.jpg", answer, top=1)
    assert isinstance(reply, LabelledAnswer)
    assert [guess.name for guess in reply.labels] == ["c", "a"]
    assert [guess.name for guess in reply.top] == ["b"]
    alone = picture_answer(model._replace(thresholds=None), "x.jpg", answer, top=1)
    assert "labels" not in alone.model_dump()


Run = Callable[..., tuple[int, str, str]]


def test_what_is_for_one_label_is_refused(project: Path, run_stage: Run) -> None:
    with_labels(project)
    status, error, output = run_stage("download", "pipeline=tiny")
    assert status == 0, error
    assert "without any label: 6" in output + error
    for override, words in (
        ("folds=3", "folds is for one label an image"),
        ("rare_classes=drop", "rare_classes: drop is for one label an image"),
        ("corrections=conf/split.yaml", "corrections is for one label an image"),
    ):
        status, error, _ = run_stage("split", "pipeline=tiny", override)
        assert status == 1
        assert words in error.splitlines()[-1]


@pytest.mark.parametrize(
    ("key", "words"),
    [
        ("dataset.separator=|", "no row of the column 'labels' has the separator '|'"),
        ("+dataset.columns={label: tags}", "no column 'tags' for the label"),
        ("dataset.task=several", "must be one of single_label | multi_label"),
    ],
)
def test_a_table_that_does_not_fit_is_one_line(
    project: Path, run_stage: Run, key: str, words: str
) -> None:
    with_labels(project)
    status, error, _ = run_stage("download", "pipeline=tiny", key.removeprefix("+"))
    assert status == 1
    assert words in error.splitlines()[-1]
    assert not (project / "data/raw/tiny").exists()


def test_a_photo_is_in_one_mosaic() -> None:
    chosen = runpy.run_path(str(ROOT / "examples" / "mosaics.py"))["chosen"]
    names = np.repeat(["a", "b", "c"], [9, 20, 4])
    photos = pd.DataFrame({"id": np.arange(len(names)), "class": names})
    mosaics = chosen(photos, np.random.default_rng(1))
    assert [len(rows) for rows in mosaics] == [4] * 8
    assert pd.concat(mosaics)["id"].is_unique
    again = chosen(photos, np.random.default_rng(1))
    assert [rows["id"].tolist() for rows in again] == [rows["id"].tolist() for rows in mosaics]
