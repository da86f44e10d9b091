"""A pipeline's trained model, and the batches that its train stage makes."""

import keras

from checkout import ROOT
from classifier.saved.saving import load_model
from classifier.training.feed import TrainingFeed
from classifier.training.training_set import read_training_set


def trained(pipeline: str, batch_size: int) -> tuple[keras.Model, TrainingFeed]:
    """The compiled model, and the batches of its training set."""
    folders = (ROOT / "data" / kind / pipeline for kind in ("normalized", "augmented"))
    data = read_training_set(*folders)
    feed = TrainingFeed(
        images=data.images,
        labels=data.labels,
        classes=data.classes,
        batch_size=batch_size,
        seed=7,
        layers=data.layers,
    )
    return load_model(ROOT / "models" / pipeline / "model.keras"), feed
