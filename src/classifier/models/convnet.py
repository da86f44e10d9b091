"""A plain convolutional network: convolutions with normalization, one after another."""

from collections.abc import Sequence
from typing import Any, Literal

import keras
from keras import layers

from classifier.models.blocks import Blocks, check_halvings, check_trims, pooling
from classifier.support.limits import Count, checked


@checked
def convnet(
    image_shape: tuple[int, int, int],
    classes: int,
    preprocessing: keras.layers.Layer,
    *,
    filters: Sequence[Count],
    convolutions: Count,
    kernel_size: Count,
    padding: Literal["same", "valid"],
    pool: Literal["strides", "max", "average"],
    **options: Any,
) -> keras.Sequential:
    """Builds the network.

    Each of ``filters`` is the width of a block of ``convolutions`` convolutions, which halves
    height and width at its end.

    Args:
        image_shape: height, width, channels of the uint8 images that the model takes.
        classes: number of classes; the output is float32 (N, classes), probabilities.
        preprocessing: the first layer, from uint8 pixels to numbers.
        padding: ``same``, or ``valid``: each convolution then trims kernel_size - 1 pixels.
        pool: what halves: ``max`` or ``average`` pooling, or the ``strides`` of the block's last
            convolution (Springenberg et al., Striving for simplicity: the all convolutional net,
            2015).
        options: see :class:`classifier.models.blocks.Blocks`.

    Raises:
        ValueError: the image is too small for that many blocks, or for convolutions that trim it.
    """
    blocks = Blocks(**options)
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
            for layer in blocks.convolution(
                width,
                kernel_size,
                strides=2 if pool == "strides" and number == convolutions else 1,
                padding=padding,
                name=f"block{block}_convolution{number}",
            ):
                model.add(layer)
        if pool != "strides":
            model.add(pooling(pool, 2, padding=padding, name=f"block{block}_pooling"))
    model.add(layers.GlobalAveragePooling2D(name="features"))
    for layer in blocks.head(classes):
        model.add(layer)
    return model
