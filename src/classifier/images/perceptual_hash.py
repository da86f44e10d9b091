"""Perceptual hashes: 64 bits of what an image looks like, whatever its format, size and quality."""

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
from PIL import Image

from classifier.images.decoding import Encoded, decode_all
from classifier.images.pixels import ImageError
from classifier.support.limits import ValueRange

SIDE = 32  # pixels of what is hashed, as imagehash.phash has it
# Grey levels, 0..255. The hash of an image that deviates less from its mean is one of noise.
FLAT = 2.0


class Hashes(NamedTuple):
    """The hash of each image, in the order of the images.

    Attributes:
        values: uint64 (N,); 0 where ``known`` is False.
        known: bool (N,).
        flat: the number of images of hardly more than one grey level, which have no hash.
        undecodable: the number of images that cannot be decoded, which have no hash.
    """

    values: np.ndarray
    known: np.ndarray
    flat: int
    undecodable: int


def hash_images(
    images: Iterable[Encoded], *, workers: int, value_range: ValueRange | None = None
) -> Hashes:
    """Hashes the whole of each image, upright by its EXIF orientation, in grey.

    Args:
        workers, value_range: see :func:`classifier.images.decoding.decode_all`.

    Raises:
        MemoryError: the memory is not enough to decode an image.
    """
    values: list[int] = []
    known: list[bool] = []
    flat = undecodable = 0
    decoded = decode_all(
        images, size=SIDE, channels=1, fit="stretch", workers=workers, value_range=value_range
    )
    for _, pixels in decoded:
        failed = isinstance(pixels, ImageError)
        value = None if isinstance(pixels, ImageError) else perceptual_hash(pixels)
        undecodable += failed
        flat += not failed and value is None
        values.append(value or 0)
        known.append(value is not None)
    return Hashes(np.array(values, np.uint64), np.array(known, bool), flat, undecodable)


def perceptual_hash(pixels: np.ndarray) -> int | None:
    """The 64 bits of ``imagehash.phash``: which low frequencies are above their median.

    Christoph Zauner: Implementation and benchmarking of perceptual image hash functions, 2010
    (https://github.com/JohannesBuchner/imagehash).

    Args:
        pixels: uint8 (32, 32, 1).

    Returns:
        An unsigned number; None for a flat image, of which the hash says nothing.
    """
    import imagehash

    if pixels.std() < FLAT:
        return None
    bits = imagehash.phash(Image.fromarray(pixels[..., 0])).hash
    return int.from_bytes(np.packbits(bits).tobytes(), "big")
