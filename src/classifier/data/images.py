"""Pictures to pixels: decode, orient, fit into a square, resize with antialiasing."""

import io
import warnings

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

# Of a damaged or very large picture Pillow warns, before it is refused here in one line.
warnings.filterwarnings("ignore", module=r"PIL\b")
MAX_PIXELS = 100_000_000  # a larger picture is refused before it is decoded
# A JPEG is decoded at a half, a quarter or an eighth of its size where that leaves so many times
# the pixels wanted a side: several times as fast, and resized to nearly the same
# (https://pillow.readthedocs.io/en/stable/reference/Image.html, draft).
SPARE = 2


class ImageError(Exception):
    """The picture cannot be decoded; its text is one line."""


def to_pixels(content: bytes | np.ndarray, *, size: int, channels: int, fit: str) -> np.ndarray:
    """One picture as uint8 (size, size, channels), values 0..255.

    Args:
        content: an encoded picture, or uint8 (H, W[, C]) pixels.
        channels: 1 (grey, ITU-R 601-2 luma) or 3 (RGB; transparency over white).
        fit: ``crop`` keeps the central square, ``pad`` the whole picture between black borders;
            either keeps the aspect ratio.

    Raises:
        ImageError: it cannot be decoded, or has more than MAX_PIXELS pixels.
    """
    try:
        picture = _open(content, SPARE * size)
        # The EXIF orientation first: a photograph lies as its camera was held.
        picture = ImageOps.exif_transpose(picture)
        picture = _flatten(picture).convert("L" if channels == 1 else "RGB")
        if fit == "crop":
            picture = ImageOps.fit(picture, (size, size), Image.Resampling.LANCZOS)
        else:
            picture = ImageOps.pad(picture, (size, size), Image.Resampling.LANCZOS, color=0)
    except UnidentifiedImageError:
        raise ImageError("it is no picture of a format that Pillow knows") from None
    except Exception as error:  # each of Pillow's decoders raises what it stumbles on
        raise ImageError(" ".join(str(error).split()) or type(error).__name__) from None
    return np.asarray(picture, dtype=np.uint8).reshape(size, size, channels)


def _open(content: bytes | np.ndarray, size: int) -> Image.Image:
    if isinstance(content, np.ndarray):
        return Image.fromarray(content.squeeze() if content.ndim == 3 else content)
    picture = Image.open(io.BytesIO(content))
    if picture.width * picture.height > MAX_PIXELS:
        raise ValueError(f"{picture.width} x {picture.height} pixels are more than {MAX_PIXELS:,}")
    picture.draft(None, (size, size))
    return picture


def _flatten(picture: Image.Image) -> Image.Image:
    if picture.mode.startswith("I;16") or picture.mode == "I":
        # 16 bits a pixel: keep the high eight.
        return Image.fromarray(
            (np.asarray(picture).astype(np.int64) >> 8).clip(0, 255).astype(np.uint8)
        )
    if picture.has_transparency_data:
        picture = picture.convert("RGBA")
        white = Image.new("RGBA", picture.size, "white")
        return Image.alpha_composite(white, picture)
    return picture
