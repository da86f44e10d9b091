"""A fully connected network: it does not know which pixels are neighbors."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import keras
from keras import layers

from classifier.models.blocks import Blocks
from classifier.support.limits import Count, checked


@checked
def dense(
    image_shape: tuple[int, int, int],
    classes: int,
    preprocessing: keras.layers.Layer,
    *,
    units: Sequence[Count],
    **options: Any,
) -> keras.Sequential:
    """Builds the network: the baseline that shows what convolutions save.

    Args:
        image_shape: height, width, channels of the uint8 images that the model takes.
        classes: number of classes; the output is float32 (N, classes), probabilities.
        preprocessing: the first layer, from uint8 pixels to numbers.
        units: of each hidden layer; dropout follows each.
        options: see :class:`classifier.models.blocks.Blocks`.
    """
    blocks = Blocks(**options)
    model = keras.Sequential(name="dense")
    model.add(keras.Input(image_shape, dtype="uint8", name="image"))
    model.add(preprocessing)
    model.add(layers.Flatten(name="pixels"))
    for number, width in enumerate(units, 1):
        for layer in blocks.hidden(width, name=f"hidden{number}"):
            model.add(layer)
        model.add(layers.Dropout(blocks.dropout, name=f"hidden{number}_dropout"))
    for layer in replace(blocks, dropout=0.0).head(classes):
        model.add(layer)
    return model
