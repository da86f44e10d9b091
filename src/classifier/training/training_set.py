"""What the normalize and augment stages prepared for a training, read from their folders."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import keras
import numpy as np
import tensorflow as tf

from classifier.augmentation.policy import from_config
from classifier.layers.normalization import normalization_layer
from classifier.storage.splits import Images, read_split
from classifier.training.feed import evaluation_batches


class TrainingSet(NamedTuple):
    """Images are uint8 (N, H, W, C), an array or in shards; labels integers (N,)."""

    images: Images
    labels: np.ndarray
    validation: tuple[Images, np.ndarray]  # images and labels
    classes: int
    layers: Sequence[keras.layers.Layer]  # of the augmentation policy, to apply while training
    preprocessing: keras.layers.Layer  # from uint8 pixels to the numbers that a model computes with

    @property
    def shape(self) -> tuple[int, int, int]:
        """Height, width and channels of an image."""
        height, width, channels = self.images.shape[1:]
        return height, width, channels

    def class_weights(self, kind: str | None) -> dict[int, float] | None:
        """A factor of the loss of each label's images.

        Args:
            kind: ``balanced``, of ``sklearn.utils.class_weight.compute_class_weight``; None for no
                factors.
        """
        if kind is None:
            return None
        from sklearn.utils.class_weight import compute_class_weight

        every = np.arange(self.classes)
        weights = compute_class_weight(kind, classes=every, y=self.labels)
        return dict(zip(every.tolist(), weights.tolist(), strict=True))

    def validation_batches(self) -> tf.data.Dataset:
        """Batches of :func:`classifier.training.feed.evaluation_batches`."""
        return evaluation_batches(*self.validation, classes=self.classes)


def read_training_set(normalized: Path, augmented: Path) -> TrainingSet:
    """Reads what the normalize and the augment stage wrote.

    Copies that augment wrote take the place of the policy: the images are the originals, then the
    copies.
    """
    images, labels = read_split(normalized, "train")
    layers: Sequence[keras.layers.Layer] = []
    if (augmented / "copies.npy").exists():
        copies, copies_labels = read_split(augmented, "copies")
        images, labels = np.concatenate([images, copies]), np.concatenate([labels, copies_labels])
    else:
        layers = from_config(json.loads((augmented / "policy.json").read_text("utf-8")))
    statistics = json.loads((normalized / "statistics.json").read_text("utf-8"))
    return TrainingSet(
        images,
        labels,
        validation=read_split(normalized, "validation"),
        classes=len((normalized / "classes.txt").read_text("utf-8").splitlines()),
        layers=layers,
        preprocessing=normalization_layer(statistics),
    )
