"""Pixels as an image of Pillow."""

import numpy as np
from PIL import Image


def to_pillow(pixels: np.ndarray) -> Image.Image:
    """A grey or a colour image, of uint8 (H, W, 1 or 3)."""
    return Image.fromarray(pixels[..., 0] if pixels.shape[-1] == 1 else pixels)
