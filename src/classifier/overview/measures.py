"""Measures images: size of the original, brightness and sharpness."""

import io

import numpy as np
import pandas as pd
from PIL import ExifTags, Image

BUFFER = 2**21  # bytes of pixels that are measured at once: small images one by one are slow


class Measures:
    """Measures images that are added one by one, in integers: the same on every machine."""

    def __init__(self) -> None:
        self._sizes: list[tuple[int, int]] = []
        self._waiting: list[np.ndarray] = []
        self._measured: list[np.ndarray] = []

    def add(self, content: bytes | np.ndarray, pixels: np.ndarray) -> None:
        """Adds an image.

        Args:
            content: as it was stored, an encoded image or pixels (H, W[, C]).
            pixels: as the network gets it, uint8 (H, W, 1 or 3), each of the same shape.
        """
        self._sizes.append(stored_size(content))
        self._waiting.append(pixels)
        if pixels.nbytes * len(self._waiting) >= BUFFER:
            self._measure()

    def table(self) -> pd.DataFrame:
        """A row per image: width and height of the original in pixels, upright; brightness, the
        mean of the grey levels 0..255, and sharpness, see :func:`sharpness`, of the pixels that
        the network gets, rounded to one decimal.
        """
        if self._waiting:
            self._measure()
        sizes = np.array(self._sizes, int).reshape(-1, 2)
        measured = np.concatenate([np.empty((0, 2)), *self._measured]).round(1)
        return pd.DataFrame(
            {
                "width": sizes[:, 0],
                "height": sizes[:, 1],
                "brightness": measured[:, 0],
                "sharpness": measured[:, 1],
            }
        )

    def _measure(self) -> None:
        grey = luma(np.stack(self._waiting))
        self._measured.append(np.stack([grey.mean(axis=(1, 2)), sharpness(grey)], axis=1))
        self._waiting = []


def stored_size(content: bytes | np.ndarray) -> tuple[int, int]:
    """Width and height in pixels, upright by the EXIF orientation; nothing is decoded."""
    if isinstance(content, np.ndarray):
        return content.shape[1], content.shape[0]
    with Image.open(io.BytesIO(content)) as image:
        width, height = image.size
        # The size of a TIFF is that of the upright image. Of a PNG, Pillow would decode all pixels
        # to look for what comes after them.
        if image.format == "TIFF" or (image.format == "PNG" and "exif" not in image.info):
            return width, height
        turned = image.getexif().get(ExifTags.Base.Orientation, 1) in (5, 6, 7, 8)
        return (height, width) if turned else (width, height)


def luma(pixels: np.ndarray) -> np.ndarray:
    """Grey levels, int16 (N, H, W), 0..255, of uint8 (N, H, W, 1 or 3): ITU-R 601-2 luma."""
    if pixels.shape[-1] == 1:
        return pixels[..., 0].astype(np.int16)
    red, green, blue = (pixels[..., channel].astype(np.uint16) for channel in range(3))
    return ((77 * red + 150 * green + 29 * blue + 128) >> 8).astype(np.int16)


def sharpness(grey: np.ndarray) -> np.ndarray:
    """The variance of the Laplacian of each image, float64 (N,), in squared grey levels.

    J. Pech-Pacheco et al.: Diatom autofocusing in brightfield microscopy, 2000
    (https://doi.org/10.1109/ICPR.2000.903548).

    Args:
        grey: int16 (N, H, W), 0..255.
    """
    middle = grey[:, 1:-1, 1:-1]
    around = grey[:, :-2, 1:-1] + grey[:, 2:, 1:-1] + grey[:, 1:-1, :-2] + grey[:, 1:-1, 2:]
    laplacian = (around - 4 * middle).astype(np.int32)
    count = middle.shape[1] * middle.shape[2]
    total = laplacian.sum(axis=(1, 2), dtype=np.int64)
    squares = (laplacian * laplacian).sum(axis=(1, 2), dtype=np.int64)
    return (squares - total**2 / count) / count
