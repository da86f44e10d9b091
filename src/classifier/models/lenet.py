"""A small network whose dense layer sees where each feature is: fast and good on digits."""

from collections.abc import Sequence

import keras
from keras import layers

from classifier.models.blocks import check_trims, convolution, head, unit


def lenet(
    image_shape: tuple[int, int, int],
    classes: int,
    preprocessing: keras.layers.Layer,
    *,
    filters: Sequence[int],
    kernel_size: Sequence[int],
    strides: Sequence[int],
    activation: str,
    normalization: str,
    dropout: float,
    weight_decay: float,
) -> keras.Sequential:
    """Builds the network.

    LeCun et al., Gradient-based learning applied to document recognition, 1998: convolutions
    without padding, and a dense layer on the flattened last maps, where
    :func:`classifier.models.convnet.convnet` has global average pooling. Here with normalisation,
    ReLU, and strides in place of subsampling (Springenberg et al., 2015).

    Args:
        image_shape: height, width, channels of the uint8 images that the model takes.
        classes: number of classes; the output is float32 (N, classes), probabilities.
        preprocessing: the first layer, from uint8 pixels to numbers.
        filters, kernel_size, strides: of each convolution.
        activation, normalization, dropout, weight_decay: see :mod:`classifier.models.blocks`.

    Raises:
        ValueError: the three lists are of different lengths, or the image is too small.
    """
    if not len(filters) == len(kernel_size) == len(strides):
        raise ValueError(
            f"filters, kernel_size and strides need a value for each convolution, but have "
            f"{len(filters)}, {len(kernel_size)} and {len(strides)}"
        )
    check_trims(image_shape, list(zip(kernel_size, strides, strict=True)))
    model = keras.Sequential(name="lenet")
    model.add(keras.Input(image_shape, dtype="uint8", name="image"))
    model.add(preprocessing)
    for number, (width, size, stride) in enumerate(
        zip(filters, kernel_size, strides, strict=True), 1
    ):
        layer = convolution(
            width,
            size,
            strides=stride,
            padding="valid",
            normalization=normalization,
            weight_decay=weight_decay,
            name=f"convolution{number}",
        )
        for step in unit(layer, width, normalization=normalization, activation=activation):
            model.add(step)
    model.add(layers.Flatten(name="features"))
    for step in head(classes, dropout=dropout, weight_decay=weight_decay):
        model.add(step)
    return model
