"""Images of a batch are mixed, and their labels in the same shares."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from classifier.augmentation.mixing import mix

LAYERS = [keras.layers.MixUp(alpha=0.5), keras.layers.CutMix(factor=1.0)]
# Image n has the value 20 n everywhere, and label n: the pixels show the shares.
IMAGES = np.repeat(20 * np.arange(6, dtype=np.uint8), 16 * 16 * 3).reshape(6, 16, 16, 3)
TARGETS = np.eye(6, dtype=np.float32)


def mixed(layer: keras.layers.Layer, seed: int) -> tuple[np.ndarray, np.ndarray]:
    images, targets = mix(
        tf.constant(IMAGES), tf.constant(TARGETS), layer, tf.constant([seed, 1], tf.int32)
    )
    return images.numpy(), targets.numpy()


@pytest.mark.parametrize("layer", LAYERS, ids=lambda layer: layer.name)
def test_the_labels_are_those_of_the_two_images(layer: keras.layers.Layer) -> None:
    images, targets = mixed(layer, 3)
    assert (images.shape, images.dtype) == (IMAGES.shape, np.uint8)
    np.testing.assert_allclose(targets.sum(axis=1), 1, atol=1e-5)
    assert (targets.max(axis=1) < 1).any()
    assert ((targets > 0).sum(axis=1) <= 2).all()
    for number, image in enumerate(images):
        own, other = 20 * number, 20 * int(targets[number].argsort()[-1])
        other = other if other != own else 20 * int(targets[number].argsort()[-2])
        assert image.min() >= min(own, other)
        assert image.max() <= max(own, other)


def test_the_labels_of_mixup_have_the_shares_of_the_pixels() -> None:
    images, targets = mixed(keras.layers.MixUp(alpha=0.5), 3)
    expected = targets @ (20.0 * np.arange(6))
    np.testing.assert_allclose(images.mean(axis=(1, 2, 3)), expected, atol=0.6)


def test_cutmix_replaces_one_box() -> None:
    images, _ = mixed(keras.layers.CutMix(factor=1.0), 3)
    changed = 0
    for number, image in enumerate(images):
        rows, columns, _ = np.nonzero(image != 20 * number)
        if len(rows):
            changed += 1
            box = image[rows.min() : rows.max() + 1, columns.min() : columns.max() + 1]
            assert len(np.unique(box)) == 1
    assert changed > 0


@pytest.mark.parametrize("layer", LAYERS, ids=lambda layer: layer.name)
def test_the_result_depends_on_the_seed(layer: keras.layers.Layer) -> None:
    first, again, other = (mixed(layer, seed) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first[0], again[0])
    np.testing.assert_array_equal(first[1], again[1])
    assert (first[1] != other[1]).any()
