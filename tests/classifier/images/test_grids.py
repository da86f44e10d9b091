"""Grids keep the shape of their images."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from classifier.images.grids import scaled_to, write_grid


@pytest.mark.parametrize(
    ("shape", "tile"), [((16, 16), (96, 96)), ((12, 20), (58, 96)), ((200, 120), (96, 58))]
)
def test_images_are_drawn_in_their_shape(
    tmp_path: Path, shape: tuple[int, int], tile: tuple[int, int]
) -> None:
    assert scaled_to(shape, 96) == tile
    images = np.full((3, *shape, 3), (200, 0, 0), np.uint8)
    write_grid(tmp_path / "grid.png", images, columns=2, captions=["a", "b", "c"])
    grid = np.asarray(Image.open(tmp_path / "grid.png"))
    height, width = tile
    assert grid.shape == (4 + 2 * (height + 15 + 4), 2 * (96 + 4) + 4, 3)
    red = (grid == (200, 0, 0)).all(axis=-1)
    assert red.sum() == 3 * height * width
    assert red[4 : 4 + height, 104 : 104 + width].all()


def test_no_images_are_an_empty_grid(tmp_path: Path) -> None:
    write_grid(tmp_path / "grid.png", np.zeros((0, 12, 20, 3), np.uint8), columns=8)
    assert Image.open(tmp_path / "grid.png").size == (8 * 100 + 4, 4 + 58 + 4)
