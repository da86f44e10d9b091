"""classifier.predict: any picture in, the most probable classes out, and what cannot be read."""

import csv
import io
import json
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from classifier import predict
from classifier.errors import InputError
from conftest import CLASSES, png


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    folder = tmp_path / "pictures"
    (folder / "deep").mkdir(parents=True)
    for name, colour in CLASSES.items():
        (folder / f"{name}.png").write_bytes(png(colour, seed=5, size=50))
    Image.open(folder / "red.png").convert("P").save(folder / "deep" / "palette.gif")
    (folder / "notes.txt").write_text("no picture")
    return folder


def run(
    monkeypatch: pytest.MonkeyPatch,
    project: Path,
    *words: str,
    stdin: bytes = b"",
    server: str = "",
) -> int:
    monkeypatch.chdir(project)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", server)
    monkeypatch.setattr(sys, "argv", ["classifier.predict", *map(str, words)])
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin)))
    with pytest.raises(SystemExit) as end:
        predict.main()
    return int(end.value.code or 0)


@pytest.mark.parametrize(
    "model", ["tiny", "models:/tiny@candidate", "models:/tiny/1", "exports/tiny"]
)
def test_every_way_to_name_a_model(
    finished: Path,
    pictures: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    model: str,
) -> None:
    assert run(monkeypatch, finished, model, pictures, "--format", "csv", "--top", "2") == 0
    rows = list(csv.DictReader(io.StringIO(capsys.readouterr().out)))
    files = [pictures / name for name in ("blue.png", "deep/palette.gif", "green.png", "red.png")]
    assert [row["file"] for row in rows] == [str(file) for file in files for _ in range(2)]
    assert [row["rank"] for row in rows] == ["1", "2"] * 4
    assert {row["class"] for row in rows} <= set(CLASSES)
    first, second = (np.array([float(row["probability"]) for row in rows[at::2]]) for at in (0, 1))
    assert (first >= second).all()
    assert (first > 1 / 3).all()


def test_json_and_standard_input(
    finished: Path,
    pictures: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    content = (pictures / "red.png").read_bytes()
    words = ("exports/tiny", "-", pictures / "red.png", "--format", "json")
    assert run(monkeypatch, finished, *words, stdin=content) == 0
    piped, named = json.loads(capsys.readouterr().out)
    assert piped["file"] == "-"
    assert piped["top"] == named["top"]
    assert sum(found["probability"] for found in named["top"]) == pytest.approx(1, abs=1e-5)


def test_a_file_named_twice_is_answered_twice(
    finished: Path,
    pictures: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    red = pictures / "red.png"
    assert run(monkeypatch, finished, "exports/tiny", red, red) == 0
    first, second = capsys.readouterr().out.splitlines()
    assert first == second


def test_unreadable_ones_come_last_and_the_rest_is_done(
    finished: Path,
    pictures: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (pictures / "text.jpg").write_text("no picture")
    (pictures / "empty.png").touch()
    whole = (pictures / "green.png").read_bytes()
    (pictures / "cut.png").write_bytes(whole[: len(whole) // 2])
    header = bytearray(whole)
    header[16:24] = (50_000).to_bytes(4, "big") * 2  # a picture of 50,000 x 50,000 pixels
    (pictures / "huge.png").write_bytes(header)
    Image.fromarray(np.full((9, 9), 40_000, np.uint16)).save(pictures / "deep" / "16bit.png")
    status = run(monkeypatch, finished, "exports/tiny", pictures / "*.*", pictures / "deep")
    captured = capsys.readouterr()
    assert status == 1
    done = [Path(line.split("   ")[0]).name for line in captured.out.splitlines()]
    assert done == ["blue.png", "green.png", "red.png", "16bit.png", "palette.gif"]
    lines = [line for line in captured.err.splitlines() if line.startswith("predict: ")]
    named = [Path(line.split(" ")[1]).name for line in lines]
    assert named == ["cut.png", "empty.png", "huge.png", "notes.txt", "text.jpg"]
    assert all(" cannot be read: " in line for line in lines)
    assert "Traceback" not in captured.err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["tine", "x.png"], "no model 'tine': "),
        (["models:/tiny@best", "x.png"], "no model 'models:/tiny@best': "),
        (["conf", "x.png"], "conf is no SavedModel"),
        (["exports/tiny", "conf"], "no picture in conf"),
    ],
)
def test_what_is_not_there_is_named(
    finished: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    words: list[str],
    message: str,
) -> None:
    assert run(monkeypatch, finished, *words) == 1
    line = capsys.readouterr().err.splitlines()[-1]
    assert line.startswith(f"predict: {message}")


def test_nothing_was_trained_yet(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch, tmp_path, "mnist", "x.png") == 1
    assert "has no MLflow store; run 'dvc repro' first" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_is_no_model_of_this_project(tmp_path: Path) -> None:
    import tensorflow as tf

    from classifier.serving import load_classifier

    module = tf.Module()
    tf.saved_model.save(module, tmp_path / "other")
    with pytest.raises(InputError, match="was not exported by this project"):
        load_classifier(tmp_path / "other")


def test_a_folder_of_several_models_is_refused(tmp_path: Path) -> None:
    from classifier.serving import load_classifier

    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "model.tflite").touch()
    with pytest.raises(InputError, match=r"holds several models: say which, .*one for one"):
        load_classifier(tmp_path)


@pytest.mark.fault("MLflow server down for `classify`", "one line")
def test_a_server_that_is_down_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "x.png").touch()
    assert run(monkeypatch, tmp_path, "mnist", "x.png", server="http://127.0.0.1:9") == 1
    assert capsys.readouterr().err.splitlines()[-1] == (
        "predict: the MLflow server http://127.0.0.1:9 cannot be used (connection refused)"
    )


def test_a_checkout_that_was_moved_is_named(
    finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from classifier.tracking.store import open_store

    monkeypatch.setenv("MLFLOW_TRACKING_URI", "")  # MLflow sets it, and this takes that back
    shutil.copy(finished / "mlflow.db", tmp_path)
    (tmp_path / ".dvc" / "tmp").mkdir(parents=True)
    with pytest.raises(InputError, match=r"has its artifacts at .*: move the checkout back"):
        open_store(tmp_path, "tiny")
