"""Policies are functions of a seed, and survive their JSON."""

import json
from pathlib import Path

import keras
import numpy as np
import pytest
from hydra.utils import instantiate
from omegaconf import OmegaConf

from classifier.augmentation import augment_array, from_config, to_config
from classifier.color_jitter import ColorJitter
from classifier.random_affine import RandomAffine
from classifier.random_resized_crop import RandomResizedCrop
from conftest import ROOT

IMAGES = np.random.default_rng(0).integers(0, 256, (6, 16, 16, 3), dtype=np.uint8)


def policy() -> list[keras.layers.Layer]:
    return [
        keras.layers.RandomFlip("horizontal", name="flip"),
        RandomResizedCrop(scale=(0.3, 0.9), name="crop"),
        RandomAffine(0.1, 0.1, 0.1, 0.1, name="affine"),
        ColorJitter(0.1, (0.8, 1.2), (0.5, 2), name="color"),
        keras.layers.RandomContrast(0.3, name="contrast"),
        keras.layers.RandAugment(num_ops=1, name="rand"),
    ]


def test_same_seed_same_images_from_other_layer_objects() -> None:
    first = augment_array(IMAGES, policy(), (1, 2))
    again = augment_array(IMAGES, from_config(json.loads(json.dumps(to_config(policy())))), (1, 2))
    other = augment_array(IMAGES, policy(), (1, 3))
    assert (first.shape, first.dtype) == (IMAGES.shape, np.uint8)
    np.testing.assert_array_equal(first, again)
    assert (first != other).any()


def test_each_image_of_a_batch_has_its_own_draw() -> None:
    same = np.repeat(IMAGES[:1], 8, axis=0)
    found = augment_array(same, [RandomResizedCrop(scale=(0.3, 0.9))], (1, 2))
    assert len({image.tobytes() for image in found}) == 8


@pytest.mark.parametrize(
    "file", sorted((ROOT / "conf" / "policy").glob("*.yaml")), ids=lambda file: file.stem
)
def test_every_choice_changes_pictures_but_not_their_shape(file: Path) -> None:
    layers = list(instantiate(OmegaConf.load(file), _convert_="all").values())
    changed = augment_array(IMAGES, layers, (1, 2))
    assert (changed.shape, changed.dtype) == (IMAGES.shape, np.uint8)
    assert np.array_equal(changed, IMAGES) == (file.stem == "none")


def test_no_layers_change_nothing() -> None:
    np.testing.assert_array_equal(augment_array(IMAGES, [], (1, 2)), IMAGES)


def test_a_crop_of_everything_is_the_picture_or_its_mirror() -> None:
    layer = RandomResizedCrop(scale=(1, 1), ratio=1)
    found = augment_array(np.repeat(IMAGES, 4, axis=0), [layer], (1, 2))
    mirrored = 0
    for image, original in zip(found, np.repeat(IMAGES, 4, axis=0), strict=True):
        if (image == original).all():
            continue
        assert (image == original[:, ::-1]).all()
        mirrored += 1
    assert 4 <= mirrored <= 20


@pytest.mark.parametrize("bad", [{"scale": (0, 1)}, {"scale": (0.8, 0.5)}, {"ratio": 0.5}])
def test_bad_crops_are_refused(bad: dict) -> None:
    with pytest.raises(ValueError, match="must be"):
        RandomResizedCrop(**bad)


def test_the_saturation_is_what_keras_makes_of_it_by_way_of_hsv() -> None:
    images = IMAGES.astype(np.float32)
    keras_layer = keras.layers.RandomSaturation((0.6, 0.6))  # 0.6 / (1 - 0.6) is 1.5
    np.testing.assert_allclose(
        ColorJitter(saturation=(1.5, 1.5))(images), keras_layer(images, training=True), atol=0.01
    )


def test_a_jitter_shifts_and_stretches_each_picture_by_what_it_says() -> None:
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
def test_bad_jitters_are_refused(bad: dict) -> None:
    with pytest.raises(ValueError, match="must be"):
        ColorJitter(**bad)


def test_an_affine_map_of_nothing_is_the_picture() -> None:
    np.testing.assert_array_equal(augment_array(IMAGES, [RandomAffine()], (1, 2)), IMAGES)


def test_an_affine_map_moves_what_it_says() -> None:
    dot = np.zeros((64, 33, 33, 1), np.uint8)
    dot[:, 16, 16] = 255
    turned = augment_array(dot, [RandomAffine(rotation=0.5, zoom=0.3)], (1, 2))
    np.testing.assert_array_equal(turned[:, 16, 16], dot[:, 16, 16])  # the centre stays
    shifted = augment_array(dot, [RandomAffine(translation=0.2)], (1, 2)).astype(float)
    weights = shifted.sum(axis=(1, 2, 3))
    places = np.arange(33)[None, :, None, None]
    rows = (shifted * places).sum(axis=(1, 2, 3)) / weights - 16
    columns = (shifted * places.transpose(0, 2, 1, 3)).sum(axis=(1, 2, 3)) / weights - 16
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
def test_bad_affine_maps_are_refused(name: str, value: float) -> None:
    with pytest.raises(ValueError, match=f"{name} is {value}: must be at least 0 and below 1"):
        RandomAffine(**{name: value})
