"""Saved models are the same bytes for the same model."""

import sys
import time
import zipfile
from pathlib import Path

import keras
import numpy as np
import pytest

from classifier.errors import InputError
from classifier.saving import (
    fingerprint,
    load_architecture,
    load_model,
    save_architecture,
    save_forms,
    save_model,
    save_weights,
)
from conftest import build_model, command


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


def test_the_forms_are_saved_again_after_a_break(tmp_path: Path) -> None:
    """A process killed after saving them, before its folder is in place, saves them anew."""
    model = build()
    model.save(tmp_path / "best.keras")
    contents = []
    for name in ("broken", "again"):
        (tmp_path / name).mkdir()
        assert fingerprint(save_forms(model, tmp_path / "best.keras", tmp_path / name))
        contents.append({file.name: file.read_bytes() for file in (tmp_path / name).iterdir()})
    assert contents[0] == contents[1]
    forms = {"model.keras", "last.keras", "architecture.json", "model.weights.h5"}
    assert set(contents[0]) == forms


def test_architecture_and_weights_make_the_model_in_another_process(tmp_path: Path) -> None:
    model = build_model("convnet")
    save_architecture(model, tmp_path / "architecture.json")
    save_weights(model, tmp_path / "model.weights.h5")
    code = (
        "from pathlib import Path; from classifier.saving import load_architecture, save_weights;"
        "model = load_architecture(Path('architecture.json'));"
        "model.load_weights('model.weights.h5'); save_weights(model, Path('again.weights.h5'))"
    )
    command(sys.executable, "-c", code, cwd=tmp_path)
    fresh = load_architecture(tmp_path / "architecture.json")
    save_architecture(fresh, tmp_path / "again.json")
    assert (tmp_path / "again.json").read_bytes() == (tmp_path / "architecture.json").read_bytes()
    assert not np.array_equal(fresh.layers[-1].kernel, model.layers[-1].kernel)
    fresh.load_weights(tmp_path / "again.weights.h5")
    for one, other in zip(fresh.get_weights(), model.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)
