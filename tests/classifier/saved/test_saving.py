"""Saved models: the same bytes for the same model, and the same model when loaded."""

import time
import zipfile
from pathlib import Path

import keras
import numpy as np
import pytest

from classifier.saved.saving import (
    fingerprint,
    load_architecture,
    load_model,
    save_architecture,
    save_forms,
    save_model,
)
from classifier.support.errors import InputError
from conftest import PYTHON, build_model, command


def build() -> keras.Model:
    keras.utils.clear_session()
    keras.utils.set_random_seed(1)
    inputs = keras.Input((4,), name="inputs")
    shared = keras.layers.Dense(4, name="shared")
    model = keras.Model(inputs, keras.layers.Add(name="add")([shared(inputs), shared(inputs)]))
    model.compile("adam", "mse")
    model.fit(np.ones((8, 4)), np.ones((8, 4)), verbose=0)
    return model


@pytest.mark.difference(
    "`date_saved`, zip times and memory addresses in `.keras`", "made constant when saved"
)
def test_two_equal_models_give_equal_archives(tmp_path: Path) -> None:
    save_model(build(), tmp_path / "first.keras")
    time.sleep(2.1)  # zip times have a resolution of two seconds
    save_model(build(), tmp_path / "second.keras")
    first, second = ((tmp_path / f"{name}.keras").read_bytes() for name in ("first", "second"))
    assert first == second
    assert sorted(path.name for path in tmp_path.iterdir()) == ["first.keras", "second.keras"]


def test_the_archive_loads_with_its_optimizer(tmp_path: Path) -> None:
    model = build()
    save_model(model, tmp_path / "model.keras")
    loaded = load_model(tmp_path / "model.keras")
    inputs = np.random.default_rng(0).random((3, 4))
    np.testing.assert_array_equal(
        loaded.predict(inputs, verbose=0), model.predict(inputs, verbose=0)
    )
    assert loaded.optimizer.iterations.numpy() == 1
    assert fingerprint(loaded) == fingerprint(model)
    assert zipfile.ZipFile(tmp_path / "model.keras").testzip() is None


def test_the_fingerprint_depends_on_each_weight() -> None:
    model = build()
    before = fingerprint(model)
    model.get_layer("shared").bias.assign([1e-7, 0, 0, 0])
    assert fingerprint(model) != before


@pytest.mark.parametrize("name", ["model.h5", "model.hdf5"])
def test_a_whole_model_cannot_be_hdf5(tmp_path: Path, name: str) -> None:
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    for action in (lambda: save_model(model, tmp_path / name), lambda: load_model(tmp_path / name)):
        with pytest.raises(InputError, match="legacy format for a whole model"):
            action()
    assert list(tmp_path.iterdir()) == []


def test_the_forms_saved_again_after_an_interruption_are_the_same(tmp_path: Path) -> None:
    """A process may be killed after saving them, before its folder is renamed."""
    model = build()
    model.save(tmp_path / "best.keras")
    contents = []
    for name in ("interrupted", "again"):
        (tmp_path / name).mkdir()
        assert fingerprint(save_forms(model, tmp_path / "best.keras", tmp_path / name))
        contents.append({file.name: file.read_bytes() for file in (tmp_path / name).iterdir()})
    assert contents[0] == contents[1]
    forms = {"model.keras", "last.keras", "architecture.json", "model.weights.h5"}
    assert set(contents[0]) == forms


def test_architecture_and_weights_make_the_model_in_another_process(tmp_path: Path) -> None:
    model = build_model("convnet")
    save_architecture(model, tmp_path / "architecture.json")
    model.save_weights(tmp_path / "model.weights.h5")
    code = (
        "from pathlib import Path;"
        "from classifier.saved.saving import load_architecture;"
        "model = load_architecture(Path('architecture.json'));"
        "model.load_weights('model.weights.h5'); model.save_weights('again.weights.h5')"
    )
    command(PYTHON, "-c", code, cwd=tmp_path)
    fresh = load_architecture(tmp_path / "architecture.json")
    save_architecture(fresh, tmp_path / "again.json")
    assert (tmp_path / "again.json").read_bytes() == (tmp_path / "architecture.json").read_bytes()
    assert not np.array_equal(fresh.layers[-1].kernel, model.layers[-1].kernel)
    fresh.load_weights(tmp_path / "again.weights.h5")
    for loaded, saved in zip(fresh.get_weights(), model.get_weights(), strict=True):
        np.testing.assert_array_equal(loaded, saved)
