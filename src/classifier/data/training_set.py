"""What a model is trained on: the splits, the augmentation, and the normalisation."""

import json
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

import keras
import numpy as np
import tensorflow as tf

from classifier import augmentation
from classifier.data import feed
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

    def batches(
        self, batch_size: int, *, seed: int, mixing: keras.layers.Layer | None, workers: int
    ) -> Callable[..., tf.data.Dataset]:
        """What :func:`classifier.data.feed.training_batches` gives, by its epochs."""
        return partial(
            feed.training_batches,
            self.images,
            self.labels,
            classes=self.classes,
            batch_size=batch_size,
            seed=seed,
            layers=self.layers,
            mixing=mixing,
            workers=workers,
        )

    def validation_batches(self) -> tf.data.Dataset:
        """What :func:`classifier.data.feed.evaluation_batches` gives."""
        return feed.evaluation_batches(*self.validation, classes=self.classes)


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
