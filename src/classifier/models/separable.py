"""A network of separable convolutions: each filters its channel alone, then all are mixed."""

from collections.abc import Sequence
from typing import Any

import keras
from keras import layers

from classifier.models.blocks import check_halvings, convolution, decay, head, unit


def separable(
    image_shape: tuple[int, int, int],
    classes: int,
    preprocessing: keras.layers.Layer,
    *,
    filters: Sequence[int],
    convolutions: int,
    kernel_size: int,
    activation: str,
    normalization: str,
    dropout: float,
    weight_decay: float,
) -> keras.Sequential:
    """Builds the network, of the kind of MobileNet (Howard et al., 2017).

    A separable convolution needs about 1 / kernel_size² of the multiply-adds and parameters of
    a full one.

    Args:
        image_shape: height, width, channels of the uint8 images that the model takes.
        classes: number of classes; the output is float32 (N, classes), probabilities.
        preprocessing: the first layer, from uint8 pixels to numbers.
        filters: of the full convolution that begins, then of each block; each halves the image.
        convolutions: separable ones a block, the first with stride 2.
        activation, normalization, dropout, weight_decay: see :mod:`classifier.models.blocks`.

    Raises:
        ValueError: the image is too small for so many blocks.
    """
    check_halvings(image_shape, len(filters))
    shared: dict[str, Any] = {"normalization": normalization, "activation": activation}
    first = convolution(
        filters[0],
        kernel_size,
        strides=2,
        normalization=normalization,
        weight_decay=weight_decay,
        name="stem",
    )
    steps = unit(first, filters[0], **shared)
    channels = filters[0]
    for block, width in enumerate(filters[1:], 1):
        for number in range(1, convolutions + 1):
            layer = layers.SeparableConv2D(
                width,
                kernel_size,
                strides=2 if number == 1 else 1,
                padding="same",
                use_bias=normalization == "none",
                depthwise_initializer=_depthwise_initializer(channels),
                pointwise_initializer="he_normal",
                depthwise_regularizer=decay(weight_decay),
                pointwise_regularizer=decay(weight_decay),
                name=f"block{block}_separable{number}",
            )
            steps += unit(layer, width, **shared)
            channels = width
    steps += [layers.GlobalAveragePooling2D(name="features")]
    steps += head(classes, dropout=dropout, weight_decay=weight_decay)
    image = keras.Input(image_shape, dtype="uint8", name="image")
    return keras.Sequential([image, preprocessing, *steps], name="separable")


def _depthwise_initializer(channels: int) -> keras.initializers.Initializer:
    # Keras counts all channels as a kernel's inputs; each sees its own alone, and he_normal would
    # let the signal die out over the layers. No activation follows, which would halve it.
    return keras.initializers.VarianceScaling(float(channels))
