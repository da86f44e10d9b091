"""classify: the most probable classes of images, and a list of those that cannot be read."""

import csv
import io
import json
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from classifier.apps import classify
from classifier.support.errors import InputError
from conftest import CLASSES, png


@pytest.fixture
def images(tmp_path: Path) -> Path:
    folder = tmp_path / "images"
    (folder / "deep").mkdir(parents=True)
    for name, colour in CLASSES.items():
        (folder / f"{name}.png").write_bytes(png(colour, seed=5, size=50))
    Image.open(folder / "red.png").convert("P").save(folder / "deep" / "palette.gif")
    (folder / "notes.txt").write_text("not an image")
    return folder


def run(
    monkeypatch: pytest.MonkeyPatch,
    project: Path,
    *words: str | Path,
    stdin: bytes = b"",
    server: str = "",
) -> int:
    monkeypatch.chdir(project)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", server)
    monkeypatch.setattr(sys, "argv", ["classifier.apps.classify", *map(str, words)])
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin)))
    with pytest.raises(SystemExit) as end:
        classify.main()
    return int(end.value.code or 0)


@pytest.mark.parametrize(
    "model", ["tiny", "models:/tiny@candidate", "models:/tiny/1", "exports/tiny"]
)
def test_every_way_to_name_a_model(
    finished: Path,
    images: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    model: str,
) -> None:
    assert run(monkeypatch, finished, model, images, "--format", "csv", "--top", "2") == 0
    rows = list(csv.DictReader(io.StringIO(capsys.readouterr().out)))
    files = [images / name for name in ("blue.png", "deep/palette.gif", "green.png", "red.png")]
    assert [row["file"] for row in rows] == [str(file) for file in files for _ in range(2)]
    assert [row["rank"] for row in rows] == ["1", "2"] * 4
    assert {row["class"] for row in rows} <= set(CLASSES)
    first, second = (np.array([float(row["probability"]) for row in rows[at::2]]) for at in (0, 1))
    assert (first >= second).all()
    assert (first > 1 / 3).all()


def test_json_lines_and_standard_input(
    finished: Path,
    images: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    content = (images / "red.png").read_bytes()
    words = ("exports/tiny", "-", images / "red.png", "--format", "jsonl")
    assert run(monkeypatch, finished, *words, stdin=content) == 0
    piped, named = map(json.loads, capsys.readouterr().out.splitlines())
    assert piped["file"] == "-"
    assert piped["top"] == named["top"]
    assert sum(entry["probability"] for entry in named["top"]) == pytest.approx(1, abs=1e-5)
    assert named["model"] == {"folder": "exports/tiny", "drawn": False}


@pytest.mark.fault("a picture of none of the classes", "`classify` and the page say so")
@pytest.mark.parametrize("form", ["table", "csv", "jsonl"])
def test_a_picture_that_is_not_accepted_is_none_of_these(
    finished: Path,
    images: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    form: str,
) -> None:
    checkerboard = (np.indices((64, 64)).sum(axis=0) % 2 * 255).astype(np.uint8)
    Image.fromarray(checkerboard).save(images / "none.png")
    trained = finished.parent / "project-photos" / "red" / "000.png"
    pictures = [trained, images / "none.png"]
    assert run(monkeypatch, finished, "exports/tiny", *pictures, "--format", form) == 0
    output = capsys.readouterr().out
    if form == "table":
        answers = {Path(line.split("   ")[0]).stem: line for line in output.splitlines()}
        accepted = {name: "none of these" not in line for name, line in answers.items()}
        assert " %" in answers["none"]
    elif form == "csv":
        rows = csv.DictReader(io.StringIO(output))
        accepted = {Path(row["file"]).stem: row["accepted"] == "true" for row in rows}
    else:
        lines = [json.loads(line) for line in output.splitlines()]
        accepted = {Path(row["file"]).stem: row["accepted"] for row in lines}
        assert all(row["score"] > 0 for row in lines)
    assert accepted == {"000": True, "none": False}


@pytest.mark.parametrize("alias", ["champion", "candidate"])
def test_an_answer_names_its_version(
    finished: Path,
    images: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    alias: str,
) -> None:
    words = (f"models:/tiny@{alias}", images / "red.png", "--format", "jsonl")
    assert run(monkeypatch, finished, *words) == 0
    captured = capsys.readouterr()
    assert (
        captured.err.splitlines()[-1]
        == "classify: answers come from models:/tiny/1 (champion, candidate)"
    )
    red = json.loads(captured.out)
    assert red["model"] == {
        "uri": "models:/tiny/1",
        "name": "tiny",
        "version": 1,
        "aliases": ["champion", "candidate"],
        "drawn": False,
    }


def test_a_file_that_is_named_twice_has_two_lines(
    finished: Path,
    images: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    red = images / "red.png"
    assert run(monkeypatch, finished, "exports/tiny", red, red) == 0
    first, second = capsys.readouterr().out.splitlines()
    assert first == second


def test_unreadable_images_come_last_and_do_not_stop_the_others(
    finished: Path,
    images: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (images / "text.jpg").write_text("not an image")
    (images / "empty.png").touch()
    whole = (images / "green.png").read_bytes()
    (images / "cut.png").write_bytes(whole[: len(whole) // 2])
    header = bytearray(whole)
    header[16:24] = (50_000).to_bytes(4, "big") * 2  # an image of 50,000 x 50,000 pixels
    (images / "huge.png").write_bytes(header)
    Image.fromarray(np.full((9, 9), 40_000, np.uint16)).save(images / "deep" / "16bit.png")
    status = run(monkeypatch, finished, "exports/tiny", images / "*.*", images / "deep")
    captured = capsys.readouterr()
    assert status == 1
    done = [Path(line.split("   ")[0]).name for line in captured.out.splitlines()]
    assert done == ["blue.png", "green.png", "red.png", "16bit.png", "palette.gif"]
    lines = [line for line in captured.err.splitlines() if " cannot be read: " in line]
    named = [Path(line.split(" ")[1]).name for line in lines]
    assert named == ["cut.png", "empty.png", "huge.png", "notes.txt", "text.jpg"]
    assert all(line.startswith("classify: ") for line in lines)
    assert "Traceback" not in captured.err


@pytest.mark.fault(
    "hidden files and other files in a folder for `classify`", "skipped, with their number"
)
@pytest.mark.parametrize("pattern", ["", "*"])
def test_a_folder_s_hidden_and_other_files_are_skipped_and_counted(
    finished: Path,
    images: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    pattern: str,
) -> None:
    top = images.parent / "top"
    top.mkdir()
    images.rename(top / "images")
    for name in ("._red.png", ".DS_Store", ".thumbnails/red.png", "__MACOSX/._red.png"):
        (top / "images" / name).parent.mkdir(exist_ok=True)
        (top / "images" / name).write_bytes(b"data of Finder")
    (top / "images" / "folder.png").mkdir()
    assert run(monkeypatch, finished, "exports/tiny", top / pattern, "--format", "csv") == 0
    captured = capsys.readouterr()
    rows = list(csv.DictReader(io.StringIO(captured.out)))
    names = [Path(row["file"]).name for row in rows if row["rank"] == "1"]
    assert names == ["blue.png", "palette.gif", "green.png", "red.png"]
    lines = [line for line in captured.err.splitlines() if line.startswith("classify: ")]
    assert lines[0] == (
        "classify: skipped files in folders: 5 (hidden or without the suffix of an image)"
    )


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["tine", "x.png"], "no model 'tine': registered: tiny"),
        (
            ["models:/tiny@best", "x.png"],
            "no model 'models:/tiny@best': no best among its versions: name one of them, such as "
            "models:/tiny/1",
        ),
        (["models:/tiny/7", "x.png"], "no model 'models:/tiny/7': "),
        (["conf", "x.png"], "conf is not a SavedModel"),
        (["exports/tiny", "conf"], "no images in conf"),
    ],
)
def test_missing_models_and_images_are_named(
    finished: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    words: list[str],
    message: str,
) -> None:
    assert run(monkeypatch, finished, *words) == 1
    line = capsys.readouterr().err.splitlines()[-1]
    assert line.startswith(f"classify: {message}")


def test_there_are_no_models_yet(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch, tmp_path, "mnist", "x.png") == 1
    assert "has no MLflow store; run 'dvc repro' first" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_a_folder_with_another_project_s_model(tmp_path: Path) -> None:
    import tensorflow as tf

    from classifier.serving.loading import load_classifier

    module = tf.Module()
    tf.saved_model.save(module, tmp_path / "other")
    with pytest.raises(InputError, match="was not exported by this project"):
        load_classifier(tmp_path / "other")


def test_a_folder_of_several_models_is_refused(tmp_path: Path) -> None:
    from classifier.serving.loading import load_classifier

    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "model.tflite").touch()
    with pytest.raises(InputError, match=r"has several models: choose one, such as .*one"):
        load_classifier(tmp_path)


@pytest.fixture
def exported(finished: Path, tmp_path: Path) -> Path:
    """A copy of an exported model."""
    return shutil.copytree(finished / "exports" / "tiny", tmp_path / "exported")


@pytest.mark.fault(
    "an export from before preprocessing.json", "it answers as it did, and one line says so"
)
def test_an_export_without_preprocessing_crops_and_says_so(
    finished: Path,
    images: Path,
    exported: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    answers = []
    for lines in (0, 1):
        caplog.clear()
        assert run(monkeypatch, finished, exported, images, "--format", "csv") == 0
        answers.append(capsys.readouterr().out)
        messages = [message for message in caplog.messages if "cropped or padded" in message]
        assert len(messages) == lines
        (exported / "assets" / "preprocessing.json").unlink(missing_ok=True)
    assert answers[0] == answers[1]
    assert messages[0] == (
        f"{exported} does not say whether its training images were cropped or padded: images are "
        "cropped; export the model again to record it"
    )


@pytest.mark.fault("a damaged preprocessing.json", "one line")
@pytest.mark.parametrize(
    ("before", "after", "reason"),
    [
        ('"crop"', '"stretch"', r"fit Input should be 'crop' or 'pad'"),
        ('"lanczos"', '"nearest"', r"resampling Input should be 'lanczos'"),
        ('"fit"', '"fits"', r"fit Field required"),
        ("{", "", r"Invalid JSON: "),
    ],
)
def test_a_damaged_preprocessing_is_refused(
    exported: Path, before: str, after: str, reason: str
) -> None:
    from classifier.serving.loading import load_classifier

    file = exported / "assets" / "preprocessing.json"
    file.write_text(file.read_text().replace(before, after, 1))
    with pytest.raises(InputError, match=rf"preprocessing\.json cannot be used \({reason}"):
        load_classifier(exported)


@pytest.mark.fault("preprocessing.json of another model", "one line")
def test_preprocessing_of_another_model_is_refused(exported: Path) -> None:
    from classifier.serving.loading import load_classifier

    file = exported / "assets" / "preprocessing.json"
    file.write_text(file.read_text().replace("16", "32"))
    with pytest.raises(
        InputError, match=r"is of images \(32, 32, 3\), but the model takes \(16, 16, 3\)"
    ):
        load_classifier(exported)


@pytest.mark.parametrize(("fit", "lines"), [("crop", 0), ("pad", 1)])
def test_another_fit_than_the_model_s_is_said(
    finished: Path,
    images: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    fit: str,
    lines: int,
) -> None:
    assert run(monkeypatch, finished, "exports/tiny", images, "--fit", fit) == 0
    error = capsys.readouterr().err.splitlines()
    assert error.count("classify: --fit pad overrides the model's own, crop") == lines


@pytest.mark.fault("MLflow server down for `classify`", "one line")
def test_a_server_that_is_down_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    (tmp_path / "x.png").touch()
    assert run(monkeypatch, tmp_path, "mnist", "x.png", server="http://127.0.0.1:9") == 1
    assert capsys.readouterr().err.splitlines()[-1] == (
        "classify: the MLflow server http://127.0.0.1:9 cannot be used (connection refused)"
    )


def test_a_checkout_that_was_moved_is_named(
    finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from classifier.tracking.store import open_store

    monkeypatch.setenv("MLFLOW_TRACKING_URI", "")  # removed after the test: MLflow sets it
    shutil.copy(finished / "mlflow.db", tmp_path)
    (tmp_path / ".dvc" / "tmp").mkdir(parents=True)
    with pytest.raises(InputError, match=r"has its artifacts at .*: move the checkout back"):
        open_store(tmp_path, "tiny")
