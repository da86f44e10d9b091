"""What a model is trained on: the splits, the augmentation, and the normalisation."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import keras
import numpy as np

from classifier import augmentation
from classifier.data.splits import Images, read_split
from classifier.normalization import normalization_layer


class TrainingSet(NamedTuple):
    """Images are uint8 (N, H, W, C), an array or in shards; labels integers (N,)."""

    images: Images
    labels: np.ndarray
    validation: tuple[Images, np.ndarray]  # images and labels
    classes: int
    layers: Sequence[keras.layers.Layer]  # of the augmentation policy, to apply while training
    preprocessing: keras.layers.Layer  # from uint8 pixels to a model's numbers

    @property
    def shape(self) -> tuple[int, int, int]:
        """Height, width and channels of an image."""
        height, width, channels = self.images.shape[1:]
        return height, width, channels


def read_training_set(normalized: Path, augmented: Path) -> TrainingSet:
    """Reads what the normalize and the augment stage wrote.

    Materialised copies take the policy's place: the images are the originals, then the copies.
    """
    images, labels = read_split(normalized, "train")
    layers: Sequence[keras.layers.Layer] = []
    if (augmented / "copies.npy").exists():
        copies, copies_labels = read_split(augmented, "copies")
        images, labels = np.concatenate([images, copies]), np.concatenate([labels, copies_labels])
    else:
        policy = json.loads((augmented / "policy.json").read_text("utf-8"))
        layers = augmentation.from_config(policy)
    statistics = json.loads((normalized / "statistics.json").read_text("utf-8"))
    return TrainingSet(
        images,
        labels,
        validation=read_split(normalized, "validation"),
        classes=len((normalized / "classes.txt").read_text("utf-8").splitlines()),
        layers=layers,
        preprocessing=normalization_layer(statistics),
    )
