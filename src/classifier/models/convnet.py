"""A plain convolutional network: convolutions with normalisation, one after another."""

from collections.abc import Sequence

import keras
from keras import layers

from classifier.models.blocks import check_halvings, check_trims, convolution, head, pooling, unit


def convnet(
    image_shape: tuple[int, int, int],
    classes: int,
    preprocessing: keras.layers.Layer,
    *,
    filters: Sequence[int],
    convolutions: int,
    kernel_size: int,
    padding: str,
    pool: str,
    activation: str,
    normalization: str,
    dropout: float,
    weight_decay: float,
) -> keras.Sequential:
    """Builds the network.

    Each of ``filters`` makes a block of ``convolutions`` convolutions that ends with half the
    height and width.

    Args:
        image_shape: height, width, channels of the uint8 images that the model takes.
        classes: number of classes; the output is float32 (N, classes), probabilities.
        preprocessing: the first layer, from uint8 pixels to numbers.
        padding: ``same``, or ``valid``: each convolution then trims kernel_size - 1 pixels.
        pool: what halves: ``max``, ``average``, or ``strides``, those of the block's last
            convolution (Springenberg et al., Striving for simplicity: the all convolutional net,
            2015).
        activation, normalization, dropout, weight_decay: see :mod:`classifier.models.blocks`.

    Raises:
        ValueError: the image is too small for so many blocks, or convolutions that trim it.
    """
    if padding == "same":
        check_halvings(image_shape, len(filters))
    else:
        last = [(kernel_size, 2)] if pool == "strides" else [(kernel_size, 1), (2, 2)]
        check_trims(image_shape, len(filters) * [*(convolutions - 1) * [(kernel_size, 1)], *last])
    model = keras.Sequential(name="convnet")
    model.add(keras.Input(image_shape, dtype="uint8", name="image"))
    model.add(preprocessing)
    for block, width in enumerate(filters, 1):
        for number in range(1, convolutions + 1):
            layer = convolution(
                width,
                kernel_size,
                strides=2 if pool == "strides" and number == convolutions else 1,
                padding=padding,
                normalization=normalization,
                weight_decay=weight_decay,
                name=f"block{block}_convolution{number}",
            )
            for step in unit(layer, width, normalization=normalization, activation=activation):
                model.add(step)
        if pool != "strides":
            model.add(pooling(pool, 2, padding=padding, name=f"block{block}_pooling"))
    model.add(layers.GlobalAveragePooling2D(name="features"))
    for step in head(classes, dropout=dropout, weight_decay=weight_decay):
        model.add(step)
    return model
