"""A model's answers to one split of a pipeline's images."""

from pathlib import Path
from typing import NamedTuple

import keras
import numpy as np
import pandas as pd

from classifier.data.manifest import read_manifest
from classifier.data.splits import Images, read_split
from classifier.evaluation import predictions_table


class Predictions(NamedTuple):
    """Images uint8 (N, H, W, C), memory-mapped or in shards; labels integers (N,); probabilities
    float32 (N, classes); a table of :func:`classifier.evaluation.predictions_table`."""

    images: Images
    labels: np.ndarray
    probabilities: np.ndarray
    table: pd.DataFrame
    classes: list[str]


def predict_split(
    model: keras.Model, normalized: Path, split: str, *, batch_size: int
) -> Predictions:
    """Lets the model answer to ``split`` of what the normalize stage wrote to ``normalized``."""
    images, labels = read_split(normalized, split)
    classes = (normalized / "classes.txt").read_text("utf-8").splitlines()
    index = read_manifest(normalized / "index.csv")
    probabilities = model.predict(_Batches(images, batch_size), verbose=0)
    ids = index["id"][index["split"] == split]
    table = predictions_table(ids, labels, probabilities, classes)
    return Predictions(images, labels, probabilities, table, classes)


class _Batches(keras.utils.PyDataset):
    """For Keras, which copies an array to memory as a whole."""

    def __init__(self, images: Images, size: int):
        super().__init__()
        self._images, self._size = images, size

    def __len__(self) -> int:
        return -(-len(self._images) // self._size)

    def __getitem__(self, number: int) -> tuple[np.ndarray]:
        first = number * self._size
        return (np.asarray(self._images[first : first + self._size]),)
