"""Class activation maps and saliency point at what makes a network answer."""

import numpy as np
import pytest

from classifier.explanation import grad_cam, overlay, saliency
from conftest import build_model

IMAGES = np.random.default_rng(0).integers(0, 256, (3, 32, 32, 3), dtype=np.uint8)
LABELS = np.array([0, 4, 2])
WITH_MAPS = ["convnet", "lenet", "residual", "separable", "inception"]


@pytest.mark.parametrize("family", [*WITH_MAPS, "dense", "siamese_features"])
def test_maps_are_shares_of_the_largest(family: str) -> None:
    model = build_model(family, size=32)
    found = saliency(model, IMAGES, LABELS)
    assert (found.shape, found.dtype) == ((3, 32, 32), np.float32)
    np.testing.assert_allclose(found.max(axis=(1, 2)), 1)
    assert found.min() >= 0
    maps = grad_cam(model, IMAGES, LABELS)
    assert (maps is not None) == (family in WITH_MAPS)
    if maps is not None:
        assert maps.shape[0] == 3
        assert 6 <= maps.shape[1] <= 32
        assert maps.min() >= 0
        assert maps.max() <= 1


def test_what_is_far_from_every_pixel_that_counts_stays_dark() -> None:
    """A network that sees the picture's left half alone."""
    import keras

    image = keras.Input((32, 32, 3), dtype="uint8")
    x = keras.layers.Rescaling(1 / 255, name="normalization")(image)
    x = keras.layers.Cropping2D(((0, 0), (0, 16)))(x)
    x = keras.layers.Conv2D(4, 3, padding="same", activation="relu", bias_initializer="ones")(x)
    x = keras.layers.GlobalAveragePooling2D()(x)
    model = keras.Model(image, keras.layers.Dense(5, activation="softmax")(x))
    found = saliency(model, IMAGES, LABELS)
    assert (found[:, :, 16:] == 0).all()
    assert (found[:, :, :16] > 0).any(axis=(1, 2)).all()


def test_grad_cam_lights_up_the_place_of_the_class() -> None:
    """A network whose only feature is brightness, which speaks for class 0."""
    import keras

    image = keras.Input((32, 32, 3), dtype="uint8")
    x = keras.layers.Rescaling(1 / 255, name="normalization")(image)
    x = keras.layers.Conv2D(1, 4, strides=4, kernel_initializer="ones", activation="relu")(x)
    x = keras.layers.GlobalAveragePooling2D()(x)
    head = keras.layers.Dense(2, activation="softmax")
    model = keras.Model(image, head(x))
    head.set_weights([np.array([[1.0, -1.0]]), np.zeros(2)])
    spot = np.zeros((1, 32, 32, 3), np.uint8)
    spot[0, 8:12, 20:24] = 255
    expected = np.zeros((8, 8))
    expected[2, 5] = 1
    np.testing.assert_array_equal(grad_cam(model, spot, np.array([0]))[0], expected)
    np.testing.assert_array_equal(grad_cam(model, spot, np.array([1]))[0], np.zeros((8, 8)))


def test_overlay_shows_the_image_below_and_the_map_above() -> None:
    maps = np.zeros((3, 8, 8))
    dark = overlay(IMAGES, maps).astype(int)
    assert dark.shape == IMAGES.shape
    assert np.corrcoef(dark.mean(axis=-1).ravel(), IMAGES.mean(axis=-1).ravel())[0, 1] > 0.999
    maps[:, :4] = 1
    lit = overlay(IMAGES[..., :1], maps).astype(int)
    assert lit[:, :12].mean() > 2 * dark[:, :12].mean()
    grey = overlay(IMAGES[..., :1], np.zeros((3, 8, 8)))
    np.testing.assert_array_equal(lit[:, 24:], grey[:, 24:])
