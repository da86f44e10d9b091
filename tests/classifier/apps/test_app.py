"""The web page's predictions for drawings and photos, by registered models."""

import json
import sys
from importlib import import_module
from pathlib import Path
from types import SimpleNamespace

import gradio as gr
import numpy as np
import pytest
from PIL import Image

from classifier import tracking
from classifier.apps import app
from classifier.apps.wrong_labels import add_tab, found_suspects
from classifier.images.pixels import ImageError
from conftest import CLASSES, png

TINY = "models:/tiny@candidate"


@pytest.fixture(autouse=True)
def embedded_store(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)  # MLflow sets it in earlier tests


@pytest.mark.parametrize("name", list(CLASSES))
def test_probabilities_and_their_explanation(finished: Path, name: str) -> None:
    answer = app.answer(finished, TINY, png(CLASSES[name], seed=1, size=90))
    assert answer is not None
    probabilities, explanation, *_ = answer
    assert list(probabilities) == sorted(CLASSES)
    assert sum(probabilities.values()) == pytest.approx(1, abs=1e-5)
    assert explanation is not None
    assert (explanation.shape, explanation.dtype) == ((app.OVERLAY, app.OVERLAY, 3), np.uint8)


def test_an_empty_drawing_has_no_prediction(finished: Path) -> None:
    assert app.answer(finished, TINY, np.zeros((50, 50, 4), np.uint8)) is None


def test_an_image_that_cannot_be_read(finished: Path) -> None:
    with pytest.raises(ImageError, match="it is not a JPEG, PNG"):
        app.answer(finished, TINY, b"text")


def test_a_page_has_every_registered_model(finished: Path) -> None:
    page = app.build_page(finished)
    labels = [block.label for block in page.blocks.values() if hasattr(block, "label")]
    texts = [block.value for block in page.blocks.values() if isinstance(block, gr.Markdown)]
    assert "# Image classifiers" in texts[0]
    assert "**Knows 3 classes:** blue, green, red." in texts[1]
    assert "right on" in texts[1] and "test images" in texts[1]
    (examples,) = [block for block in page.blocks.values() if isinstance(block, gr.Dataset)]
    assert len(examples.raw_samples) == 3
    assert "tiny" in labels
    assert "Drop or photograph one" in labels
    assert "Draw one" not in labels  # tiny's images have colours


def test_a_tab_for_labels_that_may_be_wrong(tmp_path: Path) -> None:
    folder = tmp_path / "data" / "suspects" / "tiny"
    folder.mkdir(parents=True)
    about = {"pipeline": "tiny", "classes": ["a", "b"], "corrections": "c.csv"}
    (folder / "about.json").write_text(json.dumps(about))
    (folder / "suspects.csv").write_text(
        "id,class,probability_of_class,suggested,probability,decision,picture\n"
        "a/1,a,0.1,b,0.9,,0000.png\n"
    )
    Image.new("RGB", (8, 8)).save(folder / "0000.png")
    with gr.Blocks() as page:
        add_tab(found_suspects(tmp_path)[0])
    labels = {getattr(block, "label", None) for block in page.blocks.values()}
    values = {getattr(block, "value", None) for block in page.blocks.values() if block}
    assert {"tiny: labels", "Its class"} <= labels
    assert {"Keep", "Relabel", "Drop"} <= {value for value in values if isinstance(value, str)}
    decided = {event.fn.__name__: event.fn for event in page.fns.values() if event.fn}
    number, picture, text, suggested = decided["decide"](0, "b")
    assert (number, picture.size, suggested) == (0, (8, 8), "b")
    assert "Decision: **now b**" in text
    assert (tmp_path / "c.csv").read_text() == "id,class\na/1,b\n"


def test_there_are_no_models_yet(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["classifier.apps.app"])
    with pytest.raises(SystemExit) as end:
        app.main()
    assert end.value.code == 1
    line = capsys.readouterr().err.splitlines()[-1]
    assert line.startswith("app: no model: ")
    assert line.endswith("run 'dvc repro' first")
    assert list(tmp_path.iterdir()) == []


def test_many_classes_are_named_in_part(monkeypatch: pytest.MonkeyPatch) -> None:
    classes = [f"class {number}" for number in range(1000)]
    monkeypatch.setattr(app, "load", lambda *_: (SimpleNamespace(classes=classes), None))
    text = app.about(Path(), tracking.Version("version 1", "models:/m/1", "How good."))
    assert text.startswith("**Knows 1,000 classes:** class 0, class 1, ")
    assert text.endswith("class 11 and 988 more.\n\nHow good.")


def test_what_a_field_shows(tmp_path: Path) -> None:
    photo = tmp_path / "photo.png"
    photo.write_bytes(b"content")
    assert app.content_of(str(photo)) == b"content"
    assert app.content_of(None) is None
    paper = np.zeros((2, 2, 4), np.uint8)
    assert app.content_of({"background": paper, "layers": [], "composite": None}) is paper
    assert app.content_of({"background": None, "layers": [], "composite": paper}) is paper


@pytest.mark.fault("the page without its packages", "one line names the command that installs them")
def test_the_page_without_gradio(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "gradio", None)
    monkeypatch.delitem(sys.modules, "classifier.apps.app")
    with pytest.raises(SystemExit) as end:
        import_module("classifier.apps.app")
    assert end.value.code == "app: the package gradio is missing: make setup WITH=app"
