"""The digits' network, by this project's batches with augmentation and by arrays in memory."""

import time
from collections.abc import Iterator

import keras
import numpy as np

from checkout import ROOT
from classifier.data.splits import read_split
from contest import Contest, at_least
from contests.trained import trained

BATCH_SIZE = 128


def contests() -> Iterator[Contest]:
    model, batches, steps = trained("mnist", BATCH_SIZE)
    images, labels = (
        np.asarray(array) for array in read_split(ROOT / "data" / "normalized" / "mnist", "train")
    )
    targets = keras.utils.to_categorical(labels)
    plain = keras.models.clone_model(model)
    plain.compile("adam", loss="categorical_crossentropy", metrics=["accuracy"])

    def of_batches() -> float:
        begun = time.perf_counter()
        model.fit(batches(epochs=1), steps_per_epoch=steps, verbose=0)
        return BATCH_SIZE * steps / (time.perf_counter() - begun)

    def of_arrays() -> float:
        begun = time.perf_counter()
        plain.fit(images, targets, batch_size=BATCH_SIZE, verbose=0)
        return len(images) / (time.perf_counter() - begun)

    yield Contest(
        "training on augmented digits",
        "`model.fit` on arrays, the same network, Keras's defaults, no augmentation",
        "images/s",
        of_batches,
        of_arrays,
        at_least(1),
    )
