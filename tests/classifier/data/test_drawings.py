"""The drawn sample: five kinds that can be told apart, the same at each drawing."""

from pathlib import Path

import numpy as np

from classifier.data.archive import read_images
from classifier.data.drawings import KINDS, write_drawings
from classifier.data.images import to_pixels


def test_about_six_hundred_images_of_five_kinds(tmp_path: Path) -> None:
    write_drawings(tmp_path / "a.tar", per_class=3)
    write_drawings(tmp_path / "b.tar", per_class=3)
    write_drawings(tmp_path / "c.tar", per_class=3, seed=8)
    assert (tmp_path / "a.tar").read_bytes() == (tmp_path / "b.tar").read_bytes()
    assert (tmp_path / "a.tar").read_bytes() != (tmp_path / "c.tar").read_bytes()
    images = list(read_images(tmp_path / "a.tar", max_bytes=10**7, max_files=100))
    assert [image.class_name for image in images] == [kind for kind in KINDS for _ in range(3)]
    assert len({image.content for image in images}) == 15
    assert len(KINDS) * write_drawings.__kwdefaults__["per_class"] == 600


def test_kinds_can_be_told_apart_by_their_middle_colour(tmp_path: Path) -> None:
    write_drawings(tmp_path / "a.tar", per_class=30)
    means = {kind: [] for kind in KINDS}
    for image in read_images(tmp_path / "a.tar", max_bytes=10**7, max_files=1000):
        pixels = to_pixels(image.content, size=32, channels=3, fit="crop")
        means[image.class_name].append(pixels[8:24, 8:24].mean(axis=(0, 1)))
    centres = {kind: np.mean(rows, axis=0) for kind, rows in means.items()}
    hits = sum(
        min(centres, key=lambda kind: np.linalg.norm(centres[kind] - row)) == truth
        for truth, rows in means.items()
        for row in rows
    )
    # Five kinds by chance alone: 30 of 150.
    assert hits >= 60
