"""A fully connected network: every pixel to every unit, blind to what lies beside what."""

from collections.abc import Sequence

import keras
from keras import layers

from classifier.models.blocks import head, hidden, unit


def dense(
    image_shape: tuple[int, int, int],
    classes: int,
    preprocessing: keras.layers.Layer,
    *,
    units: Sequence[int],
    activation: str,
    normalization: str,
    dropout: float,
    weight_decay: float,
) -> keras.Sequential:
    """Builds the network: the baseline that shows what convolutions save.

    Args:
        image_shape: height, width, channels of the uint8 images that the model takes.
        classes: number of classes; the output is float32 (N, classes), probabilities.
        preprocessing: the first layer, from uint8 pixels to numbers.
        units: of each hidden layer.
        activation, normalization, dropout, weight_decay: see :mod:`classifier.models.blocks`.
    """
    model = keras.Sequential(name="dense")
    model.add(keras.Input(image_shape, dtype="uint8", name="image"))
    model.add(preprocessing)
    model.add(layers.Flatten(name="pixels"))
    for number, width in enumerate(units, 1):
        layer = hidden(
            width,
            normalization=normalization,
            weight_decay=weight_decay,
            name=f"hidden{number}",
        )
        for step in unit(layer, width, normalization=normalization, activation=activation):
            model.add(step)
        model.add(layers.Dropout(dropout, name=f"hidden{number}_dropout"))
    for step in head(classes, dropout=0.0, weight_decay=weight_decay):
        model.add(step)
    return model
