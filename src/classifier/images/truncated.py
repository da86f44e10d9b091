"""Lets one thread load truncated images, while others refuse them.

Pillow has one switch for the whole process (``ImageFile.LOAD_TRUNCATED_IMAGES``), which it asks for
its truth at each use: here, each thread has an answer of its own.
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from PIL import ImageFile


class _OfThisThread(threading.local):
    loaded = False

    def __bool__(self) -> bool:
        return self.loaded


_truncated = _OfThisThread()


@contextmanager
def truncated_loaded() -> Iterator[None]:
    """Until the block ends, Pillow loads what there is of a truncated image, in this thread."""
    ImageFile.LOAD_TRUNCATED_IMAGES = _truncated  # type: ignore[assignment]
    _truncated.loaded = True
    try:
        yield
    finally:
        _truncated.loaded = False
