"""Transfer learning: what is kept, what is frozen, and what cannot be a base."""

from pathlib import Path

import keras
import numpy as np
import pytest

from classifier.errors import InputError
from classifier.fit_options import FitOptions
from classifier.freezing import frozen_layers, unfreeze
from classifier.models.transfer import transfer
from classifier.phases import plan
from classifier.saving import save_model
from conftest import build_model

IMAGES = np.random.default_rng(0).integers(0, 256, (8, 32, 32, 3), dtype=np.uint8)
TARGETS = keras.utils.to_categorical(np.arange(8) % 2, 2)
HEAD = {
    "units": [4],
    "activation": "relu",
    "normalization": "none",
    "dropout": 0.1,
    "weight_decay": 0.0,
}


def transferred(base: str, weights: str | None = None, shape: tuple = (32, 32, 3)) -> keras.Model:
    return transfer(shape, 2, None, base=base, weights=weights, **HEAD)


def step(model: keras.Model) -> None:
    model.compile(keras.optimizers.SGD(1.0), "categorical_crossentropy")
    model.fit(IMAGES, TARGETS, verbose=0)


@pytest.fixture
def base(tmp_path: Path) -> Path:
    model = build_model("convnet", 32)
    save_model(model, tmp_path / "base.keras")
    return tmp_path / "base.keras"


def weights_of(model: keras.Model, names: list[str]) -> dict[str, list[np.ndarray]]:
    return {name: model.get_layer(name).get_weights() for name in names}


def test_features_are_the_base_s_and_only_the_head_trains(base: Path) -> None:
    original = keras.saving.load_model(base)
    model = transferred(str(base))
    features = keras.Model(model.inputs, model.get_layer("features").output)
    expected = keras.Model(original.inputs, original.get_layer("features").output)
    names = [layer.name for layer in original.layers if layer.weights][:-1]
    before = weights_of(model, names)
    head = model.get_layer("probabilities").get_weights()
    step(model)
    np.testing.assert_array_equal(
        features.predict(IMAGES, verbose=0), expected.predict(IMAGES, verbose=0)
    )
    for name, values in weights_of(model, names).items():
        for old, new in zip(before[name], values, strict=True):
            np.testing.assert_array_equal(old, new)
    assert (head[0] != model.get_layer("probabilities").get_weights()[0]).any()


def test_unfrozen_layers_train_but_batch_normalization_keeps_its_statistics(base: Path) -> None:
    model = transferred(str(base))
    assert unfreeze(model, 2) == ["block3_convolution1", "block3_convolution2"]
    names = ["block2_convolution2", "block3_convolution2", "block3_convolution2_normalization"]
    before = weights_of(model, names)
    step(model)
    after = weights_of(model, names)
    changed = {
        name
        for name in names
        if any((old != new).any() for old, new in zip(before[name], after[name], strict=True))
    }
    assert changed == {"block3_convolution2"}


def test_an_application_by_name_with_local_weights(tmp_path: Path) -> None:
    keras.utils.set_random_seed(1)
    whole = keras.applications.MobileNetV2(
        include_top=False, weights=None, input_shape=(32, 32, 3), pooling="avg"
    )
    whole.save_weights(tmp_path / "base.weights.h5")
    keras.utils.set_random_seed(2)
    model = transferred("MobileNetV2", str(tmp_path / "base.weights.h5"))
    features = keras.Model(model.inputs, model.get_layer("features").output)
    scaled = keras.applications.mobilenet_v2.preprocess_input(IMAGES.astype(np.float32))
    np.testing.assert_allclose(
        features.predict(IMAGES, verbose=0), whole.predict(scaled, verbose=0), atol=1e-5
    )


def test_what_cannot_be_a_base(base: Path, tmp_path: Path) -> None:
    other = build_model("dense", 32)
    other.save_weights(tmp_path / "dense.weights.h5")
    wrong = str(tmp_path / "dense.weights.h5")
    with pytest.raises(ValueError, match=r"no pipeline .* did you mean 'MobileNetV2'"):
        transferred("MobilNetV2")
    with pytest.raises(ValueError, match="BGR pixels"):
        transferred("ResNet50")
    with pytest.raises(ValueError, match=r"set normalize.channels=3"):
        transferred("MobileNetV2", shape=(32, 32, 1))
    with pytest.raises(ValueError, match=r"set normalize.image_size=32, channels=3"):
        transferred(str(base), shape=(48, 48, 3))
    with pytest.raises(ValueError, match="does not exist"):
        transferred(str(tmp_path / "none.keras"))
    (tmp_path / "whole.h5").touch()
    with pytest.raises(InputError, match="legacy format for a whole model"):
        transferred(str(tmp_path / "whole.h5"))
    with pytest.raises(ValueError, match=r"dense.weights.h5 of base MobileNetV2 cannot be loaded"):
        transferred("MobileNetV2", wrong)


def test_weights_that_cannot_be_downloaded(monkeypatch: pytest.MonkeyPatch) -> None:
    address = "http://127.0.0.1:9/"  # nothing listens there
    module = keras.src.applications.mobilenet_v2
    monkeypatch.setattr(module, "BASE_WEIGHT_PATH", address)
    with pytest.raises(ValueError, match=r"cannot be had: give weights a .weights.h5 file"):
        transferred("MobileNetV2", "imagenet")


def test_fine_tuning_is_planned_for_what_is_frozen(base: Path) -> None:
    made: list[tuple[float, int]] = []

    def build(share: float, epochs: int) -> tuple[keras.optimizers.Optimizer, list]:
        made.append((share, epochs))
        return keras.optimizers.SGD(share), []

    options = FitOptions(5, fine_tune_epochs=3, fine_tune_layers=2, fine_tune_rate=0.25)
    first, second = plan(transferred(str(base)), options, build)
    assert made == [(1.0, 5), (0.25, 3)]
    assert (first.epochs, first.unfrozen) == (5, 0)
    assert (second.epochs, second.unfrozen) == (3, 2)
    assert len(plan(build_model("dense", 32), FitOptions(5), build)) == 1
    with pytest.raises(InputError, match="no layer of dense is frozen"):
        plan(build_model("dense", 32), options, build)
    assert frozen_layers(build_model("dense", 32)) == []
