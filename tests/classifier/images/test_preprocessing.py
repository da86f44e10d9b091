"""How images become pixels: what is written is read, and used."""

import io
import json
from pathlib import Path
from typing import Literal

import numpy as np
import pytest
from PIL import Image

from classifier.images.pixels import Fit, to_pixels
from classifier.images.preprocessing import Preprocessing, read_preprocessing


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("fit", ["crop", "pad"])
def test_what_is_written_makes_the_same_pixels(
    tmp_path: Path, channels: Literal[1, 3], fit: Fit
) -> None:
    file = tmp_path / "preprocessing.json"
    Preprocessing(image_size=8, channels=channels, fit=fit).write(file)
    preprocessing = read_preprocessing(file)
    content = io.BytesIO()
    pixels = np.random.default_rng(0).integers(0, 256, (30, 20, 3), np.uint8)
    Image.fromarray(pixels).save(content, "PNG")
    image = preprocessing(content.getvalue())
    assert image.shape == preprocessing.shape == (8, 8, channels)
    expected = to_pixels(content.getvalue(), size=8, channels=channels, fit=fit)
    np.testing.assert_array_equal(image, expected)


def test_the_file_says_what_another_language_needs(tmp_path: Path) -> None:
    file = tmp_path / "preprocessing.json"
    Preprocessing(image_size=8, channels=1, fit="pad").write(file)
    assert file.read_text().splitlines()[1:-1] == [
        '  "image_size": 8,',
        '  "channels": 1,',
        '  "fit": "pad",',
        '  "dtype": "uint8",',
        '  "value_range": null,',
        '  "orientation": "exif",',
        '  "transparency": "white",',
        '  "borders": "black",',
        '  "resampling": "lanczos"',
    ]


def test_a_shape_that_is_not_square_is_written_as_height_and_width(tmp_path: Path) -> None:
    file = tmp_path / "preprocessing.json"
    Preprocessing(image_size=(12, 20), channels=3, fit="crop").write(file)
    assert json.loads(file.read_text())["image_size"] == [12, 20]
    preprocessing = read_preprocessing(file)
    assert preprocessing.shape == (12, 20, 3)
    assert preprocessing(np.zeros((30, 30, 3), np.uint8)).shape == (12, 20, 3)
    Preprocessing(image_size=(20, 20), channels=3, fit="crop").write(file)
    assert json.loads(file.read_text())["image_size"] == 20


def test_a_declared_range_is_written_and_applied_to_files_alone(tmp_path: Path) -> None:
    file = tmp_path / "preprocessing.json"
    Preprocessing(image_size=8, channels=1, fit="crop", value_range=(0, 1)).write(file)
    preprocessing = read_preprocessing(file)
    assert preprocessing.value_range == (0, 1)
    content = io.BytesIO()
    Image.fromarray(np.full((8, 8), 0.5, np.float32)).save(content, "TIFF")
    assert (preprocessing(content.getvalue()) == 128).all()
    assert (preprocessing(np.full((8, 8), 50, np.uint8)) == 50).all()


def test_an_ordinary_photo_keeps_its_pixels_under_a_range_of_other_formats() -> None:
    content = io.BytesIO()
    pixels = np.random.default_rng(0).integers(0, 256, (30, 20, 3), np.uint8)
    Image.fromarray(pixels).save(content, "JPEG")
    answers = [
        Preprocessing(image_size=8, channels=3, fit="crop", value_range=value_range)
        for value_range in (None, (0, 1))
    ]
    whole, ranged = (preprocessing(content.getvalue()) for preprocessing in answers)
    np.testing.assert_array_equal(whole, ranged)
