"""A digit from paper, a screen or a camera, made like those that MNIST has."""

import numpy as np
from PIL import Image

from classifier.data.images import to_pixels

LARGEST = 1024  # pixels a side that a picture is first reduced to
SIZE, BOX = 28, 20  # pixels: the picture, and the digit in it
FAINT = 0.2  # of the strongest ink; below, it is paper


def to_digit(content: bytes | np.ndarray) -> np.ndarray:
    """One digit's picture as uint8 (28, 28), as :func:`like_mnist` makes it.

    Args:
        content: as for :func:`classifier.data.images.to_pixels`.

    Raises:
        ImageError: it cannot be decoded.
    """
    return like_mnist(to_pixels(content, size=LARGEST, channels=1, fit="crop")[..., 0])


def like_mnist(pixels: np.ndarray) -> np.ndarray:
    """White on black, as large as MNIST's digits, and in their place.

    The digit fits a box of 20 x 20 pixels, and its centre of mass is the centre of the picture
    (LeCun et al., Gradient-based learning applied to document recognition, 1998, section III.A).
    What the border mostly shows is taken for the paper, whether it is the lighter or the darker.

    Args:
        pixels: uint8 (H, W), one digit; ink and paper of any two greys.

    Returns:
        uint8 (28, 28); black if there is nothing but paper.
    """
    grey = pixels.astype(np.float32)
    border = np.concatenate([grey[0], grey[-1], grey[:, 0], grey[:, -1]])
    ink = np.abs(grey - np.median(border))
    canvas = np.zeros((SIZE, SIZE), np.uint8)
    if ink.max() < 16:
        return canvas
    ink = np.clip((ink / ink.max() - FAINT) / (1 - FAINT), 0, 1)
    rows, columns = (np.flatnonzero(ink.any(axis=axis)) for axis in (1, 0))
    digit = ink[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    scale = BOX / max(digit.shape)
    width, height = (max(1, round(scale * side)) for side in digit.shape[::-1])
    picture = Image.fromarray((255 * digit).round().astype(np.uint8))
    small = np.asarray(picture.resize((width, height), Image.Resampling.LANCZOS))
    mass = small.sum(dtype=np.float64)
    down, right = (
        SIZE / 2 - ((np.arange(side) + 0.5) * small.sum(axis=axis)).sum() / mass
        for side, axis in ((height, 1), (width, 0))
    )
    top, left = (
        int(np.clip(round(shift), 0, SIZE - side))
        for shift, side in ((down, height), (right, width))
    )
    canvas[top : top + height, left : left + width] = small
    return canvas
