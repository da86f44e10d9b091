"""Decodes many images in order, on a few threads, with bounded memory."""

from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from typing import Literal, Protocol, TypeVar

import numpy as np

from classifier.images.pixels import Fit, ImageError, Truncated, to_pixels
from classifier.images.ranges import RangeCounts
from classifier.support.limits import ImageSize, ValueRange

CHUNK = 16  # images per thread that are decoded together


class Encoded(Protocol):
    """Any object with an encoded image, or with pixels (H, W[, C])."""

    @property
    def content(self) -> bytes | np.ndarray: ...


Item = TypeVar("Item", bound=Encoded)


def decode_all(
    images: Iterable[Item],
    *,
    size: ImageSize,
    channels: int,
    fit: Fit | Literal["stretch"],
    workers: int,
    value_range: ValueRange | None = None,
    transparency: str = "white",
    truncated: Truncated = "refuse",
    counts: RangeCounts | None = None,
) -> Iterator[tuple[Item, np.ndarray | ImageError]]:
    """Yields each image with its pixels, or with the error if it cannot be decoded.

    At most ``2 * CHUNK * workers`` images are in memory, however slow the caller is.

    Args:
        images: read one after another; the pixels come in the same order.
        size, channels, fit, value_range, transparency, truncated, counts: see
            :func:`classifier.images.pixels.to_pixels`.
        workers: number of threads. Pillow releases Python's global lock while it decodes.

    Yields:
        An image and its pixels, uint8 (height, width, channels), or an ``ImageError``.

    Raises:
        MemoryError: the memory is not enough to decode an image.
    """

    def decode(image: Item) -> np.ndarray | ImageError:
        try:
            return to_pixels(
                image.content,
                size=size,
                channels=channels,
                fit=fit,
                value_range=value_range,
                transparency=transparency,
                truncated=truncated,
                counts=counts,
            )
        except ImageError as error:
            return error

    # Executor.map has no bound of its own before Python 3.14, hence the chunks.
    remaining = iter(images)
    chunk = list(islice(remaining, CHUNK * workers))
    with ThreadPoolExecutor(workers) as pool:
        while chunk:
            pixels = pool.map(decode, chunk)
            following = list(islice(remaining, CHUNK * workers))  # read while the threads decode
            yield from zip(chunk, pixels, strict=True)
            chunk = following
