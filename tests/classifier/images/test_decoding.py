"""Many images are decoded in order, with bounded memory."""

import itertools
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import pytest

from classifier.images.decoding import CHUNK, decode_all
from classifier.images.pixels import ImageError, to_pixels


class Numbered(NamedTuple):
    number: int
    content: bytes | np.ndarray


def numbered(number: int) -> Numbered:
    return Numbered(number, np.full((4, 4), number % 256, np.uint8))


@pytest.mark.parametrize("count", [0, 1, CHUNK, 10 * CHUNK + 1])
@pytest.mark.parametrize("workers", [1, 3])
def test_pixels_are_in_the_order_of_the_images(count: int, workers: int) -> None:
    images = [numbered(number) for number in range(count)]
    decoded = list(decode_all(images, size=8, channels=1, fit="crop", workers=workers))
    assert [image for image, _ in decoded] == images
    for image, pixels in decoded:
        expected = to_pixels(image.content, size=8, channels=1, fit="crop")
        np.testing.assert_array_equal(pixels, expected)


def test_an_image_that_cannot_be_decoded_has_its_error() -> None:
    images = [numbered(0), Numbered(1, b"not an image"), numbered(2)]
    decoded = list(decode_all(images, size=8, channels=3, fit="pad", workers=2))
    assert [isinstance(pixels, ImageError) for _, pixels in decoded] == [False, True, False]


def test_a_slow_caller_bounds_the_images_in_memory() -> None:
    read: list[Numbered] = []

    def endless() -> Iterator[Numbered]:
        for number in itertools.count():
            read.append(numbered(number))
            yield read[-1]

    workers = 2
    decoded = decode_all(endless(), size=8, channels=1, fit="crop", workers=workers)
    for used in range(10 * CHUNK):
        image, _ = next(decoded)
        assert image.number == used
        assert len(read) - used <= 2 * CHUNK * workers


def test_an_error_while_reading_is_raised() -> None:
    def broken() -> Iterator[Numbered]:
        yield from map(numbered, range(3 * CHUNK))
        raise OSError("broken archive")

    with pytest.raises(OSError, match="broken archive"):
        list(decode_all(broken(), size=8, channels=1, fit="crop", workers=1))
