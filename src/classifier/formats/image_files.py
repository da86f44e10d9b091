"""Which files of a folder or an archive are images: by their names, or by their first bytes."""

import io
from pathlib import PurePath

from PIL import Image

IMAGE_SUFFIXES = {
    ".bmp",
    ".gif",
    ".jfif",
    ".jpe",
    ".jpeg",
    ".jpg",
    ".png",
    ".tif",
    ".tiff",
    ".webp",
}
# What skipped files are, for messages.
SKIPPED = "hidden or without the suffix of an image"
# Pillow's names of the formats with these suffixes.
FORMATS = ("BMP", "GIF", "JPEG", "PNG", "TIFF", "WEBP")
# A camera's raw file begins like a TIFF, and Pillow would find the small preview in it.
RAW_SUFFIXES = {".arw", ".cr2", ".dng", ".nef", ".orf", ".pef", ".raf", ".rw2", ".srw"}


def is_hidden(name: PurePath) -> bool:
    """Whether a file or a folder above it is hidden.

    Finder writes ``._a.jpg`` next to ``a.jpg``, or in ``__MACOSX``, with data of its own.

    Args:
        name: relative to the folder that the user named, or to the archive.
    """
    return any(part.startswith((".", "__MACOSX")) for part in name.parts)


def is_image_file(name: PurePath) -> bool:
    """Whether a file has the suffix of an image, and neither it nor a folder above it is hidden.

    Args:
        name: relative to the folder that the user named, or to the archive.
    """
    return not is_hidden(name) and name.suffix.lower() in IMAGE_SUFFIXES


def begins_like_an_image(head: bytes) -> bool:
    """Whether a file may be an image, by its first 16 bytes or more."""
    Image.init()
    return any(Image.OPEN[name][1](head) is True for name in FORMATS)  # type: ignore[misc]


def is_image_content(content: bytes) -> bool:
    """Whether a file is an image, by its header; nothing is decoded."""
    try:
        with Image.open(io.BytesIO(content), formats=FORMATS):
            return True
    except MemoryError:
        raise
    except Exception:  # Pillow raises many kinds for what only begins like an image
        return False
