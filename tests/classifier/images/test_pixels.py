"""Decoding of images of all modes, sizes and orientations."""

import errno
import io
import re
import struct
import zlib
from typing import Any

import numpy as np
import pytest
from PIL import Image
from PIL.JpegImagePlugin import JpegImageFile
from PIL.PngImagePlugin import PngImageFile

from classifier.images import pixels as module
from classifier.images.pixels import ImageError, UnknownRangeError, to_pixels
from classifier.images.ranges import RangeCounts


def encoded(image: Image.Image, kind: str = "PNG", **options: object) -> bytes:
    content = io.BytesIO()
    image.save(content, kind, **options)
    return content.getvalue()


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "I;16"])
@pytest.mark.parametrize("channels", [1, 3])
def test_every_mode(mode: str, channels: int) -> None:
    image = Image.new(mode, (30, 20))
    content = encoded(image, "TIFF" if mode in ("CMYK",) else "PNG")
    pixels = to_pixels(content, size=8, channels=channels, fit="crop")
    assert (pixels.shape, pixels.dtype) == ((8, 8, channels), np.uint8)


def test_crop_keeps_the_centre_and_pad_the_whole() -> None:
    image = Image.new("RGB", (30, 10), "red")
    image.paste("blue", (10, 0, 20, 10))
    content = encoded(image)
    cropped = to_pixels(content, size=10, channels=3, fit="crop")
    assert (cropped == [0, 0, 255]).all()
    padded = to_pixels(content, size=30, channels=3, fit="pad")
    assert (padded[:9] == 0).all()
    assert (padded[21:] == 0).all()
    assert (padded[15, 2] == [255, 0, 0]).all()


def test_a_shape_that_is_not_square_is_cropped_and_padded_too() -> None:
    image = Image.new("RGB", (30, 30), "red")
    image.paste("blue", (0, 10, 30, 20))
    content = encoded(image)
    cropped = to_pixels(content, size=(10, 30), channels=3, fit="crop")
    assert cropped.shape == (10, 30, 3)
    assert (cropped == [0, 0, 255]).all()
    padded = to_pixels(content, size=(30, 60), channels=3, fit="pad")
    assert padded.shape == (30, 60, 3)
    assert (padded[:, :15] == 0).all()
    assert (padded[:, 45:] == 0).all()
    assert (padded[2, 16:44] == [255, 0, 0]).all()
    np.testing.assert_array_equal(
        to_pixels(content, size=(10, 10), channels=3, fit="crop"),
        to_pixels(content, size=10, channels=3, fit="crop"),
    )


@pytest.mark.parametrize("size", [(16, 128), (128, 16)])
def test_a_turned_jpeg_is_not_decoded_too_small_for_a_long_side(size: tuple[int, int]) -> None:
    rng = np.random.default_rng(0)
    blobs = Image.fromarray(rng.integers(0, 256, (12, 16, 3), np.uint8))
    large = blobs.resize((1600, 1200), Image.Resampling.BICUBIC)
    turned = encoded(large, "JPEG", quality=95, exif=b"Exif\0\0" + exif_orientation(6))
    small = to_pixels(turned, size=size, channels=3, fit="crop").astype(int)
    exact = to_pixels(encoded(large.rotate(-90, expand=True)), size=size, channels=3, fit="crop")
    assert np.abs(small - exact).mean() < 2


def exif_orientation(number: int) -> bytes:
    exif = Image.Exif()
    exif[0x0112] = number
    return exif.tobytes().removeprefix(b"Exif\0\0")


def test_reducing_is_antialiased() -> None:
    stripes = np.zeros((64, 64), np.uint8)
    stripes[:, ::2] = 255
    pixels = to_pixels(stripes, size=8, channels=1, fit="crop")
    assert 120 <= pixels.min() <= pixels.max() <= 135


def test_large_jpegs_are_decoded_at_a_smaller_size_to_nearly_the_same_pixels(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    rng = np.random.default_rng(0)
    blobs = Image.fromarray(rng.integers(0, 256, (12, 16, 3), np.uint8))
    content = encoded(blobs.resize((1600, 1200), Image.Resampling.BICUBIC), "JPEG", quality=90)
    drafted: list[tuple[int, int]] = []
    draft = JpegImageFile.draft

    def recorded(self: JpegImageFile, mode: str | None, size: tuple[int, int] | None) -> object:
        result = draft(self, mode, size)
        drafted.append(self.size)
        return result

    monkeypatch.setattr(JpegImageFile, "draft", recorded)
    small = to_pixels(content, size=64, channels=3, fit="crop").astype(int)
    monkeypatch.setattr(module, "DRAFT_FACTOR", 100)
    exact = to_pixels(content, size=64, channels=3, fit="crop").astype(int)
    assert drafted == [(200, 150), (1600, 1200)]
    assert np.abs(small - exact).mean() < 0.5
    assert np.abs(small - exact).max() <= 4


def test_arrays_of_the_same_size_do_not_change() -> None:
    pixels = np.arange(784, dtype=np.uint32).astype(np.uint8).reshape(28, 28)
    assert (to_pixels(pixels, size=28, channels=1, fit="crop")[..., 0] == pixels).all()


def test_orientation_is_applied() -> None:
    image = Image.new("RGB", (10, 10), "red")
    image.paste("blue", (0, 0, 10, 5))
    exif = Image.Exif()
    exif[0x0112] = 3  # upside down
    pixels = to_pixels(encoded(image, exif=exif), size=10, channels=3, fit="crop")
    assert (pixels[0, 0] == [255, 0, 0]).all()


def test_white_replaces_transparency() -> None:
    content = encoded(Image.new("RGBA", (8, 8), (0, 0, 0, 0)))
    assert (to_pixels(content, size=8, channels=3, fit="crop") == 255).all()


@pytest.mark.parametrize("content", [b"", b"text", b"\xff\xd8\xff\xe0 cut"])
def test_bytes_that_are_not_an_image(content: bytes) -> None:
    with pytest.raises(ImageError):
        to_pixels(content, size=8, channels=3, fit="crop")


def test_truncated_jpeg() -> None:
    content = encoded(Image.effect_noise((200, 200), 90), "JPEG")
    with pytest.raises(ImageError, match="truncated"):
        to_pixels(content[: len(content) // 2], size=8, channels=3, fit="crop")


def test_too_many_pixels_are_refused_before_decoding(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_PIXELS", 99)
    with pytest.raises(ImageError, match="10 x 10 pixels are more than 99"):
        to_pixels(encoded(Image.new("L", (10, 10))), size=8, channels=3, fit="crop")


@pytest.mark.fault(
    "memory error, or a disk error, while images are decoded", "not the image's fault"
)
@pytest.mark.parametrize(
    ("raised", "expected"),
    [
        (MemoryError(), MemoryError),
        (OSError("out of memory error when reading image file"), MemoryError),  # Pillow's own
        (OSError(errno.EIO, "Input/output error"), OSError),
        (ImportError("a codec"), ImportError),
    ],
)
def test_an_error_that_is_not_of_the_image(
    monkeypatch: pytest.MonkeyPatch, raised: Exception, expected: type[Exception]
) -> None:
    def load(self: Image.Image) -> None:
        raise raised

    content = encoded(Image.new("L", (10, 10)))
    monkeypatch.setattr(PngImageFile, "load", load)
    with pytest.raises(expected):
        to_pixels(content, size=8, channels=3, fit="crop")


def grey(values: bytes | np.ndarray, **options: Any) -> int:
    """The grey of an image of one value."""
    pixels = to_pixels(values, size=8, channels=1, fit="crop", **options)
    assert pixels.min() == pixels.max()
    return int(pixels[0, 0, 0])


def flat(value: float, dtype: Any) -> np.ndarray:
    return np.full((9, 9), value, dtype)


def as_file(values: np.ndarray, kind: str) -> bytes:
    return encoded(Image.fromarray(values), kind)


@pytest.mark.parametrize(
    ("content", "value_range", "expected"),
    [
        (as_file(flat(0.5, np.float32), "TIFF"), (0, 1), 128),
        (as_file(flat(100, np.int32), "TIFF"), (0, 255), 100),
        (as_file(flat(-500, np.int32), "TIFF"), (-1000, 0), 128),
        (as_file(flat(2048, np.uint16), "PNG"), (0, 4095), 128),
        (as_file(flat(2048, np.uint16), "PNG"), None, 8),
        (as_file(flat(65535, np.uint16), "TIFF"), None, 255),
        (as_file(flat(5000, np.uint16), "PNG"), (0, 4095), 255),
        (as_file(flat(1, np.uint8), "PNG"), (0, 1), 1),
        (flat(0.5, np.float64), (0, 1), 128),
        (flat(8, np.uint8), (0, 16), 128),
        (flat(100, np.int64), (0, 255), 100),
        (flat(32768, np.uint16), None, 128),
        (flat(True, bool), None, 255),
    ],
)
def test_values_of_any_range_are_scaled(
    content: Any, value_range: tuple[float, float] | None, expected: int
) -> None:
    assert grey(content, value_range=value_range) == expected


@pytest.mark.fault("values of an unknown range", "one line that asks for value_range")
@pytest.mark.parametrize(
    ("content", "values"),
    [
        (as_file(flat(1, np.float32), "TIFF"), "float32, here from 1 to 1"),
        (as_file(flat(70000, np.int32), "TIFF"), "int32, here from 70000 to 70000"),
        (flat(0.5, np.float64), "float64, here from 0.5 to 0.5"),
        (flat(9, np.int64), "int64, here from 9 to 9"),
    ],
)
def test_an_unknown_range_is_not_guessed(content: Any, values: str) -> None:
    with pytest.raises(UnknownRangeError, match=f"^its values are {values}, and their range is"):
        to_pixels(content, size=8, channels=1, fit="crop")


@pytest.mark.fault("values that are not finite", "one line")
def test_values_that_are_not_finite() -> None:
    with pytest.raises(ImageError, match="it has values that are not finite"):
        grey(flat(np.nan, np.float32), value_range=(0, 1))


def test_a_range_for_colours_of_16_bits_is_refused() -> None:
    content = colours_of_16_bits(4095)
    assert to_pixels(content, size=8, channels=3, fit="crop").max() == 15
    with pytest.raises(ImageError, match="16 bits in each of several channels"):
        to_pixels(content, size=8, channels=3, fit="crop", value_range=(0, 4095))


def colours_of_16_bits(value: int) -> bytes:
    """A PNG of 9 x 9 pixels with three channels of 16 bits, which Pillow does not write."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        checksum = zlib.crc32(kind + data)
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", checksum)

    header = struct.pack(">IIBBBBB", 9, 9, 16, 2, 0, 0, 0)
    rows = zlib.compress((b"\0" + value.to_bytes(2, "big") * 27) * 9)
    png = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", rows)
    return png + chunk(b"IEND", b"")


def bitmap_of_16_bits() -> bytes:
    """A white BMP of 8 x 8 pixels with 5, 6 and 5 bits per channel, which Pillow does not write."""
    header = struct.pack("<IiiHHIIiiII", 40, 8, 8, 1, 16, 3, 128, 0, 0, 0, 0)
    header += struct.pack("<III", 0xF800, 0x07E0, 0x001F)
    start = 14 + len(header)
    return b"BM" + struct.pack("<IHHI", start + 128, 0, 0, start) + header + b"\xff" * 128


def test_a_bitmap_of_16_bits_per_pixel_is_a_file_of_8_bits_per_channel() -> None:
    assert grey(bitmap_of_16_bits(), value_range=(0, 1)) == 255
    (line,) = lines([bitmap_of_16_bits()], (0, 1)).warnings()
    assert line.startswith("1 images of 8 bits keep the range [0, 255]")


def lines(contents: list[Any], value_range: tuple[float, float] | None = None) -> RangeCounts:
    counts = RangeCounts()
    for content in contents:
        to_pixels(content, size=8, channels=1, fit="crop", value_range=value_range, counts=counts)
    return counts


def test_what_is_scaled_is_counted() -> None:
    counts = lines([as_file(flat(60000, np.uint16), "PNG")] * 3 + [flat(200, np.uint8)])
    assert counts.scaled() == ["scaled 3 images of 16 bits from [0, 65535] to [0, 255]"]
    assert counts.warnings() == []


@pytest.mark.fault("12 bits in images of 16", "one line with their number and largest value")
@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (as_file(flat(4095, np.uint16), "PNG"), "16 bits .* is 4095 of 65535; .* value_range"),
        (flat(4095, np.uint16), "uint16 .* is 4095 of 65535; .* declare their value_range"),
        (flat(16, np.uint8), "uint8 .* is 16 of 255; .* declare their value_range"),
        # The range of these cannot be declared.
        (as_file(flat(16, np.uint8), "PNG"), "8 bits .* is 16 of 255; .* convert the files"),
        (colours_of_16_bits(4095), "16 bits per channel .* is 3855 of 65535; .* convert the files"),
    ],
    ids=["16 bits", "array of 16 bits", "array of 8 bits", "8 bits", "16 bits per channel"],
)
def test_nearly_black_images_are_counted(content: Any, expected: str) -> None:
    (line,) = lines([content] * 2).warnings()
    expected = expected.replace(" .* is", " become nearly black: their largest value is")
    assert re.match(f"2 of 2 images of {expected}", line)
    assert ("value_range" in line) == ("value_range" in expected)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_a_bright_image_hides_no_nearly_black_ones(dtype: type) -> None:
    bright = np.iinfo(dtype).max
    dark = bright // 16
    counts = lines([flat(dark, dtype)] * 5 + [flat(2, dtype), flat(bright, dtype)])
    (line,) = counts.warnings()
    assert line.startswith("6 of 7 images of ")
    assert f"become nearly black: their largest value is {dark} of {bright};" in line


def test_a_few_black_images_are_ordinary() -> None:
    assert lines([flat(0, np.uint8)] * 3 + [flat(200, np.uint8)] * 3).warnings() == []


def test_values_outside_the_declared_range_are_counted() -> None:
    counts = lines([flat(5000, np.uint16), flat(9, np.uint16)], (0, 4095))
    assert counts.warnings() == [
        "1 images of uint16 have values outside value_range [0, 4095], which are cut off"
    ]


@pytest.mark.fault("a value_range for files of 8 bits", "ignored, one line with their number")
@pytest.mark.parametrize("value_range", [(0, 1), (0, 128), (0, 4095)], ids=str)
@pytest.mark.parametrize("kind", ["PNG", "JPEG", "TIFF"])
def test_files_of_8_bits_keep_their_range(kind: str, value_range: tuple[float, float]) -> None:
    files = [as_file(flat(200, np.uint8), kind)] * 3
    assert grey(files[0], value_range=value_range) == 200
    counts = lines(files, value_range)
    low, high = value_range
    assert counts.warnings() == [
        f"3 images of 8 bits keep the range [0, 255]: value_range [{low}, {high}] is for other "
        "formats"
    ]
    assert counts.scaled() == []
    assert lines(files, (0, 255)).warnings() == []
