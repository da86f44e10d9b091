"""The drawn sample: five kinds that differ, and the same bytes for the same seed."""

from inspect import signature
from pathlib import Path

import numpy as np

from classifier.formats.archive import read_files
from classifier.images.pixels import to_pixels
from classifier.sources.drawings import KINDS, write_drawings


def test_about_six_hundred_images_of_five_kinds(tmp_path: Path) -> None:
    write_drawings(tmp_path / "a.tar", per_class=3)
    write_drawings(tmp_path / "b.tar", per_class=3)
    write_drawings(tmp_path / "c.tar", per_class=3, seed=8)
    assert (tmp_path / "a.tar").read_bytes() == (tmp_path / "b.tar").read_bytes()
    assert (tmp_path / "a.tar").read_bytes() != (tmp_path / "c.tar").read_bytes()
    files = read_files(tmp_path / "a.tar", max_bytes=10**7, max_files=100)
    images = {file.name: file.read() for file in files}
    kinds = [name.split("/")[-2] for name in images]
    assert kinds == [kind for kind in KINDS for _ in range(3)]
    assert len(set(images.values())) == 15
    assert len(KINDS) * signature(write_drawings).parameters["per_class"].default == 600


def test_kinds_differ_in_the_colour_of_the_middle(tmp_path: Path) -> None:
    write_drawings(tmp_path / "a.tar", per_class=30)
    means: dict[str, list[np.ndarray]] = {kind: [] for kind in KINDS}
    for file in read_files(tmp_path / "a.tar", max_bytes=10**7, max_files=1000):
        pixels = to_pixels(file.read() or b"", size=32, channels=3, fit="crop")
        means[file.name.split("/")[-2]].append(pixels[8:24, 8:24].mean(axis=(0, 1)))
    centres = {kind: np.mean(rows, axis=0) for kind, rows in means.items()}
    correct = sum(
        min(centres, key=lambda kind: np.linalg.norm(centres[kind] - row)) == truth
        for truth, rows in means.items()
        for row in rows
    )
    # Random answers would give 30 of 150.
    assert correct >= 60
