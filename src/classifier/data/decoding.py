"""Many pictures to pixels, in order, on a few threads, with bounded memory."""

from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor

import numpy as np

from classifier.data.images import ImageError, to_pixels
from classifier.data.raw import RawImage

AHEAD = 16  # pictures under way a thread


def decode_all(
    images: Iterable[RawImage], *, size: int, channels: int, fit: str, workers: int
) -> Iterator[tuple[RawImage, np.ndarray | ImageError]]:
    """Each image with its pixels, or with the error that kept it from being decoded.

    Pillow decodes outside of Python's lock, so ``workers`` threads use as many cores. See
    :func:`classifier.data.images.to_pixels` for the arguments and the pixels.
    """

    def decode(image: RawImage) -> np.ndarray | ImageError:
        try:
            return to_pixels(image.content, size=size, channels=channels, fit=fit)
        except ImageError as error:
            return error

    waiting: deque[tuple[RawImage, Future[np.ndarray | ImageError]]] = deque()
    with ThreadPoolExecutor(workers) as pool:
        for image in images:
            waiting.append((image, pool.submit(decode, image)))
            if len(waiting) >= AHEAD * workers:
                first, pixels = waiting.popleft()
                yield first, pixels.result()
        for first, pixels in waiting:
            yield first, pixels.result()
