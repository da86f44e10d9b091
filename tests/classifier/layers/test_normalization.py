"""The normalization layers compute what they define, and can be saved and loaded."""

from pathlib import Path

import keras
import numpy as np
import pytest

from classifier.layers.normalization import LocalContrastNormalization, normalization_layer
from classifier.saved.saving import load_model

IMAGES = np.random.default_rng(0).integers(0, 256, (3, 12, 12, 2), dtype=np.uint8)
STATISTICS = {"mean": [100.0, 120.0], "standard_deviation": [50.0, 0.0], "window": 5}


def apply(method: str) -> np.ndarray:
    layer = normalization_layer({"method": method, **STATISTICS})
    return layer(keras.ops.cast(IMAGES, "float32")).numpy()


def local_contrast(images: np.ndarray) -> np.ndarray:
    """The output in training, where the usual deviation is that of the batch."""
    layer = normalization_layer({"method": "local_contrast", **STATISTICS})
    return layer(keras.ops.cast(images, "float32"), training=True).numpy()


def test_rescale() -> None:
    np.testing.assert_allclose(apply("rescale"), IMAGES / 255, rtol=1e-6)


def test_standardize_only_centres_a_constant_channel() -> None:
    expected = (IMAGES - np.array([100.0, 120.0])) / np.array([50.0, 1.0])
    np.testing.assert_allclose(apply("standardize"), expected, atol=1e-4)


def test_per_image() -> None:
    images = apply("per_image")
    np.testing.assert_allclose(images.mean(axis=(1, 2, 3)), 0, atol=1e-5)
    np.testing.assert_allclose(images.std(axis=(1, 2, 3)), 1, atol=1e-5)


def test_local_contrast_is_the_definition() -> None:
    outputs = local_contrast(IMAGES)
    scaled = IMAGES / 255

    def mean(values: np.ndarray, row: int, column: int) -> np.ndarray:
        top, left = max(row - 2, 0), max(column - 2, 0)
        return values[:, top : row + 3, left : column + 3].mean(axis=(1, 2, 3))

    centred = np.zeros_like(scaled)
    deviation = np.zeros(scaled.shape[:3])
    for row in range(12):
        for column in range(12):
            centred[:, row, column] = scaled[:, row, column] - mean(scaled, row, column)[:, None]
    for row in range(12):
        for column in range(12):
            deviation[:, row, column] = np.sqrt(mean(centred**2, row, column) + 1e-6)
    expected = centred / np.maximum(deviation, deviation.mean() + 1e-3)[..., None]
    np.testing.assert_allclose(outputs, expected, atol=1e-4)


def test_local_contrast_ignores_brightness_and_contrast() -> None:
    images = np.clip(IMAGES.astype(np.float32), 20, 200)
    np.testing.assert_allclose(local_contrast(images), local_contrast(images * 0.5 + 60), atol=0.05)


def test_local_contrast_builds_its_weights_in_the_first_call_and_trains_them() -> None:
    layer = LocalContrastNormalization(5)
    assert layer.weights == []
    images = keras.ops.cast(IMAGES, "float32")
    outputs = [layer(images, training=True).numpy() for _ in range(60)]
    assert [weight.name for weight in layer.trainable_weights] == ["gain", "bias"]
    assert [weight.name for weight in layer.non_trainable_weights] == ["usual_deviation"]
    # The moving average has reached the mean of the batch: both modes give the same.
    np.testing.assert_allclose(layer(images), outputs[-1], atol=0.01)
    layer.gain.assign([2.0, 1.0])
    layer.bias.assign([0.0, 3.0])
    expected = outputs[-1] * np.array([2.0, 1.0]) + np.array([0.0, 3.0])
    np.testing.assert_allclose(layer(images, training=True), expected, atol=1e-5)


def test_local_contrast_of_an_image_does_not_depend_on_the_others() -> None:
    layer = LocalContrastNormalization(5)
    images = keras.ops.cast(IMAGES, "float32")
    layer(images, training=True)
    np.testing.assert_array_equal(layer(images)[:1], layer(images[:1]))


@pytest.mark.parametrize("dtype", ["float32", "float64", "mixed_bfloat16"])
def test_the_dtypes_and_the_config_of_local_contrast(dtype: str) -> None:
    layer = LocalContrastNormalization(3, epsilon=0.01, momentum=0.8, dtype=dtype)
    outputs = layer(IMAGES, training=True)
    assert keras.backend.standardize_dtype(outputs.dtype) == layer.compute_dtype
    assert {weight.dtype for weight in layer.weights} == {layer.variable_dtype}
    copied = keras.layers.deserialize(keras.layers.serialize(layer))
    assert (copied.window, copied.epsilon, copied.momentum) == (3, 0.01, 0.8)
    assert copied.dtype_policy.name == layer.dtype_policy.name


def test_local_contrast_passes_a_mask_on() -> None:
    images = keras.ops.cast(IMAGES, "float32")
    mask = keras.ops.ones(IMAGES.shape[:1], "bool")
    assert LocalContrastNormalization(3).compute_mask(images, mask) is mask


@pytest.mark.parametrize("method", ["rescale", "standardize", "per_image", "local_contrast"])
def test_saved_and_loaded(tmp_path: Path, method: str) -> None:
    inputs = keras.Input((12, 12, 2), dtype="uint8")
    layer = normalization_layer({"method": method, **STATISTICS})
    model = keras.Model(inputs, layer(inputs))
    model.save(tmp_path / "model.keras")
    loaded = load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(
        loaded.predict(IMAGES, verbose=0), model.predict(IMAGES, verbose=0)
    )


def test_unknown_method() -> None:
    with pytest.raises(ValueError, match="unknown normalization method 'none'"):
        apply("none")


def test_a_frozen_layer_keeps_its_usual_deviation() -> None:
    layer = normalization_layer({"method": "local_contrast", **STATISTICS})
    layer(keras.ops.cast(IMAGES, "float32"), training=True)
    layer.trainable = False
    before = layer.usual_deviation.numpy()
    changed = layer(keras.ops.cast(IMAGES // 2, "float32"), training=True)
    assert layer.usual_deviation.numpy() == before
    np.testing.assert_array_equal(changed, layer(keras.ops.cast(IMAGES // 2, "float32")))
