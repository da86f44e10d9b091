"""Frozen layers: which are, and letting the last of them train again."""

import keras
from keras import layers


def frozen_layers(model: keras.Model) -> list[keras.layers.Layer]:
    """The layers that have weights, do not train, and could: batch normalisation is left out."""
    return [
        layer
        for layer in model.layers
        if layer.weights
        and not layer.trainable
        and not isinstance(layer, layers.BatchNormalization)
    ]


def unfreeze(model: keras.Model, count: int) -> list[str]:
    """Lets the last ``count`` of :func:`frozen_layers` train; gives their names.

    Batch normalisation stays frozen, its statistics with it: they would be those of few small
    batches (https://keras.io/guides/transfer_learning). Compile the model afterwards.
    """
    thawed = frozen_layers(model)[-count:]
    for layer in thawed:
        layer.trainable = True
        for inner in layer._flatten_layers():  # of a layer that is a model itself
            if isinstance(inner, layers.BatchNormalization):
                inner.trainable = False
    return [layer.name for layer in thawed]
