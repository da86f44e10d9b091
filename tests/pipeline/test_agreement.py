"""Whatever answers with a model answers as evaluate does, for photos that are not square."""

import io
import json
import shutil
import sys
import zipfile
from pathlib import Path

import numpy as np
import onnxruntime
import pandas as pd
import pytest
from PIL import Image

from classifier.apps import app, classify
from classifier.images.preprocessing import PREPROCESSING, read_preprocessing
from classifier.serving.loading import load_saved_model
from classifier.serving.runtimes import RUNTIMES
from conftest import CLASSES, run_stages, write_project

pytestmark = pytest.mark.slow

STAGES = ("download", "split", "normalize", "augment", "train", "evaluate", "export")


def photo(colour: tuple[int, int, int], seed: int) -> bytes:
    """A photo that is wide or high, with another colour outside of its central square."""
    rng = np.random.default_rng(seed)
    pixels = rng.integers(0, 256, (30, 75, 3))
    pixels[:, 25:50] = np.clip(np.array(colour) + rng.integers(-30, 30, (30, 25, 3)), 0, 255)
    if seed % 2:
        pixels = pixels.transpose(1, 0, 2)
    content = io.BytesIO()
    Image.fromarray(pixels.astype(np.uint8)).save(content, "PNG")
    return content.getvalue()


@pytest.fixture(scope="module", params=["crop 16", "pad 16", "crop [12, 20]", "pad [20, 12]"])
def checkout(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Path:
    """A tiny project with ``fit`` and ``image_size`` of the parameter, after all seven stages, in
    every runtime."""
    fit, _, size = request.param.partition(" ")
    folder = write_project(tmp_path_factory.mktemp(fit) / "project")
    photos = folder.parent / "project-photos"
    for number, file in enumerate(sorted(photos.rglob("*.png"))):
        file.write_bytes(photo(CLASSES[file.parent.name], number))
    params = folder / "params.yaml"
    chosen = params.read_text().replace(
        "{image_size: 16, channels: 3}", f"{{image_size: {size}, channels: 3, fit: {fit}}}"
    )
    # predictions.csv has the probabilities as trained.
    runtimes = "runtimes: [onnx, litert, litert_int8], accuracy_loss: 1.0, calibrate: false"
    params.write_text(chosen.replace("runtimes: []", runtimes))
    run_stages(folder, *STAGES)
    return folder


@pytest.fixture
def expected(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> pd.DataFrame:
    """The probabilities by file and class that evaluate wrote for the test split."""
    monkeypatch.chdir(checkout)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "")
    table = pd.read_csv(checkout / "reports" / "tiny" / "predictions.csv").set_index("id")
    photos = checkout.parent / "project-photos"
    table.index = pd.Index([str(photos / name) for name in table.index])
    return table[[f"p({name})" for name in sorted(CLASSES)]].set_axis(sorted(CLASSES), axis=1)


def same(answers: dict[str, dict[str, float]], expected: pd.DataFrame) -> None:
    table = pd.DataFrame(answers).T[list(expected)].loc[expected.index]
    np.testing.assert_allclose(table, expected, atol=5.1e-4)  # predictions.csv has three decimals


@pytest.mark.parametrize("model", ["tiny", "exports/tiny"])
def test_classify_answers_as_evaluate_does(
    expected: pd.DataFrame,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    model: str,
) -> None:
    words = ["classify", model, *expected.index, "--format", "jsonl"]
    monkeypatch.setattr(sys, "argv", words)
    with pytest.raises(SystemExit) as end:
        classify.main()
    assert end.value.code == 0
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert len(rows) == len(expected) == 9
    answers = {
        row["file"]: {top["class"]: top["probability"] for top in row["top"]} for row in rows
    }
    same(answers, expected)


def test_the_page_answers_as_evaluate_does(expected: pd.DataFrame) -> None:
    answers: dict[str, dict[str, float]] = {}
    for file in expected.index:
        answer = app.answer(Path.cwd(), "models:/tiny@candidate", Path(file).read_bytes())
        assert answer is not None
        answers[file], explanation, *_ = answer
        height, width, _ = read_preprocessing(Path("exports/tiny/assets", PREPROCESSING)).shape
        assert explanation is not None
        assert max(explanation.shape) == app.OVERLAY
        assert abs(explanation.shape[0] / explanation.shape[1] - height / width) < 0.01
    same(answers, expected)


def test_images_are_drawn_in_their_shape(expected: pd.DataFrame) -> None:
    height, width, _ = read_preprocessing(Path("exports/tiny/assets", PREPROCESSING)).shape
    row = round(96 * height / max(height, width)) + 4
    preview = Image.open("data/augmented/tiny/preview.png")
    assert preview.size == (12 * 100 + 4, 26 + 5 * row)
    explanations = Image.open("reports/tiny/explanations.png")
    assert (explanations.height - 26) % (row + 30) == 0  # and two lines of text
    assert f"{height} x {width} x 3" in Path("reports/tiny/report.html").read_text("utf-8")


def texts_of(runtime: str, file: Path) -> dict[str, str]:
    """The texts in the metadata of an exported file, read as another program would."""
    if runtime == "onnx":
        session = onnxruntime.InferenceSession(str(file))
        return dict(session.get_modelmeta().custom_metadata_map)
    with zipfile.ZipFile(file) as archive:
        return {name: archive.read(name).decode() for name in archive.namelist()}


@pytest.mark.parametrize("runtime", ["saved_model", "onnx", "litert"])
def test_an_exported_file_alone_has_what_an_answer_needs(
    expected: pd.DataFrame, tmp_path: Path, runtime: str
) -> None:
    if runtime == "saved_model":
        exported = load_saved_model(Path("exports/tiny"))
        preprocessing, answer, classes = exported.preprocessing, exported.answer, exported.classes
    else:
        file = Path(shutil.copy(Path("exports/tiny", RUNTIMES[runtime].file), tmp_path))
        texts = texts_of(runtime, file)
        (tmp_path / PREPROCESSING).write_text(texts[PREPROCESSING])
        preprocessing = read_preprocessing(tmp_path / PREPROCESSING)
        answer, classes = RUNTIMES[runtime].load(file), texts["classes.txt"].splitlines()
    images = np.stack([preprocessing(Path(file).read_bytes()) for file in expected.index])
    rows = answer(images).probabilities.tolist()
    answers = [dict(zip(classes, row, strict=True)) for row in rows]
    same(dict(zip(expected.index, answers, strict=True)), expected)
