"""Each model family on the real data of both pipelines: an epoch, saved in each form, reloaded."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import keras
import numpy as np
import pandas as pd
import pytest

from classifier.data.splits import read_split
from classifier.saving import load_model
from conftest import ROOT, stage
from stages.recipe import apply_recipe

PIPELINES = ["mnist", "flowers"]
FAMILIES = sorted(path.stem for path in (ROOT / "conf" / "model").glob("*.yaml"))


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The default pipelines by the recipe of seconds, their data ready, a base trained."""
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
    assert np.ptp(expected, axis=0).max() > 0  # it looks at the image
    for other in (rebuilt, shared):
        np.testing.assert_array_equal(other.predict(images, verbose=0), expected)
