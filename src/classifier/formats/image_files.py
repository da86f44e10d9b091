"""Which files of a folder or an archive are images, by their names: for training and answers."""

from pathlib import PurePath

IMAGE_SUFFIXES = {".bmp", ".gif", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp"}
# What skipped files are, for messages.
SKIPPED = "hidden or without the suffix of an image"


def is_image_file(name: PurePath) -> bool:
    """Whether a file is an image: it has the suffix of one, and neither it nor a folder is hidden.

    Finder writes ``._a.jpg`` next to ``a.jpg``, or in ``__MACOSX``, with data of its own.

    Args:
        name: relative to the folder that the user named, or to the archive.
    """
    hidden = any(part.startswith((".", "__MACOSX")) for part in name.parts)
    return not hidden and name.suffix.lower() in IMAGE_SUFFIXES
