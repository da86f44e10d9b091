"""Saved models are the same bytes for the same model."""

import time
import zipfile
from pathlib import Path

import keras
import numpy as np
import pytest

from classifier.errors import InputError
from classifier.saving import fingerprint, load_model, save_model


def build() -> keras.Model:
    keras.utils.clear_session()
    keras.utils.set_random_seed(1)
    inputs = keras.Input((4,), name="inputs")
    shared = keras.layers.Dense(4, name="shared")
    model = keras.Model(inputs, keras.layers.Add(name="add")([shared(inputs), shared(inputs)]))
    model.compile("adam", "mse")
    model.fit(np.ones((8, 4)), np.ones((8, 4)), verbose=0)
    return model


def test_two_equal_models_give_equal_archives(tmp_path: Path) -> None:
    for name in ("first", "second"):
        save_model(build(), tmp_path / f"{name}.keras")
        time.sleep(2.1)  # zip times have a resolution of two seconds
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


def test_the_fingerprint_tells_weights_apart() -> None:
    model = build()
    before = fingerprint(model)
    model.get_layer("shared").bias.assign([1e-7, 0, 0, 0])
    assert fingerprint(model) != before


@pytest.mark.parametrize("name", ["model.h5", "model.hdf5"])
def test_a_whole_model_is_not_kept_as_hdf5(tmp_path: Path, name: str) -> None:
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    for action in (lambda: save_model(model, tmp_path / name), lambda: load_model(tmp_path / name)):
        with pytest.raises(InputError, match="legacy format for a whole model"):
            action()
    assert list(tmp_path.iterdir()) == []
