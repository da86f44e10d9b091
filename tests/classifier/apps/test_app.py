"""The web page's predictions for drawings and photos, by registered models."""

import sys
from pathlib import Path

import numpy as np
import pytest

from classifier.apps import app
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
    probabilities, explanation, _ = answer
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
    assert "tiny" in labels
    assert "Drop or photograph one" in labels
    assert "Draw one" not in labels  # tiny's images have colours


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
