"""Reads the pixels of a normalized image by its id."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd

from classifier.catalog.manifest import SPLITS
from classifier.storage.splits import read_split


def reader(folder: Path, index: pd.DataFrame) -> Callable[[str], np.ndarray]:
    """A function that gives the pixels of an image, uint8 (H, W, C), by its id.

    Args:
        folder: of the normalize stage.
        index: id and split of its images, in the order of the splits' arrays.
    """
    images = {name: read_split(folder, name)[0] for name in SPLITS}
    rows = index.groupby("split").cumcount()
    places = dict(zip(index["id"], zip(index["split"], rows, strict=True), strict=True))

    def read(name: str) -> np.ndarray:
        split, row = places[name]
        return np.asarray(images[split][row])

    return read
