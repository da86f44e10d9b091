"""Pictures to pixels, of every mode, size and orientation."""

import io

import numpy as np
import pytest
from PIL import Image
from PIL.JpegImagePlugin import JpegImageFile

from classifier.data import images
from classifier.data.images import ImageError, to_pixels


def encoded(picture: Image.Image, kind: str = "PNG", **options: object) -> bytes:
    content = io.BytesIO()
    picture.save(content, kind, **options)
    return content.getvalue()


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "I;16"])
@pytest.mark.parametrize("channels", [1, 3])
def test_every_mode(mode: str, channels: int) -> None:
    picture = Image.new(mode, (30, 20))
    content = encoded(picture, "TIFF" if mode in ("CMYK",) else "PNG")
    pixels = to_pixels(content, size=8, channels=channels, fit="crop")
    assert (pixels.shape, pixels.dtype) == ((8, 8, channels), np.uint8)


def test_crop_keeps_the_centre_and_pad_the_whole() -> None:
    picture = Image.new("RGB", (30, 10), "red")
    picture.paste("blue", (10, 0, 20, 10))
    content = encoded(picture)
    cropped = to_pixels(content, size=10, channels=3, fit="crop")
    assert (cropped == [0, 0, 255]).all()
    padded = to_pixels(content, size=30, channels=3, fit="pad")
    assert (padded[:9] == 0).all()
    assert (padded[21:] == 0).all()
    assert (padded[15, 2] == [255, 0, 0]).all()


def test_reducing_is_antialiased() -> None:
    stripes = np.zeros((64, 64), np.uint8)
    stripes[:, ::2] = 255
    pixels = to_pixels(stripes, size=8, channels=1, fit="crop")
    assert 120 <= pixels.min() <= pixels.max() <= 135


def test_large_jpegs_are_decoded_smaller_to_nearly_the_same_pixels(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    rng = np.random.default_rng(0)
    blobs = Image.fromarray(rng.integers(0, 256, (12, 16, 3), np.uint8))
    content = encoded(blobs.resize((1600, 1200), Image.Resampling.BICUBIC), "JPEG", quality=90)
    drafted: list[tuple[int, int]] = []
    draft = JpegImageFile.draft

    def remembered(self: JpegImageFile, mode: str | None, size: tuple[int, int] | None) -> object:
        found = draft(self, mode, size)
        drafted.append(self.size)
        return found

    monkeypatch.setattr(JpegImageFile, "draft", remembered)
    small = to_pixels(content, size=64, channels=3, fit="crop").astype(int)
    monkeypatch.setattr(images, "SPARE", 100)
    exact = to_pixels(content, size=64, channels=3, fit="crop").astype(int)
    assert drafted == [(200, 150), (1600, 1200)]
    assert np.abs(small - exact).mean() < 0.5
    assert np.abs(small - exact).max() <= 4


def test_same_size_arrays_are_untouched() -> None:
    pixels = np.arange(784, dtype=np.uint32).astype(np.uint8).reshape(28, 28)
    assert (to_pixels(pixels, size=28, channels=1, fit="crop")[..., 0] == pixels).all()


def test_orientation_is_applied() -> None:
    picture = Image.new("RGB", (10, 10), "red")
    picture.paste("blue", (0, 0, 10, 5))
    exif = Image.Exif()
    exif[0x0112] = 3  # upside down
    pixels = to_pixels(encoded(picture, exif=exif), size=10, channels=3, fit="crop")
    assert (pixels[0, 0] == [255, 0, 0]).all()


def test_transparency_lies_over_white() -> None:
    content = encoded(Image.new("RGBA", (8, 8), (0, 0, 0, 0)))
    assert (to_pixels(content, size=8, channels=3, fit="crop") == 255).all()


@pytest.mark.parametrize("content", [b"", b"text", b"\xff\xd8\xff\xe0 cut"])
def test_what_is_no_picture(content: bytes) -> None:
    with pytest.raises(ImageError):
        to_pixels(content, size=8, channels=3, fit="crop")


def test_truncated_jpeg() -> None:
    content = encoded(Image.effect_noise((200, 200), 90), "JPEG")
    with pytest.raises(ImageError, match="truncated"):
        to_pixels(content[: len(content) // 2], size=8, channels=3, fit="crop")


def test_too_many_pixels_are_refused_before_decoding(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(images, "MAX_PIXELS", 99)
    with pytest.raises(ImageError, match="10 x 10 pixels are more than 99"):
        to_pixels(encoded(Image.new("L", (10, 10))), size=8, channels=3, fit="crop")
