"""The pixels that TensorFlow's graph makes of encoded pictures are those that Pillow makes."""

import io
from collections.abc import Callable
from functools import cache, partial
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from classifier.images.preprocessing import Preprocessing
from classifier.serving.encoded import pixels_of

LARGEST, MEAN = 1, 0.01  # of the difference of pixels, 0..255: the last bit of a few
ORIENTATION = 0x0112

# Small, so that the pictures below are decoded at half or a quarter of their size too.
PREPROCESSINGS = {
    "crop": Preprocessing(
        image_size=(12, 20), channels=3, fit="crop", transparency="#8090a0", value_range=(0, 4095)
    ),
    "pad": Preprocessing(image_size=16, channels=1, fit="pad"),
}


def photo(height: int, width: int, mode: str = "RGB") -> Image.Image:
    """A smooth picture; of another mode than L and RGB, with every opacity."""
    rng = np.random.default_rng(height + width)
    channels = {"L": 1, "RGB": 3}.get(mode, 4)
    coarse = rng.integers(0, 256, (5, 7, channels), dtype=np.uint8)
    image = Image.fromarray(coarse.squeeze()).resize((width, height), Image.Resampling.BICUBIC)
    return image.convert(mode)


def encoded(image: Image.Image, format: str = "PNG", **options: Any) -> bytes:
    content = io.BytesIO()
    image.save(content, format, **options)
    return content.getvalue()


def turned(orientation: int, byte_order: str = "<") -> bytes:
    exif = Image.Exif()
    exif.endian = byte_order
    exif[0x010F] = "a camera"
    exif[ORIENTATION] = orientation
    return encoded(photo(30, 47), "JPEG", exif=exif)


def palette(**options: Any) -> bytes:
    """A palette of four colours, two bits a pixel."""
    image = Image.fromarray((np.arange(180).reshape(12, 15) % 4).astype(np.uint8))
    image = Image.frombytes("P", image.size, image.tobytes())
    image.putpalette([0, 0, 0, 80, 90, 100, 170, 160, 150, 255, 250, 245])
    return encoded(image, bits=2, **options)


def grey_16(mode_range: int) -> bytes:
    values = np.asarray(photo(40, 30, "L")).astype(np.uint16) * (mode_range // 255)
    return encoded(Image.fromarray(values))


def colours_16() -> bytes:
    """A PNG of 16 bits in each of three channels, which Pillow cannot write."""
    values = np.asarray(photo(20, 26)).astype(np.uint16) * 256 + 77
    content: bytes = tf.io.encode_png(values).numpy()
    return content


PICTURES: dict[str, Callable[[], bytes]] = {
    "a JPEG": lambda: encoded(photo(30, 47), "JPEG"),
    "a smaller JPEG": lambda: encoded(photo(9, 11), "JPEG"),
    "a JPEG of a draft's size, a half": lambda: encoded(photo(97, 133), "JPEG"),
    "a JPEG of a draft's size, a quarter": lambda: encoded(photo(205, 190), "JPEG"),
    "a grey JPEG": lambda: encoded(photo(30, 47, "L"), "JPEG"),
    "a JPEG of CMYK": lambda: encoded(photo(30, 47).convert("CMYK"), "JPEG"),
    "a progressive JPEG": lambda: encoded(photo(30, 47), "JPEG", progressive=True),
    "a JPEG after a comment": lambda: encoded(photo(30, 47), "JPEG", comment=b"Exif\0\0" * 9),
    "a PNG": lambda: encoded(photo(51, 38)),
    "a smaller PNG": lambda: encoded(photo(7, 5)),
    "a PNG of the size": lambda: encoded(photo(12, 20)),
    "a grey PNG": lambda: encoded(photo(51, 38, "L")),
    "a PNG of RGBA": lambda: encoded(photo(51, 38, "RGBA")),
    "a PNG of grey and opacity": lambda: encoded(photo(51, 38, "RGBA").convert("LA")),
    "a PNG with a transparent colour": lambda: encoded(
        Image.new("RGB", (30, 40), (1, 2, 3)), transparency=(1, 2, 3)
    ),
    "a PNG with a transparent grey": lambda: encoded(photo(51, 38, "L"), transparency=99),
    "a palette": lambda: encoded(photo(51, 38).quantize(200)),
    "a palette of two bits": palette,
    "a palette of two bits, one transparent": lambda: palette(transparency=1),
    "a PNG of one bit": lambda: encoded(photo(51, 38, "L").convert("1")),
    "a BMP": lambda: encoded(photo(30, 47), "BMP"),
    "a GIF": lambda: encoded(photo(30, 47), "GIF"),
    **{f"a JPEG turned by {number}": partial(turned, number) for number in range(10)},
    "a JPEG turned, big endian": lambda: turned(6, ">"),
}


@cache
def graph(fit: str) -> Any:
    contents = tf.TensorSpec((None,), tf.string)
    return tf.function(pixels_of(PREPROCESSINGS[fit]), input_signature=[contents])


@cache
def pixels(fit: str) -> dict[str, np.ndarray]:
    """Those of all pictures, decoded together: each has a size of its own."""
    contents = tf.constant([picture() for picture in PICTURES.values()])
    return dict(zip(PICTURES, graph(fit)(contents).numpy(), strict=True))


def check(found: np.ndarray, expected: np.ndarray) -> None:
    assert found.dtype == expected.dtype == np.uint8
    assert found.shape == expected.shape
    difference = np.abs(found.astype(int) - expected)
    assert difference.max() <= LARGEST
    assert difference.mean() <= MEAN


@pytest.mark.parametrize("fit", PREPROCESSINGS)
@pytest.mark.parametrize("picture", PICTURES)
def test_pixels_are_those_of_training(picture: str, fit: str) -> None:
    check(pixels(fit)[picture], PREPROCESSINGS[fit](PICTURES[picture]()))


@pytest.mark.parametrize(("fit", "largest"), [("crop", 4095), ("pad", 65535)])
def test_a_grey_png_of_16_bits_is_scaled_as_in_training(fit: str, largest: int) -> None:
    content = grey_16(largest)
    found = graph(fit)(tf.constant([content])).numpy()[0]
    assert found.max() > 100
    check(found, PREPROCESSINGS[fit](content))


def test_of_16_bits_in_several_channels_the_high_8_are_taken() -> None:
    content = colours_16()
    check(graph("pad")(tf.constant([content])).numpy()[0], PREPROCESSINGS["pad"](content))


def test_damaged_exif_leaves_a_picture_as_it_is() -> None:
    whole = turned(6)
    place = whole.index(b"Exif\0\0") + 6
    contents = [
        whole[: place + 4] + b"\xff\xff\xff\x7f" + whole[place + 8 :],  # its place is far behind
        whole[: place + 8] + b"\xff\xff" + whole[place + 10 :],  # 65,535 entries
        whole.replace(b"Exif\0\0", b"Exif\0\1"),
    ]
    as_it_is = PREPROCESSINGS["crop"](encoded(photo(30, 47), "JPEG"))
    sideways = PREPROCESSINGS["crop"](whole)
    far, many, other = graph("crop")(tf.constant(contents)).numpy()
    check(far, as_it_is)
    check(many, sideways)
    check(other, as_it_is)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "Input is empty"),
        (b"no picture", "Unknown image file format"),
        (encoded(photo(51, 38))[:20], "Invalid PNG"),
        (encoded(photo(51, 38))[:300], "Invalid PNG"),
        (encoded(photo(30, 47), "JPEG")[:20], "Invalid JPEG"),
        (encoded(photo(30, 47), "JPEG")[:500], "Invalid JPEG"),
    ],
    ids=["nothing", "text", "a PNG's header", "half a PNG", "a JPEG's header", "half a JPEG"],
)
def test_what_cannot_be_decoded_is_an_error(content: bytes, message: str) -> None:
    pictures = tf.constant([encoded(photo(20, 20)), content])
    with pytest.raises(tf.errors.InvalidArgumentError, match=message):
        graph("pad")(pictures)
