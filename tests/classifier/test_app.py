"""What the web page answers: for drawings and photos, of registered models."""

import sys
from pathlib import Path

import numpy as np
import pytest

from classifier import app
from classifier.data.images import ImageError
from conftest import CLASSES, command, png

TINY = "models:/tiny@candidate"


@pytest.fixture(autouse=True)
def embedded_store(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)  # MLflow's own, of an earlier test


@pytest.mark.parametrize("name", list(CLASSES))
def test_probabilities_and_what_spoke_for_them(finished: Path, name: str) -> None:
    probabilities, seen = app.answer(finished, TINY, png(CLASSES[name], seed=1, size=90))
    assert list(probabilities) == sorted(CLASSES)
    assert sum(probabilities.values()) == pytest.approx(1, abs=1e-5)
    assert (seen.shape, seen.dtype) == ((app.SHOWN, app.SHOWN, 3), np.uint8)


def test_a_drawing_of_nothing_has_no_answer(finished: Path) -> None:
    assert app.answer(finished, TINY, np.zeros((50, 50, 4), np.uint8)) is None


def test_a_bad_picture_is_named(finished: Path) -> None:
    with pytest.raises(ImageError, match="no picture of a format"):
        app.answer(finished, TINY, b"text")


def test_a_page_has_every_registered_model(finished: Path) -> None:
    page = app.build_page(finished)
    labels = [block.label for block in page.blocks.values() if hasattr(block, "label")]
    assert "tiny" in labels
    assert "Drop or photograph one" in labels
    assert "Draw one" not in labels  # tiny's images have colours


def test_nothing_was_trained_yet(tmp_path: Path) -> None:
    result = command(sys.executable, "-m", "classifier.app", cwd=tmp_path, check=False)
    assert result.returncode == 1
    assert result.stdout.splitlines()[-1].startswith("app: no model: ")
    assert result.stdout.splitlines()[-1].endswith("run 'dvc repro' first")
    assert list(tmp_path.iterdir()) == []
