"""Both pipelines on few real images, end to end; each model family in each saved format."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import keras
import numpy as np
import pandas as pd
import pytest

from classifier.reporting.calibration import apply_temperature
from classifier.saved.saving import load_model
from classifier.serving.loading import load_classifier
from classifier.storage.splits import read_split
from conftest import ROOT, stage
from stages.recipe import apply_recipe

PIPELINES = ["mnist", "flowers"]
FAMILIES = sorted(path.stem for path in (ROOT / "conf" / "model").glob("*.yaml"))


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The default pipelines with the recipe `smoke`: prepared data, and a trained base each."""
    folder = tmp_path_factory.mktemp("families") / "project"
    shutil.copytree(ROOT / "conf", folder / "conf")
    shutil.copy(ROOT / "params.yaml", folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        apply_recipe("smoke", PIPELINES)
        for pipeline in PIPELINES:
            if (ROOT / "data" / "raw" / pipeline / "source.json").exists():
                shutil.copytree(ROOT / "data" / "raw" / pipeline, folder / "data/raw" / pipeline)
            else:
                stage("download", f"pipeline={pipeline}")
            for name in ("split", "normalize", "augment"):
                stage(name, f"pipeline={pipeline}")
            stage("train", f"pipeline={pipeline}")
            shutil.copy(folder / "models" / pipeline / "model.keras", folder / f"{pipeline}.keras")
        yield folder


@pytest.mark.parametrize("pipeline", PIPELINES)
def test_seven_stages_on_few_real_images(
    checkout: Path, monkeypatch: pytest.MonkeyPatch, pipeline: str
) -> None:
    monkeypatch.chdir(checkout)
    for name in ("evaluate", "export"):
        stage(name, f"pipeline={pipeline}")
    metrics = json.loads(Path("reports", pipeline, "metrics.json").read_text("utf-8"))
    index = pd.read_csv(Path("data", "normalized", pipeline, "index.csv"))
    test = index[index["split"] == "test"]
    assert metrics["images"] == len(test)
    assert Path("reports", pipeline, "report.html").stat().st_size > 100_000
    exported = load_classifier(Path("exports", pipeline))
    images, _ = read_split(Path("data", "normalized", pipeline), "test")
    predictions = pd.read_csv(Path("reports", pipeline, "predictions.csv"))
    assert metrics["accuracy"] == predictions["correct"].mean()
    probabilities = exported.predict(np.asarray(images[:64]))
    expected = load_model(Path("models", pipeline, "model.keras")).predict(images[:64], verbose=0)
    temperature = metrics["calibration"]["temperature"]
    np.testing.assert_allclose(probabilities, apply_temperature(expected, temperature), atol=1e-4)
    columns = [f"p({name})" for name in exported.classes]
    # The table has three decimals.
    np.testing.assert_allclose(expected, predictions[columns].head(64), rtol=0, atol=5.1e-4)


@pytest.mark.slow
@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("pipeline", PIPELINES)
def test_an_epoch_and_every_form_of_saving(
    checkout: Path, monkeypatch: pytest.MonkeyPatch, pipeline: str, family: str
) -> None:
    monkeypatch.chdir(checkout)
    base = [f"model.base={pipeline}.keras"] if family == "transfer" else []
    stage("train", f"pipeline={pipeline}", f"model={family}", *base)
    folder = checkout / "models" / pipeline
    history = pd.read_csv(folder / "history.csv")
    assert len(history) == 1
    assert np.isfinite(history.to_numpy(dtype=float)).all()

    images = np.asarray(read_split(checkout / "data" / "normalized" / pipeline, "test")[0][:64])
    whole = load_model(folder / "model.keras")
    assert whole.name == family
    assert whole.optimizer.iterations > 0
    rebuilt = keras.models.model_from_json((folder / "architecture.json").read_text("utf-8"))
    rebuilt.load_weights(folder / "model.weights.h5")
    shared = keras.models.model_from_json((folder / "architecture.json").read_text("utf-8"))
    shared.set_weights(whole.get_weights())
    expected = whole.predict(images, verbose=0)
    assert np.ptp(expected, axis=0).max() > 0  # the output depends on the image
    for other in (rebuilt, shared):
        np.testing.assert_array_equal(other.predict(images, verbose=0), expected)


@pytest.mark.slow
def test_a_pretrained_network_on_few_real_photos(
    checkout: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(ROOT / "conf", tmp_path / "conf")
    shutil.copy(ROOT / "params.yaml", tmp_path)
    shutil.copytree(checkout / "data" / "raw" / "flowers", tmp_path / "data" / "raw" / "flowers")
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    apply_recipe("standard", ["flowers"])
    few = {
        "backbone": [],
        "split": ["train=100", "validation=50", "test=100"],
        "normalize": ["image_size=96"],
        "augment": [],
        "train": ["epochs=20", "fine_tune_epochs=1", "fine_tune_layers=4"],
        "evaluate": [],
        "export": [],
    }
    for name, options in few.items():
        stage(name, "pipeline=flowers", *options)
    metrics = json.loads(Path("reports", "flowers", "metrics.json").read_text("utf-8"))
    assert metrics["images"] == 100
    assert metrics["accuracy"] > 0.5  # of five classes, by 20 photos of each
    report = Path("reports", "flowers", "report.html").read_text("utf-8")
    assert "efficientnet_lite0, trained on ImageNet-1k" in report
    base = json.loads(Path("exports", "flowers", "base.json").read_text("utf-8"))
    assert base["license"] == "Apache-2.0"
    assert Path("exports", "flowers", "model.tflite").is_file()
