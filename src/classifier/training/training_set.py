"""What the normalize and augment stages prepared for a training, read from their folders."""

import json
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import keras
import numpy as np
import tensorflow as tf

from classifier.augmentation.policy import from_config
from classifier.layers.normalization import normalization_layer
from classifier.storage.splits import Images, read_split
from classifier.support.errors import InputError, nearest
from classifier.tasks.of_labels import task_of
from classifier.tasks.task import Task
from classifier.training.feed import evaluation_batches

SHOWN = 10  # classes with the largest weights
log = logging.getLogger(__name__)


class TrainingSet(NamedTuple):
    """Images are uint8 (N, H, W, C), an array or in shards; labels those of their task."""

    images: Images
    labels: np.ndarray
    validation: tuple[Images, np.ndarray]  # images and labels
    classes: int
    layers: Sequence[keras.layers.Layer]  # of the augmentation policy, to apply while training
    preprocessing: keras.layers.Layer  # from uint8 pixels to the numbers that a model computes with
    class_names: Sequence[str]  # in the order of the labels

    @property
    def shape(self) -> tuple[int, int, int]:
        """Height, width and channels of an image."""
        height, width, channels = self.images.shape[1:]
        return height, width, channels

    @property
    def task(self) -> Task:
        """What the labels are for."""
        return task_of(self.labels)

    def class_weights(self, kind: str | Mapping[str, float] | None) -> dict[int, float] | None:
        """A factor of the loss of each label's images, which a line of the log says.

        Args:
            kind: ``balanced``, of ``sklearn.utils.class_weight.compute_class_weight``; or factors
                by the classes' names, 1 for those that it leaves out; None for no factors.

        Raises:
            InputError: there is no such class, or one that is to be balanced has no image.
        """
        if kind is None:
            return None
        if isinstance(kind, Mapping):
            for name in kind:
                if name not in self.class_names:
                    raise InputError(
                        f"class_weight: no class '{name}': {nearest(name, self.class_names)}"
                    )
            weights = [kind.get(name, 1.0) for name in self.class_names]
        else:
            from sklearn.utils.class_weight import compute_class_weight

            every = np.arange(self.classes)
            for label in np.setdiff1d(every, self.labels):
                raise InputError(
                    f"class_weight is balanced: class '{self.class_names[label]}' has no image to "
                    "train on"
                )
            weights = compute_class_weight(kind, classes=every, y=self.labels).tolist()
        named = sorted(zip(weights, self.class_names, strict=True), reverse=True)
        shown = ", ".join(f"{name} {weight:.3g}" for weight, name in named[:SHOWN])
        rest = f", and of {len(named) - SHOWN} more classes" if len(named) > SHOWN else ""
        log.info("factors of the loss: %s%s", shown, rest)
        return dict(enumerate(weights))

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
    names = (normalized / "classes.txt").read_text("utf-8").splitlines()
    statistics = json.loads((normalized / "statistics.json").read_text("utf-8"))
    return TrainingSet(
        images,
        labels,
        validation=read_split(normalized, "validation"),
        classes=len(names),
        layers=layers,
        preprocessing=normalization_layer(statistics),
        class_names=names,
    )
