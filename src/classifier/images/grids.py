"""Grids of images as PNG files."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image, ImageDraw

from classifier.images.fonts import draw_text
from classifier.images.pillow import to_pillow

if TYPE_CHECKING:
    from classifier.storage.splits import Images

BACKGROUND = (255, 255, 255)
TEXT = (40, 40, 40)


def write_grid(
    path: Path,
    images: np.ndarray,
    *,
    columns: int,
    captions: Sequence[str] | None = None,
    title: str = "",
    tile: int = 96,
) -> None:
    """Writes images as a grid, row by row, to a PNG file.

    Args:
        images: uint8 (N, H, W, 1 or 3).
        captions: the text below each image, of one or more lines.
        tile: the longer side of an image in the grid, and the width of a column, in pixels.
            Smaller images are enlarged without interpolation.
    """
    lines = max((caption.count("\n") + 1 for caption in captions or []), default=0)
    gap, top, below = 4, 26 if title else 4, 15 * lines
    rows = max(1, -(-len(images) // columns))
    height, width = scaled_to(images.shape[1:3], tile)
    size = (columns * (tile + gap) + gap, top + rows * (height + below + gap))
    grid = Image.new("RGB", size, BACKGROUND)
    draw = ImageDraw.Draw(grid)
    draw_text(draw, (gap, 5), title, size=15, fill=TEXT)
    for number, pixels in enumerate(images):
        row, column = divmod(number, columns)
        x, y = gap + column * (tile + gap), top + row * (height + below + gap)
        enlarge = max(pixels.shape[:2]) < tile
        resampling = Image.Resampling.NEAREST if enlarge else Image.Resampling.LANCZOS
        grid.paste(to_pillow(pixels).convert("RGB").resize((width, height), resampling), (x, y))
        if captions:
            caption = captions[number]
            draw_text(draw, (x + 1, y + height), caption, size=12, fill=TEXT, spacing=2)
    grid.save(path, "PNG")


def scaled_to(size: Sequence[int], longest: int) -> tuple[int, int]:
    """Height and width in the proportion of ``size``, of which the longer one is ``longest``."""
    height, width = (max(1, round(longest * side / max(size))) for side in size)
    return height, width


def write_class_grids(
    folder: Path, images: "Images", labels: np.ndarray, classes: Sequence[str], *, count: int = 32
) -> None:
    """Writes ``grids/<label>-<class>.png``: the first training images of each class.

    Args:
        images: uint8 (N, H, W, 1 or 3), the training split.
        labels: integers (N,); or (N, classes), 0 or 1, where an image may have several.
        classes: class names in the order of the labels.
        count: the largest number of images per grid.
    """
    (folder / "grids").mkdir()
    for label, name in enumerate(classes):
        rows = np.flatnonzero(labels == label if labels.ndim == 1 else labels[:, label])
        slug = "".join(letter if letter.isalnum() else "-" for letter in name)
        title = f"{name}: {len(rows):,} images to train"
        path = folder / "grids" / f"{label}-{slug}.png"
        write_grid(path, images[rows[:count]], columns=8, title=title)
