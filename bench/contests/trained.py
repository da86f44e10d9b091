"""A pipeline's trained network, and the batches that its train stage makes for it."""

from collections.abc import Callable
from functools import partial

import keras
import tensorflow as tf

from checkout import ROOT
from classifier.data import feed, training_set
from classifier.saving import load_model


def trained(
    pipeline: str, batch_size: int
) -> tuple[keras.Model, Callable[..., tf.data.Dataset], int]:
    """The compiled model; its batches, called with ``epochs``; and how many an epoch has."""
    folders = (ROOT / "data" / kind / pipeline for kind in ("normalized", "augmented"))
    data = training_set.read_training_set(*folders)
    batches = partial(
        feed.training_batches,
        data.images,
        data.labels,
        classes=data.classes,
        batch_size=batch_size,
        seed=7,
        layers=data.layers,
    )
    model = load_model(ROOT / "models" / pipeline / "model.keras")
    return model, batches, feed.steps_per_epoch(len(data.images), batch_size)
