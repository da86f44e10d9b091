"""Opens HEIC photos, as iPhones take them: the package pillow-heif teaches Pillow their format."""

import io

from PIL import Image


def may_be_heif(content: bytes) -> bool:
    """Whether a file is of the family of HEIC, AVIF and MP4 (ISO/IEC 14496-12), by its start."""
    return content[4:8] == b"ftyp"


def open_heif(content: bytes) -> Image.Image:
    """Opens a file that Pillow alone does not know.

    Raises:
        ImportError: pillow-heif is not installed. The message is one line.
        UnidentifiedImageError: it is no HEIC photo.
    """
    try:
        from pillow_heif import register_heif_opener
    except ImportError:
        raise ImportError(
            "a HEIC photo needs the package pillow-heif: pip install 'pillow-heif>=1.1'"
        ) from None
    register_heif_opener(thumbnails=False)
    return Image.open(io.BytesIO(content), formats=("HEIF",))
