"""Perceptual hashes: alike for one photo in any form, none for flat images."""

import io
from typing import NamedTuple

import numpy as np
import pytest
from PIL import Image

from classifier.images.perceptual_hash import hash_images


class Encoded(NamedTuple):
    content: bytes | np.ndarray


def photo(seed: int, width: int = 160, height: int = 120) -> Image.Image:
    """A picture with large shapes, as a photo has: noise, enlarged."""
    noise = np.random.default_rng(seed).integers(0, 256, (6, 8, 3)).astype(np.uint8)
    return Image.fromarray(noise).resize((width, height), Image.Resampling.BICUBIC)


def stored(image: Image.Image, form: str, **options: object) -> Encoded:
    content = io.BytesIO()
    image.save(content, form, **options)
    return Encoded(content.getvalue())


def hashes(*images: Encoded) -> list[int]:
    found = hash_images(images, workers=2)
    assert found.known.all()
    return [int(value) for value in found.values]


def upside_down(image: Image.Image) -> Encoded:
    exif = Image.Exif()
    exif[0x0112] = 3
    return stored(image.rotate(180), "JPEG", quality=95, exif=exif)


@pytest.mark.parametrize("seed", range(5))
def test_one_photo_in_many_forms(seed: int) -> None:
    image = photo(seed)
    first, *others = hashes(
        stored(image, "PNG"),
        stored(image, "JPEG", quality=60),
        stored(image, "WEBP", quality=60),
        stored(image.resize((640, 480)), "JPEG"),
        stored(image.resize((64, 48)), "PNG"),
        stored(image.convert("L"), "PNG"),
        upside_down(image),
        Encoded(np.asarray(image)),
    )
    assert max((first ^ other).bit_count() for other in others) <= 4


def test_other_photos_are_far_away() -> None:
    values = hashes(*(stored(photo(seed), "PNG") for seed in range(40)))
    distances = [
        (one ^ other).bit_count() for n, one in enumerate(values) for other in values[n + 1 :]
    ]
    assert min(distances) > 10


def test_images_without_a_hash_are_counted_and_keep_their_place() -> None:
    found = hash_images(
        [
            Encoded(np.full((20, 20, 3), 255, np.uint8)),
            stored(photo(1), "PNG"),
            Encoded(b"no image"),
            stored(Image.new("L", (50, 50), 3), "JPEG"),
            Encoded(np.zeros((20, 20), np.float64)),  # its range is not known
        ],
        workers=2,
    )
    assert found.known.tolist() == [False, True, False, False, False]
    assert (found.flat, found.undecodable) == (2, 2)
    assert (found.values != 0).tolist() == found.known.tolist()
