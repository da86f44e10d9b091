"""Frozen layers: which layers are frozen, and how to unfreeze the last of them."""

import keras
from keras import layers

from classifier.layers.keras_private import flatten_layers


def frozen_layers(model: keras.Model) -> list[keras.layers.Layer]:
    """The layers with weights that do not train, without batch normalization: it stays frozen."""
    return [
        layer
        for layer in model.layers
        if layer.weights
        and not layer.trainable
        and not isinstance(layer, layers.BatchNormalization)
    ]


def unfreeze(model: keras.Model, count: int) -> list[str]:
    """Unfreezes the last ``count`` of :func:`frozen_layers`; returns their names.

    Batch normalization and its statistics stay frozen: new statistics would be those of a few small
    batches (https://keras.io/guides/transfer_learning). Compile the model afterwards.
    """
    unfrozen = frozen_layers(model)[-count:]
    for layer in unfrozen:
        layer.trainable = True
        for inner in flatten_layers(layer):  # a layer may be a model itself
            if isinstance(inner, layers.BatchNormalization):
                inner.trainable = False
    return [layer.name for layer in unfrozen]
