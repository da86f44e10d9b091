"""Converts an image of a handwritten digit to one like those of MNIST."""

import numpy as np
from PIL import Image
from scipy.ndimage import center_of_mass

from classifier.images.pixels import to_pixels

WORKING_SIZE = 1024  # pixels: height and width at which the digit is located
SIZE, BOX = 28, 20  # pixels: height and width of the result, and of the digit in it
FAINT = 0.2  # of the strongest ink: what is fainter is paper


def to_digit(content: bytes | np.ndarray) -> np.ndarray:
    """Converts an image of one digit to uint8 (28, 28), see :func:`like_mnist`.

    Args:
        content: an encoded image, or uint8 (H, W[, C]) pixels.

    Raises:
        ImageError: the image cannot be decoded.
    """
    return like_mnist(to_pixels(content, size=WORKING_SIZE, channels=1, fit="crop")[..., 0])


def like_mnist(pixels: np.ndarray) -> np.ndarray:
    """Makes a digit white on black, and gives it the size and position of MNIST's digits.

    The digit fits into a box of 20 x 20 pixels, and its centre of mass is the centre of the image
    (LeCun et al., Gradient-based learning applied to document recognition, 1998, section III.A).
    The median grey of the border is taken as the paper, which may be lighter or darker than ink.

    Args:
        pixels: uint8 (H, W), one digit. Ink and paper may have any two greys.

    Returns:
        uint8 (28, 28), all 0 if there is no ink.
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
    image = Image.fromarray((255 * digit).round().astype(np.uint8))
    small = np.asarray(image.resize((width, height), Image.Resampling.LANCZOS))
    top, left = (
        # The index of a pixel is half a pixel less than the place of its centre.
        int(np.clip(round(SIZE / 2 - (centre + 0.5)), 0, SIZE - side))
        for centre, side in zip(center_of_mass(small), small.shape, strict=True)
    )
    canvas[top : top + height, left : left + width] = small
    return canvas
