"""One tower of convolutions that looks at the image twice: whole, and at half its size."""

from collections.abc import Sequence
from typing import Any

import keras
from keras import layers

from classifier.models.blocks import check_halvings, convolution, head, unit


def siamese_features(
    image_shape: tuple[int, int, int],
    classes: int,
    preprocessing: keras.layers.Layer,
    *,
    filters: Sequence[int],
    kernel_size: int,
    activation: str,
    normalization: str,
    dropout: float,
    weight_decay: float,
) -> keras.Model:
    """Builds the network with the functional API.

    The same layers, with the same weights, give features of both sizes, as the twins of Bromley
    et al., Signature verification using a siamese time delay neural network, 1993; the classifier
    sees both side by side.

    Args:
        image_shape: height, width, channels of the uint8 images that the model takes.
        classes: number of classes; the output is float32 (N, classes), probabilities.
        preprocessing: the first layer, from uint8 pixels to numbers.
        filters: of each of the tower's convolutions, which halve what they see.
        activation, normalization, dropout, weight_decay: see :mod:`classifier.models.blocks`.

    Raises:
        ValueError: half the image is too small for so many convolutions.
    """
    check_halvings(image_shape, len(filters) + 1)
    steps: list[Any] = []
    for number, width in enumerate(filters, 1):
        layer = convolution(
            width,
            kernel_size,
            strides=2,
            normalization=normalization,
            weight_decay=weight_decay,
            name=f"convolution{number}",
        )
        steps += unit(layer, width, normalization=normalization, activation=activation)
    steps.append(layers.GlobalAveragePooling2D(name="pooling"))

    image = keras.Input(image_shape, dtype="uint8", name="image")
    whole = preprocessing(image)
    any_size = keras.Input((None, None, whole.shape[-1]))
    tower = keras.Sequential([any_size, *steps], name="tower")
    half = layers.AveragePooling2D(2, name="half")(whole)
    x = layers.Concatenate(name="features")([tower(whole), tower(half)])
    for step in head(classes, dropout=dropout, weight_decay=weight_decay):
        x = step(x)
    return keras.Model(image, x, name="siamese_features")
