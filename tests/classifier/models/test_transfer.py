"""Transfer learning: kept features, frozen layers, and what cannot be a base."""

from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from classifier.models.transfer import transfer
from classifier.reporting.architecture import draw_architecture
from classifier.saved.saving import save_model
from classifier.support.errors import InputError
from classifier.training.freezing import frozen_layers, unfreeze
from classifier.training.phases import plan
from conftest import build_model, fit_options

IMAGES = np.random.default_rng(0).integers(0, 256, (8, 32, 32, 3), dtype=np.uint8)
TARGETS = keras.utils.to_categorical(np.arange(8) % 2, 2)
HEAD: dict[str, Any] = {
    "units": [4],
    "activation": "relu",
    "normalization": "none",
    "dropout": 0.1,
    "weight_decay": 0.0,
}


def transferred(base: str, shape: tuple[int, int, int] = (32, 32, 3)) -> keras.Model:
    return transfer(shape, 2, keras.layers.Identity(), base=base, **HEAD)


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


@pytest.fixture
def backbone(tmp_path: Path) -> Path:
    """A backbone that halves the image three times."""
    image = keras.Input((None, None, 3), dtype="uint8", name="image")
    x = keras.layers.Rescaling(1 / 255, name="normalization")(image)
    for number in range(3):
        convolution = keras.layers.Conv2D(
            4, 3, strides=2, padding="same", name=f"block{number}_convolution"
        )
        x = convolution(x)
    save_model(keras.Model(image, x), tmp_path / "backbone.keras")
    return tmp_path / "backbone.keras"


def test_a_backbone_takes_images_of_any_size(backbone: Path) -> None:
    original = keras.saving.load_model(backbone)
    for height, width in ((16, 16), (32, 32), (16, 32), (32, 16)):
        model = transferred(str(backbone), (height, width, 3))
        features = keras.Model(model.inputs, model.get_layer("features").output)
        images = IMAGES[:, :height, :width]
        np.testing.assert_allclose(
            features.predict(images, verbose=0),
            original.predict(images, verbose=0).mean(axis=(1, 2)),
            rtol=1e-5,
        )
        assert frozen_layers(model) == [
            model.get_layer(f"block{number}_convolution") for number in range(3)
        ]


def test_a_backbone_may_add_tensors_without_a_layer(tmp_path: Path) -> None:
    """As MobileNetV3 and ConvNeXt of keras.applications do."""
    image = keras.Input((None, None, 3), dtype="uint8", name="image")
    pixels = keras.layers.Rescaling(1 / 255)(image)
    maps = pixels + keras.layers.Conv2D(3, 3, padding="same")(pixels)
    original = keras.Model(image, keras.layers.Conv2D(4, 3, strides=4)(maps))
    original.save(tmp_path / "backbone.keras")
    model = transferred(str(tmp_path / "backbone.keras"), (32, 32, 3))
    features = keras.Model(model.inputs, model.get_layer("features").output)
    np.testing.assert_allclose(
        features.predict(IMAGES, verbose=0),
        original.predict(IMAGES, verbose=0).mean(axis=(1, 2)),
        rtol=1e-4,
        atol=1e-6,
    )
    draw_architecture(model, tmp_path / "architecture.png", title="transfer")
    assert (tmp_path / "architecture.png").stat().st_size > 1000


@pytest.mark.fault("grey or very small images for a backbone", "one line that says what to set")
@pytest.mark.parametrize(
    ("shape", "message"),
    [
        ((32, 32, 1), r"takes colour images: set normalize\.channels=3, which makes three equal"),
        ((8, 8, 3), r"images of 8 x 8 x 3 are too small .* feature maps of 1 x 1"),
        ((32, 8, 3), r"images of 32 x 8 x 3 are too small .* feature maps of 4 x 1"),
    ],
)
def test_images_that_a_backbone_cannot_take(
    backbone: Path, shape: tuple[int, int, int], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        transferred(str(backbone), shape)


def test_what_cannot_be_a_base(base: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"set normalize.image_size=32, channels=3"):
        transferred(str(base), (48, 48, 3))
    with pytest.raises(ValueError, match=r"takes images of 32 x 32 x 3, not of 32 x 48 x 3"):
        transferred(str(base), (32, 48, 3))
    with pytest.raises(ValueError, match="does not exist"):
        transferred(str(tmp_path / "none.keras"))
    (tmp_path / "whole.h5").touch()
    with pytest.raises(InputError, match="legacy format for a whole model"):
        transferred(str(tmp_path / "whole.h5"))


def test_fine_tuning_is_planned_for_what_is_frozen(base: Path) -> None:
    calls: list[tuple[float, int]] = []

    def build(share: float, epochs: int) -> tuple[keras.optimizers.Optimizer, list]:
        calls.append((share, epochs))
        return keras.optimizers.SGD(share), []

    options = fit_options(epochs=5, fine_tune_epochs=3, fine_tune_layers=2, fine_tune_rate=0.25)
    first, second = plan(transferred(str(base)), options, build)
    assert calls == [(1.0, 5), (0.25, 3)]
    assert (first.epochs, first.unfrozen, first.on_features) == (5, 0, True)
    assert (second.epochs, second.unfrozen, second.on_features) == (3, 2, False)
    assert len(plan(build_model("dense", 32), fit_options(epochs=5), build)) == 1
    with pytest.raises(InputError, match="no layer of dense is frozen"):
        plan(build_model("dense", 32), options, build)
    assert frozen_layers(build_model("dense", 32)) == []
