"""backbone: the weights' verified file becomes a Keras model, which train begins with."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from classifier.saved.saving import load_model
from classifier.support.checksum import sha256_of

Run = Callable[..., tuple[int, str, str]]
OWN = """\
import keras
import numpy as np


def build(file, *, channels):
    image = keras.Input((None, None, 3), dtype="uint8", name="image")
    pixels = keras.layers.Rescaling(1 / 255, name="normalization")(image)
    layer = keras.layers.Conv2D(channels, 5, strides=4, padding="same", name="only")
    model = keras.Model(image, layer(pixels))
    layer.set_weights([np.full((5, 5, 3, channels), float(file.read_text())), np.zeros(channels)])
    return model
"""
YAML = """\
name: own
network: {{_target_: own_backbone.build, channels: 4}}
file: own.txt
sha256: {sha256}
license: CC0
trained_on: nothing
sources:
  - {{kind: folder, path: {path}}}
"""


@pytest.fixture
def weights(finished: Path, project: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file of weights, which the backbone 'own' of the project is built from."""
    shutil.copytree(finished / "data", project / "data")
    (project / "own_backbone.py").write_text(OWN)
    monkeypatch.syspath_prepend(project)
    file = project.parent / "weights.txt"
    file.write_text("0.5")
    text = YAML.format(sha256=sha256_of(file), path=file)
    (project / "conf" / "backbone" / "own.yaml").write_text(text)
    params = project / "params.yaml"
    lines = params.read_text().splitlines(keepends=True)
    params.write_text("".join(line for line in lines if not line.startswith("      model:")))
    return file


def test_the_file_becomes_a_model_with_a_card(run_stage: Run, weights: Path) -> None:
    assert run_stage("backbone", "pipeline=tiny", "backbone=own")[0] == 0
    folder = Path("data", "weights", "tiny")
    assert (load_model(folder / "backbone.keras").get_weights()[0] == 0.5).all()
    card = json.loads((folder / "card.json").read_text())
    assert (card["name"], card["license"], card["parameters"]) == ("own", "CC0", 304)
    first = sha256_of(folder / "backbone.keras")
    assert run_stage("backbone", "pipeline=tiny", "backbone=own")[0] == 0
    assert sha256_of(folder / "backbone.keras") == first


def test_train_begins_with_the_backbone_and_says_so(run_stage: Run, weights: Path) -> None:
    assert run_stage("backbone", "pipeline=tiny", "backbone=own")[0] == 0
    options = ["epochs=2", "fine_tune_epochs=1", "fine_tune_layers=1", "monitor=loss"]
    status, error, output = run_stage("train", "pipeline=tiny", "model=transfer", *options)
    assert status == 0, error
    assert "the head trains on 4 features of each image, computed once" in output
    assert len(pd.read_csv("models/tiny/history.csv")) == 3
    assert json.loads(Path("models/tiny/base.json").read_text())["license"] == "CC0"
    model = load_model(Path("models/tiny/last.keras"))
    assert not np.allclose(model.get_layer("only").get_weights()[0], 0.5)
    assert run_stage("evaluate", "pipeline=tiny")[0] == 0
    report = Path("reports/tiny/report.html").read_text("utf-8")
    assert "own" in report and "CC0" in report


def test_none_needs_no_source(run_stage: Run, weights: Path) -> None:
    assert run_stage("backbone", "pipeline=tiny")[0] == 0
    assert json.loads(Path("data/weights/tiny/card.json").read_text()) == {"name": None}
    status, error, _ = run_stage("train", "pipeline=tiny", "model=transfer")
    assert (status, error.count("\n")) == (1, 1)
    assert "set pipelines.tiny.backbone.groups.backbone to one of convnext, " in error
    assert "none" not in error


@pytest.mark.fault("no source of a backbone's weights", "one line each, never random weights")
@pytest.mark.parametrize(
    ("change", "expected"),
    [("missing", "does not exist"), ("another", "checksum of file is ")],
)
def test_weights_that_cannot_be_had(
    run_stage: Run, weights: Path, change: str, expected: str
) -> None:
    if change == "missing":
        weights.unlink()
    else:
        weights.write_text("0.25")
    status, error, _ = run_stage("backbone", "pipeline=tiny", "backbone=own")
    assert status == 1
    lines = error.splitlines()
    assert "no source of backbone 'own' can be used:" in lines[0]
    assert lines[1].startswith("  folder: ") and expected in lines[1]
    assert (
        "A network from scratch needs no weights: take the sections of conf/recipe/scratch.yaml"
        in lines[3]
    )
    assert list(Path("data/weights").iterdir()) == []
