"""Which files of a folder or an archive are images: by their names, or by their first bytes."""

import io
from pathlib import PurePath

from PIL import Image

HEIF_SUFFIXES = {".heic", ".heif"}
IMAGE_SUFFIXES = HEIF_SUFFIXES | {
    ".apng",
    ".avif",
    ".bmp",
    ".gif",
    ".jfif",
    ".jpe",
    ".jpeg",
    ".jpg",
    ".mpo",
    ".pbm",
    ".pgm",
    ".png",
    ".pnm",
    ".ppm",
    ".tif",
    ".tiff",
    ".webp",
}
# What skipped files are, for messages.
SKIPPED = "hidden or without the suffix of an image"
# Pillow's names of the formats that are known by their content. A text may begin like a PPM.
FORMATS = ("AVIF", "BMP", "GIF", "JPEG", "PNG", "TIFF", "WEBP")
# Of HEIC photos, in the box "ftyp" (ISO/IEC 23008-12, annex E).
HEIF_BRANDS = {b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs"}
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
    return is_heif(head) or any(Image.OPEN[name][1](head) is True for name in FORMATS)  # type: ignore[misc]


def is_heif(head: bytes) -> bool:
    """Whether a file is a HEIC photo, by its first 32 bytes or more: AVIF has other brands."""
    brands = {head[8:12], head[16:20], head[20:24], head[24:28], head[28:32]}
    return head[4:8] == b"ftyp" and not brands.isdisjoint(HEIF_BRANDS)


def is_image_content(content: bytes) -> bool:
    """Whether a file is an image, by its header; nothing is decoded."""
    if is_heif(content):
        return True
    try:
        with Image.open(io.BytesIO(content), formats=FORMATS):
            return True
    except MemoryError:
        raise
    except Exception:  # Pillow raises many kinds for what only begins like an image
        return False
