"""Decodes one image: orientation, crop or padding to one shape, antialiased resizing."""

import io
import struct
import warnings
import zlib
from collections.abc import Callable
from functools import partial
from typing import Literal

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from classifier.images.heif import may_be_heif, open_heif
from classifier.images.ranges import (
    BITS_8,
    BITS_8_FILE,
    BITS_16,
    HIGH_BITS_FILE,
    RangeCounts,
    known_range,
    scale,
)
from classifier.images.truncated import truncated_loaded
from classifier.support.errors import is_of_the_system
from classifier.support.limits import ImageSize, ValueRange, sides

# Pillow warns of damaged and very large images, which are refused below with an error.
warnings.filterwarnings("ignore", module=r"PIL\b")
# Other formats are refused: to decode EPS, for example, Pillow starts another program.
FORMATS = ("AVIF", "BMP", "GIF", "JPEG", "PNG", "PPM", "TIFF", "WEBP")
MAX_PIXELS = 100_000_000  # larger images are refused before they are decoded
# JPEGs are decoded at a half, a quarter or an eighth of their size, if this leaves at least so
# many times the wanted width and height. It is several times as fast, and the resized pixels are
# nearly the same (https://pillow.readthedocs.io/en/stable/reference/Image.html, draft).
DRAFT_FACTOR = 2

# What Pillow and its decoders raise for damaged images. MemoryError is not among them: the image
# may be whole. TypeError and AttributeError come from metadata of a wrong type.
DAMAGED = (
    ArithmeticError,
    AttributeError,
    EOFError,
    Image.DecompressionBombError,
    LookupError,
    OSError,
    RuntimeError,
    SyntaxError,  # for PNG
    TypeError,
    ValueError,
    struct.error,
    zlib.error,
)

Fit = Literal["crop", "pad"]  # for a model, they keep the aspect ratio
Truncated = Literal["refuse", "load"]


class ImageError(Exception):
    """The image cannot be decoded. The message is one line."""


class UnknownRangeError(ImageError):
    """The range of the values is neither declared nor known. The message is one line."""


def to_pixels(
    content: bytes | np.ndarray,
    *,
    size: ImageSize,
    channels: int,
    fit: Fit | Literal["stretch"],
    value_range: ValueRange | None = None,
    transparency: str = "white",
    truncated: Truncated = "refuse",
    counts: RangeCounts | None = None,
) -> np.ndarray:
    """Decodes one image to uint8 (height, width, channels), values 0..255.

    Args:
        content: an encoded image, or pixels (H, W[, C]): bool, integers or floats.
        size: height and width of the result, in pixels; one number for a square.
        channels: 1 (grey, ITU-R 601-2 luma) or 3 (RGB).
        fit: ``crop`` keeps the largest central part of that shape, ``pad`` keeps the whole image
            and adds black borders. Both keep the aspect ratio. ``stretch`` does not.
        value_range: the values that become 0 and 255; values outside are cut off. None takes the
            range of the format: 0..255 for 8 bits, 0..65535 for unsigned 16 bits. Encoded images
            of 8 bits always keep 0..255, as their format says so; arrays of uint8 do not.
        transparency: the colour behind transparent pixels, one of
            :func:`classifier.images.colours.opaque_colour`.
        truncated: ``load`` takes what there is of a file whose end is missing or damaged. The rest
            is grey, black or transparent, by its format.
        counts: counts the image by its range, and the files of which a part is taken.

    Raises:
        UnknownRangeError: ``value_range`` is None, for floats or integers of 32 bits.
        ImageError: the image cannot be decoded, or has more than MAX_PIXELS pixels.
        MemoryError: the memory is not enough to decode it.
    """
    height, width = sides(size)
    try:
        if isinstance(content, np.ndarray):
            image, uncounted = _from_array(content, value_range, counts)
        else:
            longer = DRAFT_FACTOR * max(height, width)
            decode = partial(_decode, content, longer, value_range, counts)
            image, uncounted = decode() if truncated == "refuse" else _in_part(decode, counts)
        image = _without_transparency(image, transparency).convert("L" if channels == 1 else "RGB")
        if fit == "crop":
            image = ImageOps.fit(image, (width, height), Image.Resampling.LANCZOS)
        elif fit == "stretch":
            image = image.resize((width, height), Image.Resampling.LANCZOS)
        else:
            image = ImageOps.pad(image, (width, height), Image.Resampling.LANCZOS, color=0)
    except UnidentifiedImageError:
        raise ImageError(
            "it is not a JPEG, PNG, WebP, GIF, TIFF, BMP, PPM, AVIF or HEIC image"
        ) from None
    except DAMAGED as error:
        if is_of_the_system(error):
            raise
        # Pillow's decoders have no other error for it.
        if isinstance(error, OSError) and str(error).startswith("out of memory"):
            raise MemoryError(str(error)) from None
        raise ImageError(" ".join(str(error).split()) or type(error).__name__) from None
    pixels = np.asarray(image, dtype=np.uint8).reshape(height, width, channels)
    if counts and uncounted:
        counts.add(uncounted, BITS_8, declared=False, largest=float(pixels.max()))
    return pixels


def _from_array(
    values: np.ndarray, value_range: ValueRange | None, counts: RangeCounts | None
) -> tuple[Image.Image, str | None]:
    """The image, and its kind if its values are 8 bits as they were, which are not counted yet."""
    if values.ndim == 3 and values.shape[2] == 1:
        values = values[..., 0]
    if values.dtype == np.uint8 and value_range is None:
        return Image.fromarray(values), values.dtype.name
    known = known_range(values.dtype)
    scaled = _to_8_bits(values, values.dtype.name, known, value_range, counts)
    return Image.fromarray(scaled), None


def _decode(
    content: bytes, draft_size: int, value_range: ValueRange | None, counts: RangeCounts | None
) -> tuple[Image.Image, str | None]:
    image = opened = _opened(content)
    if image.width * image.height > MAX_PIXELS:
        raise ValueError(f"{image.width} x {image.height} pixels are more than {MAX_PIXELS:,}")
    image.draft(None, (draft_size, draft_size))  # before it is turned: both are the longer side
    stored, is_ppm = _stored_mode(image), image.format == "PPM"
    # First of all, as width and height may change places.
    image = ImageOps.exif_transpose(image)
    if counts and _has_more(opened):
        counts.add_first(str(opened.format))
    if image.mode.startswith(("I", "F")):
        values = np.asarray(image)
        known = known_range(values.dtype)
        if ";12" in stored:
            kind, known = "12 bits", (0.0, 4095.0)
        elif known or is_ppm:  # Pillow scales the values of a PPM to 16 bits
            kind, known = "16 bits", BITS_16
        else:
            kind = values.dtype.name
        return Image.fromarray(_to_8_bits(values, kind, known, value_range, counts)), None
    if ";16" in stored and stored != "BGR;16":  # which has 16 bits per pixel
        # Pillow reads the high eight bits of colour images.
        if value_range not in (None, BITS_16):
            raise ImageError(
                "it has 16 bits in each of several channels, of which Pillow reads the high 8: "
                "value_range cannot scale it, convert it to 8 bits"
            )
        if counts:
            largest = 257.0 * np.asarray(image.convert("RGB")).max()
            counts.add(HIGH_BITS_FILE, BITS_16, declared=False, largest=largest)
        return image, None
    if counts and value_range not in (None, BITS_8):
        counts.add_unfit(value_range)
    return image, BITS_8_FILE


def _opened(content: bytes) -> Image.Image:
    try:
        return Image.open(io.BytesIO(content), formats=FORMATS)
    except UnidentifiedImageError:
        if not may_be_heif(content):
            raise
    try:
        return open_heif(content)
    except ImportError as error:
        raise ImageError(str(error)) from None


def _in_part(
    decode: Callable[[], tuple[Image.Image, str | None]], counts: RangeCounts | None
) -> tuple[Image.Image, str | None]:
    try:
        return decode()
    except DAMAGED:
        with truncated_loaded():
            decoded = decode()
        if counts:
            counts.add_truncated()
        return decoded


def _has_more(image: Image.Image) -> bool:
    """Whether the file has several pages or frames."""
    try:
        return bool(getattr(image, "is_animated", False))
    except DAMAGED:  # of the second one, which is not needed
        return True


def _stored_mode(image: Image.Image) -> str:
    """Pillow's name of how the file has the pixels, for example ``RGB;16B``."""
    tiles = getattr(image, "tile", None)
    arguments = tiles[0][3] if tiles else ""
    mode = arguments[0] if isinstance(arguments, (tuple, list)) and arguments else arguments
    return mode if isinstance(mode, str) else ""


def _to_8_bits(
    values: np.ndarray,
    kind: str,
    known: ValueRange | None,
    declared: ValueRange | None,
    counts: RangeCounts | None,
) -> np.ndarray:
    if not np.isfinite(values).all():
        raise ImageError("it has values that are not finite")
    smallest, largest = float(values.min()), float(values.max())
    value_range = declared or known
    if value_range is None:
        raise UnknownRangeError(
            f"its values are {kind}, here from {smallest:g} to {largest:g}, and their range is not "
            "known: declare value_range"
        )
    if counts:
        counts.add(
            kind,
            value_range,
            declared=declared is not None,
            largest=largest,
            smallest=smallest,
        )
    return scale(values, value_range)


def _without_transparency(image: Image.Image, colour: str) -> Image.Image:
    if image.has_transparency_data:
        image = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", image.size, colour), image)
    return image
