"""Brightness, contrast and saturation, each alone, do what they say and nothing else."""

import keras
import numpy as np
import pytest

from classifier.augmentation import augment_array
from classifier.random_color import LUMA, RandomColor

# Middle colours: no change below leaves 0..255, where rounding to pixels would clip.
IMAGES = np.random.default_rng(0).integers(96, 160, (1, 16, 16, 3), dtype=np.uint8)
MANY = np.repeat(IMAGES, 64, axis=0)
ROUNDING = 0.5


def changed(**arguments: float) -> np.ndarray:
    return augment_array(MANY, [RandomColor(**arguments)], (1, 2)).astype(float)


def grey(images: np.ndarray) -> np.ndarray:
    return images.astype(float) @ np.array(LUMA)


def test_no_change_is_the_picture() -> None:
    np.testing.assert_array_equal(changed(), MANY)


def test_brightness_adds_one_number_a_picture() -> None:
    added = changed(brightness=0.1) - MANY
    assert np.ptp(added, axis=(1, 2, 3)).max() <= 1
    numbers = added.mean(axis=(1, 2, 3))
    assert -25.5 <= numbers.min() < -15
    assert 15 < numbers.max() <= 25.5


def test_contrast_keeps_the_mean_and_spreads_around_it() -> None:
    found, before = changed(contrast=0.3), grey(IMAGES[0])
    np.testing.assert_allclose(grey(found).mean(axis=(1, 2)), before.mean(), atol=ROUNDING)
    spread = grey(found).std(axis=(1, 2)) / before.std()
    assert 0.69 <= spread.min() < 0.8
    assert 1.2 < spread.max() <= 1.31


def test_saturation_keeps_each_pixels_grey_and_moves_it_from_grey() -> None:
    found = changed(saturation=0.4)
    np.testing.assert_allclose(grey(found), grey(MANY), atol=ROUNDING)
    colour = np.abs(found - grey(found)[..., None]).mean(axis=(1, 2, 3))
    share = colour / np.abs(IMAGES - grey(IMAGES)[..., None]).mean()
    assert 0.59 <= share.min() < 0.75
    assert 1.25 < share.max() <= 1.41


def test_all_three_together_are_the_three_one_after_another() -> None:
    layer = RandomColor(0.1, 0.3, 0.4)

    class Recorded(keras.random.SeedGenerator):
        def next(self, ordered: bool = True) -> np.ndarray:
            return np.array([3, 4], np.uint32)

    layer._get_seed_generator = lambda backend=None: Recorded(1)
    found = np.asarray(layer(IMAGES.astype(np.float32), training=True))[0]
    draws = np.asarray(keras.random.uniform((1, 3), -1.0, 1.0, seed=Recorded(1)))[0]
    brightness, contrast, saturation = draws * (0.1, 0.3, 0.4)
    image = IMAGES[0].astype(float)
    image = grey(image)[..., None] + (1 + saturation) * (image - grey(image)[..., None])
    image = grey(image).mean() + (1 + contrast) * (image - grey(image).mean())
    np.testing.assert_allclose(found, image + 255 * brightness, atol=1e-3)


@pytest.mark.parametrize("name", ["brightness", "contrast", "saturation"])
@pytest.mark.parametrize("value", [-0.1, 1.1])
def test_bad_changes_are_refused(name: str, value: float) -> None:
    with pytest.raises(ValueError, match=f"{name} is {value}: must be between 0 and 1"):
        RandomColor(**{name: value})


def test_grey_pictures_are_refused() -> None:
    with pytest.raises(ValueError, match=r"not of 1 channel: set normalize\.channels=3"):
        augment_array(IMAGES[..., :1], [RandomColor(0.1)], (1, 2))
