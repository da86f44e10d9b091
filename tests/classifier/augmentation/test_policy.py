"""A policy is a function of a seed, and can be written to JSON and read again."""

import inspect
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from hydra.utils import instantiate
from omegaconf import OmegaConf

from classifier.augmentation.color_jitter import ColorJitter
from classifier.augmentation.policy import (
    augment,
    augment_array,
    check_policy,
    from_config,
    to_config,
)
from classifier.augmentation.rand_augment import RandAugment
from classifier.augmentation.random_affine import RandomAffine
from classifier.augmentation.random_resized_crop import RandomResizedCrop
from classifier.support.errors import InputError
from conftest import ROOT

# Arguments with which each of Keras's random layers for images changes them.
RANDOM_LAYERS: dict[str, dict] = {
    "AlphaDropout": {"rate": 0.5},
    "Dropout": {"rate": 0.5},
    "GaussianDropout": {"rate": 0.5},
    "GaussianNoise": {"stddev": 0.5},
    "RandAugment": {},
    "RandomBrightness": {"factor": 0.3},
    "RandomColorDegeneration": {"factor": 0.5},
    "RandomColorJitter": {"brightness_factor": 0.3, "hue_factor": 0.2},
    "RandomContrast": {"factor": 0.5},
    "RandomElasticTransform": {"factor": 1.0, "scale": [0.5, 1.0]},
    "RandomErasing": {"factor": 1.0},
    "RandomFlip": {},
    "RandomGaussianBlur": {"factor": 1.0, "sigma": [0.5, 2.0]},
    "RandomGrayscale": {"factor": 0.5},
    "RandomHue": {"factor": 0.5},
    "RandomInvert": {"factor": 1.0},
    "RandomPerspective": {"factor": 1.0, "scale": 0.5},
    "RandomPosterization": {"factor": 4},
    "RandomRotation": {"factor": 0.2},
    "RandomSaturation": {"factor": 0.5},
    "RandomSharpness": {"factor": 0.5},
    "RandomShear": {"x_factor": 0.3, "y_factor": 0.3},
    "RandomTranslation": {"height_factor": 0.2, "width_factor": 0.2},
    "RandomZoom": {"height_factor": 0.2},
    "Solarization": {"threshold_factor": 0.8},
    "SpatialDropout2D": {"rate": 0.5},
}
# They take other inputs than images. MixUp and CutMix take labels too: see test_mixing.py.
OTHER_INPUTS = {
    *("Attention", "GroupQueryAttention", "MultiHeadAttention", "CutMix", "MixUp", "JaxLayer"),
    *("SpatialDropout1D", "SpatialDropout3D", "ConvLSTM1D", "ConvLSTM2D", "ConvLSTM3D"),
    *("GRU", "GRUCell", "LSTM", "LSTMCell", "SimpleRNN", "SimpleRNNCell"),
}
SLOW = {"RandAugment", "RandomElasticTransform"}
OWN_CHECKS = {"AugMix", "RandomCrop"}  # refused, and of another shape
IMAGES = np.random.default_rng(0).integers(0, 256, (6, 16, 16, 3), dtype=np.uint8)


def policy() -> list[keras.layers.Layer]:
    return [
        keras.layers.RandomFlip("horizontal", name="flip"),
        RandomResizedCrop(scale=(0.3, 0.9), name="crop"),
        RandomAffine(0.1, 0.1, 0.1, 0.1, name="affine"),
        ColorJitter(0.1, (0.8, 1.2), (0.5, 2), name="color"),
        keras.layers.RandomContrast(0.3, name="contrast"),
        keras.layers.RandAugment(num_ops=1, name="rand"),
        RandAugment(num_ops=1, name="rand_per_image"),
    ]


def test_the_same_seed_gives_the_same_images_with_layers_read_from_json() -> None:
    first = augment_array(IMAGES, policy(), (1, 2))
    again = augment_array(IMAGES, from_config(json.loads(json.dumps(to_config(policy())))), (1, 2))
    other = augment_array(IMAGES, policy(), (1, 3))
    assert (first.shape, first.dtype) == (IMAGES.shape, np.uint8)
    np.testing.assert_array_equal(first, again)
    assert (first != other).any()


@pytest.mark.parametrize(
    "layer",
    [
        RandomAffine(rotation=0.15),
        RandomAffine(zoom=0.3),
        RandomAffine(shear=0.4),
        keras.layers.RandomRotation(0.15),
        keras.layers.RandomZoom((-0.3, -0.1)),
    ],
    ids=lambda layer: layer.name,
)
@pytest.mark.parametrize("size", [(24, 48), (48, 24)])
def test_images_that_are_not_square_are_not_distorted(
    layer: keras.layers.Layer, size: tuple[int, int]
) -> None:
    """The middle of a rectangle changes as that of the square around it does."""
    rows = np.arange(60)
    waves = [127 + 127 * np.sin(rows / step) for step in (3, 5, 7)]
    square = np.stack([np.add.outer(wave, wave[::-1]) / 2 for wave in waves], axis=-1)
    top, left = ((60 - side) // 2 for side in size)
    part = slice(top, top + size[0]), slice(left, left + size[1])
    square = square.round().astype(np.uint8)[np.newaxis]
    whole, cut = (
        augment_array(images, [layer], (1, 2))[0] for images in (square, square[:, *part])
    )
    middle = slice(size[0] // 2 - 5, size[0] // 2 + 5), slice(size[1] // 2 - 5, size[1] // 2 + 5)
    assert np.abs(whole[part][middle].astype(int) - cut[middle]).max() <= 1
    assert (cut != square[0][part])[middle].mean() > 0.5


@pytest.mark.parametrize("size", [(24, 48), (48, 24)])
def test_a_whole_crop_of_an_image_that_is_not_square_is_the_image(size: tuple[int, int]) -> None:
    images = np.random.default_rng(0).integers(0, 256, (4, *size, 3), dtype=np.uint8)
    layer = RandomResizedCrop(scale=(1.0, 1.0), ratio=1.0, flip=True)
    changed = augment_array(images, [layer], (1, 2))
    for image, result in zip(images, changed, strict=True):
        assert (result == image).all() or (result == image[:, ::-1]).all()


@pytest.mark.slow
@pytest.mark.parametrize("shape", [(12, 20, 3), (20, 12, 3)])
@pytest.mark.parametrize("name", sorted(path.stem for path in (ROOT / "conf/policy").glob("*")))
def test_every_policy_takes_images_that_are_not_square(
    name: str, shape: tuple[int, int, int]
) -> None:
    config = OmegaConf.load(ROOT / "conf" / "policy" / f"{name}.yaml")
    layers = [instantiate(layer, name=key, _convert_="all") for key, layer in config.items()]
    images = np.random.default_rng(0).integers(0, 256, (6, *shape), dtype=np.uint8)
    check_policy({layer.name: layer for layer in layers}, images)
    changed = augment_array(images, layers, (1, 2))
    assert changed.shape == images.shape
    assert (changed != images).any() == (name != "none")


def test_every_random_layer_of_keras_is_tested() -> None:
    """Every layer that takes a seed is in one of the lists above."""
    seeded = {
        name
        for name, layer in vars(keras.layers).items()
        if inspect.isclass(layer) and "seed" in inspect.signature(layer.__init__).parameters
    }
    assert seeded == {*RANDOM_LAYERS, *OTHER_INPUTS, *OWN_CHECKS}


def random_layer(name: str) -> keras.layers.Layer:
    layer: keras.layers.Layer = getattr(keras.layers, name)(**RANDOM_LAYERS[name])
    return layer


def every_random_layer(name: str) -> list[keras.layers.Layer]:
    match name:
        case "RandomCrop":
            return [keras.layers.RandomCrop(12, 12), keras.layers.Resizing(16, 16)]
        case "Pipeline":
            return [keras.layers.Pipeline([random_layer("RandomFlip"), random_layer("Dropout")])]
        case "Sequential":
            return [keras.Sequential([random_layer("RandomFlip"), random_layer("GaussianNoise")])]
    return [random_layer(name)]


@pytest.mark.difference("random layers of Keras with a state", "seeded by seed, epoch and step")
@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=[pytest.mark.slow] if name in SLOW else [])
        for name in [*RANDOM_LAYERS, "RandomCrop", "Pipeline", "Sequential"]
    ],
)
def test_every_random_layer_of_keras_depends_on_the_seed_alone(name: str) -> None:
    def images_of(*seeds: tuple[int, int]) -> dict[tuple[int, int], np.ndarray]:
        layers = every_random_layer(name)
        check_policy({layer.name: layer for layer in layers}, IMAGES)
        dataset = tf.data.Dataset.from_tensor_slices(np.array(seeds, np.int32)).map(
            lambda seed: augment(tf.constant(IMAGES), layers, seed), num_parallel_calls=2
        )
        return {seed: images.numpy() for seed, images in zip(seeds, dataset, strict=True)}

    first, again = images_of((1, 0), (1, 1), (2, 0)), images_of((2, 0), (1, 1), (1, 0))
    for seed, images in first.items():
        np.testing.assert_array_equal(images, again[seed])
    assert (first[1, 0] != first[1, 1]).any() or (first[1, 0] != first[2, 0]).any()


class Unseeded(keras.layers.Layer):
    """Draws from TensorFlow's global generator."""

    def call(self, images: tf.Tensor) -> tf.Tensor:
        return images + tf.random.uniform(tf.shape(images), 0, 9)


@pytest.mark.fault(
    "a layer of a policy with random numbers that Keras cannot seed, or for other inputs",
    "one line that names the layer",
)
@pytest.mark.parametrize(
    ("layer", "message"),
    [
        (keras.layers.AugMix, "policy.own: AugMix gives other images for the same seed, because"),
        (Unseeded, "policy.own: Unseeded gives other images for the same seed, because"),
        (keras.layers.Attention, "policy.own: Attention cannot change a batch of images: Atten"),
        (
            lambda: keras.layers.RandomCrop(12, 8),
            r"RandomCrop leaves images of 12 x 8 x 3, not 16 x 16 x 3: add keras.layers.Resizing\(",
        ),
    ],
    ids=["AugMix", "Unseeded", "Attention", "RandomCrop"],
)
def test_layers_that_cannot_be_seeded_are_refused(
    layer: Callable[[], keras.layers.Layer], message: str
) -> None:
    with pytest.raises(InputError, match=message) as refused:
        check_policy({"flip": keras.layers.RandomFlip(), "own": layer()}, IMAGES)
    assert "\n" not in str(refused.value)


def test_each_image_of_a_batch_is_changed_differently() -> None:
    same = np.repeat(IMAGES[:1], 8, axis=0)
    crops = augment_array(same, [RandomResizedCrop(scale=(0.3, 0.9))], (1, 2))
    assert len({crop.tobytes() for crop in crops}) == 8


@pytest.mark.parametrize(
    "file", sorted((ROOT / "conf" / "policy").glob("*.yaml")), ids=lambda file: file.stem
)
def test_every_policy_changes_images_but_not_their_shape(file: Path) -> None:
    layers = list(instantiate(OmegaConf.load(file), _convert_="all").values())
    changed = augment_array(IMAGES, layers, (1, 2))
    assert (changed.shape, changed.dtype) == (IMAGES.shape, np.uint8)
    assert np.array_equal(changed, IMAGES) == (file.stem == "none")


@pytest.mark.parametrize(
    "file",
    [file for file in sorted((ROOT / "conf" / "policy").glob("*.yaml")) if file.stem != "none"],
    ids=lambda file: file.stem,
)
def test_every_policy_draws_for_each_image(file: Path) -> None:
    layers = list(instantiate(OmegaConf.load(file), _convert_="all").values())
    same = np.repeat(IMAGES[:1], 12, axis=0)
    changed = augment_array(same, layers, (1, 2))
    assert len({image.tobytes() for image in changed}) >= 10


def test_rand_augment_draws_the_operations_for_each_image() -> None:
    """Every pair of operations comes, about as often as every other, in one batch."""

    class Numbers(RandAugment):
        def transform_images(self, images: Any, transformation: Any, training: bool = True) -> Any:
            drawn = transformation["layer_idxes"][:, :, 0, 0, 0]
            self.drawn = tf.broadcast_to(drawn, (self.num_ops, images.shape[0])).numpy()
            return super().transform_images(images, transformation, training)

    layer = Numbers(num_ops=2)
    images = np.repeat(IMAGES[:1], 2000, axis=0)
    augment_array(images, [layer], (1, 2))
    assert layer.drawn.shape == (2, 2000)
    counts = np.bincount((11 * layer.drawn[0] + layer.drawn[1]), minlength=121)
    assert counts.min() > 0
    assert counts.max() < 3 * 2000 / 121


def test_no_layers_change_nothing() -> None:
    np.testing.assert_array_equal(augment_array(IMAGES, [], (1, 2)), IMAGES)


def test_a_crop_of_the_whole_image_is_the_image_or_its_mirror_image() -> None:
    layer = RandomResizedCrop(scale=(1, 1), ratio=1)
    originals = np.repeat(IMAGES, 4, axis=0)
    crops = augment_array(originals, [layer], (1, 2))
    flipped = 0
    for crop, original in zip(crops, originals, strict=True):
        if (crop == original).all():
            continue
        assert (crop == original[:, ::-1]).all()
        flipped += 1
    assert 4 <= flipped <= 20


@pytest.mark.parametrize("bad", [{"scale": (0, 1)}, {"scale": (0.8, 0.5)}, {"ratio": 0.5}])
def test_crops_out_of_range_are_refused(bad: dict) -> None:
    with pytest.raises(ValueError, match="must be"):
        RandomResizedCrop(**bad)


def test_the_saturation_is_that_of_keras_by_hsv() -> None:
    images = IMAGES.astype(np.float32)
    keras_layer = keras.layers.RandomSaturation((0.6, 0.6))  # 0.6 / (1 - 0.6) is 1.5
    np.testing.assert_allclose(
        ColorJitter(saturation=(1.5, 1.5))(images), keras_layer(images, training=True), atol=0.01
    )


def test_brightness_and_contrast_change_by_what_the_arguments_say() -> None:
    flat = np.full((64, 4, 4, 3), 100, np.uint8)
    shifted = augment_array(flat, [ColorJitter(brightness=0.2)], (1, 2)).astype(int) - 100
    assert (shifted == shifted[:, :1, :1, :1]).all()
    assert -51 <= shifted.min() < -30 and 30 < shifted.max() <= 51
    images = IMAGES.astype(np.float32)
    mean = images.mean(axis=(1, 2), keepdims=True)
    np.testing.assert_allclose(
        ColorJitter(contrast=(0.5, 0.5))(images), (images + mean) / 2, atol=0.01
    )


@pytest.mark.parametrize(
    "bad", [{"brightness": 1.5}, {"contrast": (1.2, 1)}, {"saturation": (0, 1)}]
)
def test_jitters_out_of_range_are_refused(bad: dict) -> None:
    with pytest.raises(ValueError, match="must be"):
        ColorJitter(**bad)


def test_an_affine_transform_by_0_changes_nothing() -> None:
    np.testing.assert_array_equal(augment_array(IMAGES, [RandomAffine()], (1, 2)), IMAGES)


def test_an_affine_transform_moves_pixels_by_what_the_arguments_say() -> None:
    dot = np.zeros((64, 33, 33, 1), np.uint8)
    dot[:, 16, 16] = 255
    rotated = augment_array(dot, [RandomAffine(rotation=0.5, zoom=0.3)], (1, 2))
    np.testing.assert_array_equal(rotated[:, 16, 16], dot[:, 16, 16])  # the centre stays
    shifted = augment_array(dot, [RandomAffine(translation=0.2)], (1, 2)).astype(float)
    weights = shifted.sum(axis=(1, 2, 3))
    positions = np.arange(33)[None, :, None, None]
    rows = (shifted * positions).sum(axis=(1, 2, 3)) / weights - 16
    columns = (shifted * positions.transpose(0, 2, 1, 3)).sum(axis=(1, 2, 3)) / weights - 16
    for moved in (rows, columns):
        assert 5 < np.abs(moved).max() <= 0.2 * 33 + 0.1
        assert moved.min() < 0 < moved.max()
    line = np.zeros((64, 33, 33, 1), np.uint8)
    line[:, :, 16] = 255
    sheared = augment_array(line, [RandomAffine(shear=0.3)], (1, 2)).astype(float)
    np.testing.assert_array_equal(sheared[:, 16], line[:, 16])  # the middle row stays
    top = sheared[:, 0, :, 0]
    offsets = (top * np.arange(33)).sum(axis=1) / top.sum(axis=1) - 16
    assert 3 < np.abs(offsets).max() <= 0.3 * 16 + 0.1


@pytest.mark.parametrize("name", ["translation", "rotation", "zoom", "shear"])
@pytest.mark.parametrize("value", [-0.1, 1.0])
def test_affine_transforms_out_of_range_are_refused(name: str, value: float) -> None:
    with pytest.raises(ValueError, match=f"{name} is {value}: must be at least 0 and below 1"):
        RandomAffine(**{name: value})
