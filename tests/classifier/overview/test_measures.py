"""Measures of images: size, brightness and sharpness."""

import io

import numpy as np
import pytest
from PIL import Image, ImageFilter
from scipy import ndimage

from classifier.overview import measures
from classifier.overview.measures import Measures, luma, sharpness, stored_size


def stored(size: tuple[int, int], form: str, orientation: int = 1) -> bytes:
    exif = Image.Exif()
    exif[0x0112] = orientation
    content = io.BytesIO()
    Image.new("RGB", size).save(content, form, exif=exif)
    return content.getvalue()


@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP", "TIFF"])
def test_sizes_are_those_of_the_upright_original(form: str) -> None:
    assert stored_size(stored((40, 30), form)) == (40, 30)
    assert stored_size(stored((40, 30), form, orientation=6)) == (30, 40)
    assert stored_size(stored((40, 30), form, orientation=3)) == (40, 30)


def test_sizes_of_arrays() -> None:
    assert stored_size(np.zeros((30, 40))) == (40, 30)
    assert stored_size(np.zeros((30, 40, 3))) == (40, 30)


def test_luma_is_that_of_pillow_within_one() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (3, 20, 30, 3)).astype(np.uint8)
    pillow = np.stack([np.asarray(Image.fromarray(image).convert("L")) for image in pixels])
    assert np.abs(luma(pixels) - pillow.astype(int)).max() <= 1
    assert luma(pillow[..., None]).tolist() == pillow.tolist()
    extremes = luma(np.stack([np.zeros((2, 2, 3)), np.full((2, 2, 3), 255)]).astype(np.uint8))
    assert extremes[:, 0, 0].tolist() == [0, 255]


def test_sharpness_is_the_variance_of_the_laplacian() -> None:
    grey = np.random.default_rng(0).integers(0, 256, (5, 24, 17)).astype(np.int16)
    expected = [ndimage.laplace(image.astype(int))[1:-1, 1:-1].var() for image in grey]
    assert sharpness(grey).tolist() == pytest.approx(expected)
    noise = Image.fromarray(grey[0].astype(np.uint8))
    blurred = np.asarray(noise.filter(ImageFilter.GaussianBlur(2))).astype(np.int16)[None]
    assert sharpness(blurred)[0] < 0.1 * expected[0]


@pytest.mark.parametrize("channels", [1, 3])
def test_one_by_one_or_together_is_the_same(channels: int, monkeypatch: pytest.MonkeyPatch) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (10, 16, 16, channels)).astype(np.uint8)
    tables = []
    for buffer in (1, 3 * pixels[0].nbytes, 2**21):
        monkeypatch.setattr(measures, "BUFFER", buffer)
        measured = Measures()
        for number, image in enumerate(pixels):
            measured.add(np.zeros((10, 20 + number)), image)
        tables.append(measured.table())
    assert tables[0].equals(tables[1]) and tables[1].equals(tables[2])
    assert tables[0]["width"].tolist() == list(range(20, 30))
    assert tables[0]["brightness"].to_numpy() == pytest.approx(
        luma(pixels).mean(axis=(1, 2)), abs=0.06
    )


def test_no_image_is_a_table_without_rows() -> None:
    assert list(Measures().table()) == ["width", "height", "brightness", "sharpness"]
    assert len(Measures().table()) == 0
