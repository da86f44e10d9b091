"""drift: new pictures beside the test split of a tiny pipeline, whose model needs no TensorFlow."""

import json
import logging
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from mlflow.tracking import MlflowClient
from PIL import Image

import forkserver
from classifier.apps.find_images import read_encoded
from classifier.images.preprocessing import PREPROCESSING, Preprocessing
from classifier.serve.exported import digest, load
from classifier.serving.loading import SavedClassifier, load_classifier
from classifier.serving.outputs import Answers
from conftest import CLASSES, COMMANDS, TINY_SECTION, experiment_id, write_exported
from stages import drift

PAGE = Path("reports/tiny/drift.html")
NAMES = sorted(CLASSES)


def pixels(seed: int, light: float = 1.0) -> np.ndarray:
    """A picture of one of CLASSES, with more or less light and noise, uint8 (16, 16, 3)."""
    generator = np.random.default_rng(seed)
    colour = np.array(CLASSES[NAMES[seed % 3]]) * generator.uniform(0.8, 1.2)
    noise = generator.normal(0, generator.uniform(5, 25), (16, 16, 3))
    return np.clip(light * (colour + noise), 0, 255).astype(np.uint8)


def write_pictures(folder: str, count: int, light: float = 1.0) -> None:
    Path(folder).mkdir()
    for seed in range(count):
        Image.fromarray(pixels(1000 + seed, light)).save(f"{folder}/{seed:03d}.png")


def with_score(folder: Path) -> SavedClassifier:
    """The exported model, with a score: how far the brightness is from the usual one."""
    classifier = load_classifier(folder)

    def answer(images: np.ndarray) -> Answers:
        score = np.abs(images.mean(axis=(1, 2, 3)) - 95).astype(np.float32) / 10
        return Answers(classifier.predict(images), score, score < 3)

    return classifier._replace(answer=answer)


@pytest.fixture
def exported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """What the command reads of a project with 60 test images, and the working directory."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(drift, "load_classifier", with_score)
    monkeypatch.setattr(drift, "log_to_mlflow", lambda *_: None)
    section = TINY_SECTION.format(name="tiny", dataset="tiny", photos="photos")
    Path("params.yaml").write_text(f"pipelines:\n{section}")
    write_exported(Path("exports/tiny"))
    normalized, overview = Path("data/normalized/tiny"), Path("data/overview/tiny")
    for folder in (normalized, overview, Path(".dvc/tmp")):
        folder.mkdir(parents=True)
    np.save(normalized / "test.npy", np.stack([pixels(seed) for seed in range(60)]))
    np.save(normalized / "test_labels.npy", np.arange(60, dtype=np.uint8) % 3)
    (normalized / "classes.txt").write_text("".join(f"{name}\n" for name in NAMES))
    Preprocessing(image_size=16, channels=3, fit="crop").write(normalized / PREPROCESSING)
    ids = [f"{seed:02d}.png" for seed in range(61)]
    splits = ["train"] + ["test"] * 60
    index = pd.DataFrame({"id": ids, "class": "red", "label": 0, "sha256": ids, "split": splits})
    index.to_csv(normalized / "index.csv", index=False)
    index.assign(width=16, height=16).to_csv(overview / "images.csv", index=False)
    return tmp_path


def run(monkeypatch: pytest.MonkeyPatch, *words: str) -> tuple[int, str]:
    """The exit status, and the line of an error."""
    monkeypatch.setattr(sys, "argv", ["stages.drift", *words])
    with pytest.raises(SystemExit) as end:
        drift.main()
    if isinstance(end.value.code, str):
        return 1, end.value.code
    return int(end.value.code or 0), ""


def test_pictures_like_those_of_the_test_split(
    exported: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    write_pictures("holiday", 50)
    Path("holiday/notes.txt").write_text("no picture")
    Path("holiday/broken.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    assert run(monkeypatch, "tiny", "holiday") == (0, "")
    printed = capsys.readouterr().out
    assert "50 new pictures, 60 of the test split" in printed
    assert "1 of 51 images cannot be read (holiday/broken.png: " in printed
    assert "tiny: skipped files in folders: 1" in printed
    assert "tiny: no drift found; reports/tiny/drift.html shows it" in printed
    assert [line.split()[0] for line in printed.splitlines() if "alike" in line] == [
        *("class", "probability", "score", "accepted", "size", "aspect"),
        *("brightness", "contrast", "sharpness", "colourfulness"),
    ]
    page = PAGE.read_text("utf-8")
    assert "No drift found." in page
    assert page.count("data:image/jpeg") == 2 * drift.UNLIKE
    assert "http" not in page  # nothing from elsewhere


def test_dark_pictures(
    exported: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    write_pictures("night", 40, light=0.4)
    assert run(monkeypatch, "tiny", "night", "--output", "there/night.html") == (2, "")
    printed = capsys.readouterr().out
    assert "tiny: drift in probability, score, accepted, " in printed
    assert "another camera, light" in Path("there/night.html").read_text("utf-8")
    assert not PAGE.exists()
    left_out = ["--without", "size", "--without", "brightness"]
    assert run(monkeypatch, "tiny", "night", "--effect", "0.99", *left_out)[0] == 2
    printed = capsys.readouterr().out
    assert "left out, as asked: size, brightness" in printed
    assert "\n   brightness" not in printed


def test_few_pictures_are_said_to_be_few(
    exported: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    write_pictures("few", 8)
    assert run(monkeypatch, "tiny", "few") == (0, "")
    assert "8 new pictures can hardly show an effect below 0." in capsys.readouterr().out
    assert run(monkeypatch, "tiny", "few/000.png") == (0, "")
    assert "1 new pictures can hardly show any drift" in capsys.readouterr().out


def test_pictures_of_the_dataset_are_said_to_be_known(
    exported: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    write_pictures("holiday", 20)
    known = pd.DataFrame({"id": "a", "class": "red", "sha256": "", "split": "train"}, [0])
    rows = drift.observe_files(
        with_score(Path("exports/tiny")), ["holiday/000.png"], read_encoded, []
    )
    known["sha256"] = rows["sha256"]
    Path("data/split").mkdir()
    known.to_csv("data/split/tiny.csv", index=False)
    run(monkeypatch, "tiny", "holiday")
    assert "1 of the new pictures are in the dataset itself: 1 in train" in capsys.readouterr().out


def test_a_model_without_a_score(
    exported: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(drift, "load_classifier", load_classifier)
    write_pictures("holiday", 30)
    assert run(monkeypatch, "tiny", "holiday") == (0, "")
    assert "not compared, as it is not known of both: score, accepted" in capsys.readouterr().out
    assert "The lowest probabilities first" in PAGE.read_text("utf-8")


def line(seed: int, **changes: object) -> str:
    answers = with_score(Path("exports/tiny")).answer(pixels(seed)[None])
    entry = {
        "model": "tiny",
        "version": digest(Path("exports/tiny")),
        "file": f"{seed}.png",
        "class": NAMES[int(answers.probabilities[0].argmax())],
        "probability": float(answers.probabilities[0].max()),
        "score": float(answers.score[0]),
        "accepted": bool(answers.accepted[0]),
    }
    return json.dumps(entry | changes) + "\n"


def test_pictures_in_a_bucket(
    exported: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    write_pictures("holiday", 30)
    assert run(monkeypatch, "tiny", f"file://{Path('holiday').absolute()}/") == (0, "")
    assert "30 new pictures, 60 of the test split" in capsys.readouterr().out


def test_the_log_of_the_server(
    exported: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert load("tiny", Path("exports/tiny")).version == digest(Path("exports/tiny"))
    earlier = line(1, version="abcdefabcdef")
    lines = [earlier, *(line(seed) for seed in range(2000, 2040)), '{"time":\n']
    Path("answers.jsonl").write_text("".join(lines))
    assert run(monkeypatch, "tiny", "answers.jsonl") == (0, "")
    printed = capsys.readouterr().out
    assert "1 lines that cannot be read are passed over" in printed
    assert "1 answers of other versions than the latest, " in printed
    assert "40 new pictures, 60 of the test split" in printed
    assert "not known of both: size, aspect, brightness, contrast, sharpness" in printed
    assert "A log has no pictures" in PAGE.read_text("utf-8")
    refused = [line(seed, score=9.0, accepted=False) for seed in range(2000, 2040)]
    Path("answers.jsonl").write_text("".join(refused))
    assert run(monkeypatch, "tiny", "answers.jsonl") == (2, "")
    assert "drift in score, accepted" in capsys.readouterr().out
    Path("answers.jsonl").write_text(earlier)
    status, error = run(monkeypatch, "tiny", "answers.jsonl")
    assert status == 1
    assert "the latest answers are of version abcdefabcdef of tiny, but exports/tiny has" in error


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["tine", "x"], "no pipeline 'tine' in params.yaml: did you mean 'tiny'?"),
        (["tiny", "empty"], "no images in empty"),
        (["tiny", "broken.png"], "1 of 1 images cannot be read (broken.png: "),
        (["tiny", "broken.png", "a.jsonl"], "give pictures or tables of answers, not both"),
        (["tiny", "missing.jsonl"], "missing.jsonl cannot be read: No such file"),
        (["tiny", "a.jsonl"], "no answers of tiny in a.jsonl: 1 lines that cannot be read"),
    ],
)
def test_bad_input_is_one_line(
    exported: Path, monkeypatch: pytest.MonkeyPatch, words: list[str], message: str
) -> None:
    Path("empty").mkdir()
    Path("broken.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    Path("a.jsonl").write_text("what?\n")
    status, error = run(monkeypatch, *words)
    assert status == 1
    assert error.startswith("drift: ")
    assert message in error
    assert "\n" not in error
    assert not PAGE.exists()


def test_what_is_not_exported_or_does_not_fit(
    exported: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_pictures("holiday", 2)
    Preprocessing(image_size=16, channels=3, fit="pad").write(
        Path("data/normalized/tiny") / PREPROCESSING
    )
    assert (
        "takes other images than data/normalized/tiny has" in run(monkeypatch, "tiny", "holiday")[1]
    )
    Path("exports/tiny").rename("exports/other")
    status, error = run(monkeypatch, "tiny", "holiday")
    assert (status, error) == (
        1,
        "drift: exports/tiny is missing: make it with 'dvc repro export@tiny'",
    )


@pytest.mark.parametrize("words", [["tiny"], ["tiny", "x", "--alpha", "2"], ["tiny", "x", "--no"]])
def test_a_wrong_command_line_is_no_drift(
    words: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch, *words)[0] == 1
    assert capsys.readouterr().err.startswith("drift: ")


TABLE = pd.DataFrame(
    {"measure": ["class"], "effect": [0.5], "corrected": [0.001], "verdict": ["drifted"]}
)


def test_mlflow_gets_the_comparison(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    forkserver.prepare_mlflow(COMMANDS / "mlflow.db")
    Path(".dvc/tmp").mkdir(parents=True)
    Path("drift.html").write_text("the page")
    drift.log_to_mlflow("tiny", ["holiday"], TABLE, 30, Path("drift.html"))
    client = MlflowClient(f"sqlite:///{tmp_path}/mlflow.db")
    (run,) = client.search_runs([experiment_id(client, "tiny")])
    assert (run.info.run_name, run.info.status) == ("drift", "FINISHED")
    assert run.data.metrics["drift.effect.class"] == 0.5
    assert run.data.metrics["drift.pictures"] == 30
    assert run.data.tags["drift"] == "class"
    assert run.data.tags["drift.of"] == "holiday"
    artifacts = client.list_artifacts(run.info.run_id, "drift")
    assert [each.path for each in artifacts] == ["drift/drift.html"]


def test_mlflow_that_cannot_be_reached(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:1")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    Path(".dvc/tmp").mkdir(parents=True)
    Path("drift.html").write_text("the page")
    with caplog.at_level(logging.WARNING):
        drift.log_to_mlflow("tiny", ["holiday"], TABLE, 30, Path("drift.html"))
    assert "the MLflow server http://127.0.0.1:1 cannot be used (connection refused)" in caplog.text
    (kept,) = Path(".dvc/tmp/postponed").glob("*.jsonl")
    assert '"drift.drifted": 1.0' in kept.read_text()
    assert [file.read_text() for file in Path(".dvc/tmp/postponed").rglob("*.html")] == ["the page"]
