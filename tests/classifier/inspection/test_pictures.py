"""Formats, sizes and colours of pictures, by their content."""

import tarfile
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from classifier.formats.contents import Entry
from classifier.inspection.findings import what_looks_wrong
from classifier.inspection.overview import overview
from classifier.inspection.pictures import Pictures, measure, measure_arrays


def save(folder: Path, name: str, mode: str, size: tuple[int, int], **options: Any) -> Entry:
    rng = np.random.default_rng(len(name))
    image = Image.fromarray(rng.integers(0, 255, (size[1], size[0]), np.uint8)).convert(mode)
    image.save(folder / name, **options)
    return Entry(name, name, "a")


@pytest.fixture
def folder(tmp_path: Path) -> tuple[Path, list[Entry]]:
    entries = [
        save(tmp_path, "grey.jpg", "L", (30, 20)),
        save(tmp_path, "grey-as-colour.jpg", "RGB", (60, 40), quality=60),
        save(tmp_path, "palette.png", "P", (10, 8)),
        save(tmp_path, "transparent.webp", "LA", (90, 50), lossless=True),
        save(tmp_path, "floats.tif", "F", (12, 10)),
    ]
    Image.new("RGB", (300, 200), (200, 40, 40)).save(tmp_path / "red.bmp")
    Image.new("CMYK", (400, 300), (0, 200, 200, 20)).save(tmp_path / "red.jpg")
    (tmp_path / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    names = ("red.bmp", "red.jpg", "broken.png")
    entries += [Entry(name, name, "b") for name in names]
    return tmp_path, [*entries, Entry("notes.txt", passed_over="no image")]


@pytest.mark.parametrize("packed", [False, True])
def test_formats_sizes_and_colours(folder: tuple[Path, list[Entry]], packed: bool) -> None:
    path, entries = folder
    if packed:
        with tarfile.open(path.parent / "photos.tar", "w") as tar:
            for entry in entries[:-1]:
                tar.add(path / entry.file, entry.file)
        path = path.parent / "photos.tar"
    pictures = measure(path, entries)
    assert pictures.formats == {"JPEG": 3, "PNG": 1, "WEBP": 1, "TIFF": 1, "BMP": 1}
    assert (pictures.sizes[0], pictures.sizes[-1]) == ((10, 8), (400, 300))
    assert pictures.shorter_side == 40
    assert (pictures.decoded, pictures.grey, pictures.all_grey) == (7, 5, False)
    assert (pictures.deep, pictures.unreadable) == (1, ["broken.png"])
    (mixed,) = [line for line in what_looks_wrong(entries, pictures, None) if "grey" in line]
    assert mixed.startswith("5 of 7 images that were looked at are grey, the others have colours")
    lines = overview(entries, pictures, None)
    assert "colours      colour, 5 grey (7 images looked at)" in lines
    assert "sizes        smallest 10 x 8, median 60 x 40, largest 400 x 300 pixels" in lines
    assert "passed over  1 (no image): notes.txt" in lines


def test_the_colours_of_arrays() -> None:
    grey = np.zeros((4, 8, 6), np.uint8)
    colour = np.stack([grey, grey + 99, grey], axis=-1)
    for images, greys in ((grey, 4), (colour, 0), (grey[..., None], 4)):
        pictures = measure_arrays({"x_train": images, "x_test": images})
        assert (pictures.decoded, pictures.grey) == (4, greys)
        assert pictures.sizes == [(6, 8)] * 8
        assert pictures.deep == 0
    assert measure_arrays({"x_train": grey / 2, "x_test": grey / 2}).deep == 8


def test_ten_thousand_classes_are_a_short_table() -> None:
    entries = [Entry(f"{n}/{m}", f"{n}/{m}", f"c{n:05d}") for n in range(10_000) for m in range(2)]
    pictures = Pictures(Counter({"PNG": 20_000}), [(8, 8)] * len(entries), 1, 1, 0, [])
    lines = overview(entries, pictures, None)
    assert len(lines) < 40
    assert any(line.startswith("9,970 more") and line.endswith("19,940") for line in lines)
    (finding,) = what_looks_wrong(entries, pictures, None)
    assert finding.startswith("classes of fewer than 20 images: 10,000 (c00000 2, ")
    assert finding.endswith("and 9,995 more)")
