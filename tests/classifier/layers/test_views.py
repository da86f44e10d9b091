"""Test-time augmentation: the mean of a network's predictions for each view, saved or not."""

from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf

from classifier.layers.views import Views, averaged, network_of, views
from classifier.saved.saving import load_model, save_model
from conftest import build_model


@pytest.fixture(scope="module")
def images() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (3, 28, 28, 3), np.uint8)


@pytest.fixture(scope="module")
def trained(images: np.ndarray, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A network after one training step, with the state of its optimizer."""
    network = build_model("residual", filters=[8, 16])
    network.compile("adam", "categorical_crossentropy")
    network.fit(images, keras.utils.to_categorical([0, 1, 2], 5), verbose=0)
    path = tmp_path_factory.mktemp("trained") / "network.keras"
    save_model(network, path)
    return path


def views_by_numpy(images: np.ndarray, mirror: bool, shift: int, middle: float) -> list[np.ndarray]:
    results = [images]
    if shift:
        padded = np.pad(images, ((0, 0), (shift, shift), (shift, shift), (0, 0)), mode="reflect")
        for down, right in ((shift, 0), (-shift, 0), (0, shift), (0, -shift)):
            moved = np.roll(padded, (-down, -right), axis=(1, 2))
            results.append(moved[:, shift:-shift, shift:-shift])
    if middle < 1:
        top = round(28 * (1 - middle) / 2)
        part = images[:, top : 28 - top, top : 28 - top]
        results.append(np.floor(interpolated(interpolated(part, 1), 2) + 0.5).astype(np.uint8))
        assert np.abs(results[-1] - tf.image.resize(part, (28, 28))).max() <= 1.5
    return results + [view[:, :, ::-1] for view in results] if mirror else results


def interpolated(pixels: np.ndarray, axis: int) -> np.ndarray:
    """28 interpolated values along the axis, with weights rounded to multiples of 1/128."""
    size = pixels.shape[axis]
    positions = np.round(128 * ((np.arange(28) + 0.5) * size / 28 - 0.5)) / 128
    return np.apply_along_axis(lambda row: np.interp(positions, range(size), row), axis, pixels)


@pytest.mark.parametrize("shape", [(12, 20, 3), (20, 12, 1)])
def test_views_of_images_that_are_not_square(shape: tuple[int, int, int]) -> None:
    images = np.random.default_rng(0).integers(0, 256, (2, *shape), np.uint8)
    layer = views(shape, mirror=True, shift=3, middle=0.5)
    made = np.split(np.asarray(layer(images)), layer.count)
    assert {view.shape for view in made} == {images.shape}
    whole, up, down, left, right, middle, *mirrored = made
    np.testing.assert_array_equal(whole, images)
    np.testing.assert_array_equal(up[:, :-3], images[:, 3:])
    np.testing.assert_array_equal(down[:, 3:], images[:, :-3])
    np.testing.assert_array_equal(left[:, :, :-3], images[:, :, 3:])
    np.testing.assert_array_equal(right[:, :, 3:], images[:, :, :-3])
    height, width, _ = shape
    part = images[:, height // 4 : -height // 4, width // 4 : -width // 4]
    assert np.abs(middle - tf.image.resize(part, (height, width))).max() <= 1.5
    for view, flipped in zip(made[:6], mirrored, strict=True):
        np.testing.assert_array_equal(flipped, view[:, :, ::-1])
    with pytest.raises(ValueError, match="shift is 12: must be less than the 12 pixels"):
        views(shape, mirror=False, shift=12, middle=1.0)


@pytest.mark.parametrize(
    ("mirror", "shift", "middle"), [(True, 0, 1.0), (False, 2, 1.0), (True, 0, 0.8), (True, 3, 0.7)]
)
def test_the_prediction_is_the_mean_over_the_views(
    images: np.ndarray, trained: Path, tmp_path: Path, mirror: bool, shift: int, middle: float
) -> None:
    network = load_model(trained)
    layer = views((28, 28, 3), mirror=mirror, shift=shift, middle=middle)
    expected_views = views_by_numpy(images, mirror, shift, middle)
    np.testing.assert_array_equal(np.concatenate(expected_views), layer(images))
    assert layer.count == len(expected_views)

    model = averaged(network, layer)
    expected = np.mean([network(view, training=False) for view in expected_views], axis=0)
    np.testing.assert_allclose(model(images, training=False), expected, atol=1e-6)
    assert network_of(model) is network

    save_model(model, tmp_path / "model.keras")
    loaded = load_model(tmp_path / "model.keras")
    assert loaded.optimizer.iterations == 1
    np.testing.assert_allclose(loaded.predict(images, verbose=0), expected, atol=1e-6)
    assert [layer.name for layer in network_of(loaded).layers] == [
        layer.name for layer in network.layers
    ]


def test_in_training_there_is_one_view(images: np.ndarray) -> None:
    network = build_model("dense", units=[8], dropout=0.0)
    network.compile("adam", "categorical_crossentropy")
    model = averaged(network, Views(mirror=True, shift=1))
    alone = network(images, training=True)
    np.testing.assert_array_equal(model(images, training=True), alone)
    targets = keras.utils.to_categorical([0, 1, 2], 5)
    model.fit(images, targets, verbose=0)
    assert model.optimizer.iterations == 1


def test_the_network_of_a_network_without_views_is_itself() -> None:
    network = build_model("dense", units=[8])
    assert network_of(network) is network


def test_views_without_pixels_are_refused() -> None:
    with pytest.raises(ValueError, match="shift is 28: must be less than the 28 pixels"):
        views((28, 28, 3), mirror=False, shift=28, middle=1.0)
    with pytest.raises(ValueError, match=r"middle is 0\.1: leaves nothing of 8 pixels"):
        views((8, 8, 3), mirror=False, shift=0, middle=0.1)
