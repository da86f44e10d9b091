"""A network of separable convolutions: each channel is filtered alone, then all are mixed."""

from collections.abc import Sequence
from typing import Any

import keras
from keras import layers

from classifier.models.blocks import Blocks, check_halvings
from classifier.support.limits import Count, checked


@checked
def separable(
    image_shape: tuple[int, int, int],
    classes: int,
    preprocessing: keras.layers.Layer,
    *,
    filters: Sequence[Count],
    convolutions: Count,
    kernel_size: Count,
    **options: Any,
) -> keras.Sequential:
    """Builds the network, a relative of MobileNet (Howard et al., 2017).

    A separable convolution needs about 1 / kernel_size² of the multiply-adds and parameters of
    a full one.

    Args:
        image_shape: height, width, channels of the uint8 images that the model takes.
        classes: number of classes; the output is float32 (N, classes), probabilities.
        preprocessing: the first layer, from uint8 pixels to numbers.
        filters: of the full convolution at the beginning, then of each block; each halves the
            image.
        convolutions: separable ones per block, the first with stride 2.
        options: see :class:`classifier.models.blocks.Blocks`.

    Raises:
        ValueError: the image is too small for that many blocks.
    """
    blocks = Blocks(**options)
    check_halvings(image_shape, len(filters))
    steps = blocks.convolution(filters[0], kernel_size, strides=2, name="stem")
    channels = filters[0]
    for block, width in enumerate(filters[1:], 1):
        for number in range(1, convolutions + 1):
            layer = layers.SeparableConv2D(
                width,
                kernel_size,
                strides=2 if number == 1 else 1,
                padding="same",
                use_bias=blocks.use_bias,
                depthwise_initializer=_depthwise_initializer(channels),
                pointwise_initializer="he_normal",
                depthwise_regularizer=blocks.decay,
                pointwise_regularizer=blocks.decay,
                name=f"block{block}_separable{number}",
            )
            steps += blocks.unit(layer, width)
            channels = width
    steps += [layers.GlobalAveragePooling2D(name="features"), *blocks.head(classes)]
    image = keras.Input(image_shape, dtype="uint8", name="image")
    return keras.Sequential([image, preprocessing, *steps], name="separable")


def _depthwise_initializer(channels: int) -> keras.initializers.Initializer:
    # Keras counts all channels as inputs of a kernel, but each kernel sees one channel: he_normal
    # would let the signal vanish over the layers. No activation follows that would halve it.
    return keras.initializers.VarianceScaling(float(channels))
