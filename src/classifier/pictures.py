"""Grids of images as PNG files."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from classifier.data.splits import Images

BACKGROUND = (255, 255, 255)
INK = (40, 40, 40)


def write_grid(
    path: Path,
    images: np.ndarray,
    *,
    columns: int,
    captions: Sequence[str] | None = None,
    title: str = "",
    tile: int = 96,
) -> None:
    """Writes uint8 (N, H, W, 1 or 3) images as a grid, row by row.

    Args:
        captions: a line or more under each image.
        tile: pixels, width and height of one image in the grid; enlarged pixels stay sharp.
    """
    font = ImageFont.load_default(size=12)
    lines = max((caption.count("\n") + 1 for caption in captions or []), default=0)
    gap, top, below = 4, 26 if title else 4, 15 * lines
    rows = max(1, -(-len(images) // columns))
    size = (columns * (tile + gap) + gap, top + rows * (tile + below + gap))
    grid = Image.new("RGB", size, BACKGROUND)
    draw = ImageDraw.Draw(grid)
    draw.text((gap, 5), title, fill=INK, font=ImageFont.load_default(size=15))
    for number, pixels in enumerate(images):
        x = gap + number % columns * (tile + gap)
        y = top + number // columns * (tile + below + gap)
        enlarge = pixels.shape[0] < tile
        kind = Image.Resampling.NEAREST if enlarge else Image.Resampling.LANCZOS
        grid.paste(_picture(pixels).resize((tile, tile), kind), (x, y))
        if captions:
            draw.text((x + 1, y + tile), captions[number], fill=INK, font=font, spacing=2)
    grid.save(path, "PNG")


def _picture(pixels: np.ndarray) -> Image.Image:
    return Image.fromarray(pixels[..., 0] if pixels.shape[-1] == 1 else pixels).convert("RGB")


def write_class_grids(
    folder: Path, images: Images, labels: np.ndarray, classes: Sequence[str], *, count: int = 32
) -> None:
    """Writes ``grids/<label>-<class>.png`` of the first training images of each class.

    Args:
        images, labels: uint8 (N, H, W, 1 or 3) and integers (N,), the training split.
        classes: class names in the order of the labels.
    """
    (folder / "grids").mkdir()
    for label, name in enumerate(classes):
        rows = np.flatnonzero(labels == label)[:count]
        slug = "".join(letter if letter.isalnum() else "-" for letter in name)
        title = f"{name}: {np.count_nonzero(labels == label):,} images to train"
        write_grid(folder / "grids" / f"{label}-{slug}.png", images[rows], columns=8, title=title)
