"""Class activation maps and saliency show what the prediction of a network depends on."""

import keras
import numpy as np
import pytest

from classifier.layers.views import Views, averaged
from classifier.reporting.explanation import grad_cam, overlay, saliency
from conftest import build_model

IMAGES = np.random.default_rng(0).integers(0, 256, (3, 32, 32, 3), dtype=np.uint8)
LABELS = np.array([0, 4, 2])
WITH_MAPS = ["convnet", "lenet", "residual", "separable", "inception"]


@pytest.mark.parametrize("family", [*WITH_MAPS, "dense", "siamese_features"])
def test_maps_are_scaled_to_1(family: str) -> None:
    model = build_model(family, size=32)
    pixels = saliency(model, IMAGES, LABELS)
    assert (pixels.shape, pixels.dtype) == ((3, 32, 32), np.float32)
    np.testing.assert_allclose(pixels.max(axis=(1, 2)), 1)
    assert pixels.min() >= 0
    maps = grad_cam(model, IMAGES, LABELS)
    assert (maps is not None) == (family in WITH_MAPS)
    if maps is not None:
        assert maps.shape[0] == 3
        assert 6 <= maps.shape[1] <= 32
        assert maps.min() >= 0
        assert maps.max() <= 1


@pytest.mark.parametrize("family", WITH_MAPS)
def test_images_that_are_not_square(family: str) -> None:
    images = np.random.default_rng(0).integers(0, 256, (3, 32, 48, 3), dtype=np.uint8)
    model = build_model(family, size=(32, 48))
    maps = grad_cam(model, images, LABELS)
    assert maps is not None
    assert maps.shape[2] > maps.shape[1] >= 6
    for values in (maps, saliency(model, images, LABELS)):
        assert overlay(images, values).shape == (3, 32, 48, 3)


def test_saliency_is_0_where_the_pixels_have_no_effect() -> None:
    """The network takes only the left half of the image."""
    image = keras.Input((32, 32, 3), dtype="uint8")
    x = keras.layers.Rescaling(1 / 255, name="normalization")(image)
    x = keras.layers.Cropping2D(((0, 0), (0, 16)))(x)
    x = keras.layers.Conv2D(4, 3, padding="same", activation="relu", bias_initializer="ones")(x)
    x = keras.layers.GlobalAveragePooling2D()(x)
    model = keras.Model(image, keras.layers.Dense(5, activation="softmax")(x))
    pixels = saliency(model, IMAGES, LABELS)
    assert (pixels[:, :, 16:] == 0).all()
    assert (pixels[:, :, :16] > 0).any(axis=(1, 2)).all()


def test_grad_cam_takes_a_layer_that_lies_on_every_path() -> None:
    """The last maps are those of a branch that is zero: they say nothing about the class."""
    image = keras.Input((32, 32, 3), dtype="uint8")
    x = keras.layers.Rescaling(1 / 255, name="normalization")(image)
    x = keras.layers.Conv2D(4, 4, strides=4, activation="relu", name="shared")(x)
    branch = keras.layers.Conv2D(4, 2, kernel_initializer="zeros", name="branch")(x)
    pooled = [keras.layers.GlobalAveragePooling2D()(maps) for maps in (x, branch)]
    features = keras.layers.Concatenate()(pooled)
    model = keras.Model(image, keras.layers.Dense(5, activation="softmax")(features))
    assert model.layers.index(model.get_layer("branch")) > 2
    maps = grad_cam(model, IMAGES, LABELS)
    assert maps is not None
    assert maps.shape == (3, 8, 8)


def test_grad_cam_of_a_network_with_views_is_that_of_the_network() -> None:
    network = build_model("residual", size=32)
    model = averaged(network, Views(mirror=True))
    np.testing.assert_array_equal(
        grad_cam(model, IMAGES, LABELS), grad_cam(network, IMAGES, LABELS)
    )


def test_explanations_leave_the_model_as_it_was() -> None:
    model = build_model("convnet", size=32)
    before, probabilities = model.to_json(), model.predict(IMAGES, verbose=0)
    grad_cam(model, IMAGES, LABELS)
    saliency(model, IMAGES, LABELS)
    assert model.to_json() == before
    np.testing.assert_array_equal(model.predict(IMAGES, verbose=0), probabilities)


def test_grad_cam_is_1_at_the_place_of_the_class() -> None:
    """The only feature of the network is brightness, which raises the score of class 0."""
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
    maps = grad_cam(model, np.repeat(spot, 2, axis=0), np.array([0, 1]))
    np.testing.assert_array_equal(maps, [expected, np.zeros((8, 8))])


def test_an_overlay_shows_both_the_image_and_the_map() -> None:
    maps = np.zeros((3, 8, 8))
    dark = overlay(IMAGES, maps).astype(int)
    assert dark.shape == IMAGES.shape
    assert np.corrcoef(dark.mean(axis=-1).ravel(), IMAGES.mean(axis=-1).ravel())[0, 1] > 0.999
    maps[:, :4] = 1
    bright = overlay(IMAGES[..., :1], maps).astype(int)
    assert bright[:, :12].mean() > 2 * dark[:, :12].mean()
    grey = overlay(IMAGES[..., :1], np.zeros((3, 8, 8)))
    np.testing.assert_array_equal(bright[:, 24:], grey[:, 24:])
