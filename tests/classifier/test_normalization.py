"""The first layer: what it computes, in numbers, and that it survives saving."""

from pathlib import Path

import keras
import numpy as np
import pytest

from classifier.normalization import normalization_layer
from classifier.saving import load_model

IMAGES = np.random.default_rng(0).integers(0, 256, (3, 12, 12, 2), dtype=np.uint8)
STATISTICS = {"mean": [100.0, 120.0], "standard_deviation": [50.0, 0.0], "window": 5}


def apply(method: str) -> np.ndarray:
    layer = normalization_layer({"method": method, **STATISTICS})
    return layer(keras.ops.cast(IMAGES, "float32")).numpy()


def test_rescale() -> None:
    np.testing.assert_allclose(apply("rescale"), IMAGES / 255, rtol=1e-6)


def test_standardize_leaves_a_constant_channel_centred() -> None:
    expected = (IMAGES - np.array([100.0, 120.0])) / np.array([50.0, 1.0])
    np.testing.assert_allclose(apply("standardize"), expected, atol=1e-4)


def test_per_image() -> None:
    found = apply("per_image")
    np.testing.assert_allclose(found.mean(axis=(1, 2, 3)), 0, atol=1e-5)
    np.testing.assert_allclose(found.std(axis=(1, 2, 3)), 1, atol=1e-5)


def test_local_contrast_is_the_definition_in_the_middle() -> None:
    found = apply("local_contrast")
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
            deviation[:, row, column] = np.sqrt(mean(centred**2, row, column))
    typical = deviation.mean(axis=(1, 2))[:, None, None] + 1e-3
    expected = centred / np.maximum(deviation, typical)[..., None]
    np.testing.assert_allclose(found, expected, atol=1e-4)


def test_local_contrast_ignores_brightness_and_contrast() -> None:
    layer = normalization_layer({"method": "local_contrast", **STATISTICS})
    images = np.clip(IMAGES.astype(np.float32), 20, 200)
    np.testing.assert_allclose(layer(images), layer(images * 0.5 + 60), atol=0.05)


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
