"""Test images that are exported with a model, for a page to offer them."""

from pathlib import Path

import numpy as np
from PIL import Image

from classifier.storage.splits import Images

EXAMPLES = "example-{:03}.png"  # by the label
MOST = 10  # images


def write_examples(folder: Path, images: Images, labels: np.ndarray) -> list[Path]:
    """Writes the first image of each of the first classes as PNG.

    Args:
        images: uint8 (N, H, W, C), with C 1 or 3.
        labels: integers (N,).

    Returns:
        The files, at most MOST.
    """
    chosen, first = np.unique(labels, return_index=True)
    files = []
    for label, index in zip(chosen[:MOST], first[:MOST], strict=True):
        pixels = np.asarray(images[index])
        files.append(folder / EXAMPLES.format(label))
        Image.fromarray(pixels[..., 0] if pixels.shape[-1] == 1 else pixels).save(files[-1])
    return files


def find_examples(folder: Path) -> list[Path]:
    """The files of :func:`write_examples` in the folder of an exported model or below it."""
    return sorted(folder.rglob("example-*.png"))
