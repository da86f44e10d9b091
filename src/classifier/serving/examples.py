"""Test images that are exported with a model, for a page to offer them."""

import io
from pathlib import Path

import numpy as np

from classifier.images.pillow import to_pillow
from classifier.storage.splits import Images

EXAMPLES = "example-{:03}.png"  # by the label
MOST = 10  # images


def write_examples(folder: Path, images: Images, labels: np.ndarray) -> list[Path]:
    """Writes the first image of each of the first classes as PNG.

    Args:
        images: uint8 (N, H, W, C), with C 1 or 3.
        labels: integers (N,); or (N, classes), 0 or 1, where an image may have several.

    Returns:
        The files, at most MOST.
    """
    if labels.ndim == 2:
        chosen = np.flatnonzero(labels.any(axis=0))
        first = labels[:, chosen].argmax(axis=0)
    else:
        chosen, first = np.unique(labels, return_index=True)
    files = []
    for label, index in zip(chosen[:MOST], first[:MOST], strict=True):
        files.append(folder / EXAMPLES.format(label))
        files[-1].write_bytes(as_png(np.asarray(images[index])))
    return files


def as_png(image: np.ndarray) -> bytes:
    """A PNG of one image, uint8 (H, W, C), which has the same pixels."""
    content = io.BytesIO()
    to_pillow(image).save(content, "PNG")
    return content.getvalue()


def find_examples(folder: Path) -> list[Path]:
    """The files of :func:`write_examples` in the folder of an exported model or below it."""
    return sorted(folder.rglob("example-*.png"))
