"""Training on digits: by this project's augmented batches, and by arrays in memory."""

import time
from collections.abc import Iterator

import keras
import numpy as np

from checkout import ROOT
from classifier.storage.splits import read_split
from contest import Contest, at_least
from contests.trained import trained

BATCH_SIZE = 128


def contests() -> Iterator[Contest]:
    model, feed = trained("mnist", BATCH_SIZE)
    images, labels = (
        np.asarray(array) for array in read_split(ROOT / "data" / "normalized" / "mnist", "train")
    )
    targets = keras.utils.to_categorical(labels)
    plain = keras.models.clone_model(model)
    plain.compile("adam", loss="categorical_crossentropy", metrics=["accuracy"])

    def fit_batches() -> float:
        begun = time.perf_counter()
        model.fit(feed.batches(range(1)), steps_per_epoch=feed.steps_per_epoch, verbose=0)
        return len(feed.images) / (time.perf_counter() - begun)

    def fit_arrays() -> float:
        begun = time.perf_counter()
        plain.fit(images, targets, batch_size=BATCH_SIZE, verbose=0)
        return len(images) / (time.perf_counter() - begun)

    yield Contest(
        "training on augmented digits",
        "`model.fit` on arrays, the same network, Keras's defaults, no augmentation",
        "images/s",
        fit_batches,
        fit_arrays,
        at_least(1),
    )
