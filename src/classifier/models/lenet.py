"""A small network whose dense layer sees the place of each feature: fast and good on digits."""

from collections.abc import Sequence
from typing import Any

import keras
from keras import layers

from classifier.models.blocks import Blocks, check_trims
from classifier.support.limits import Count, checked


@checked
def lenet(
    image_shape: tuple[int, int, int],
    classes: int,
    preprocessing: keras.layers.Layer,
    *,
    filters: Sequence[Count],
    kernel_size: Sequence[Count],
    strides: Sequence[Count],
    **options: Any,
) -> keras.Sequential:
    """Builds the network.

    LeCun et al., Gradient-based learning applied to document recognition, 1998: convolutions
    without padding, and a dense layer on the flattened last maps, where
    :func:`classifier.models.convnet.convnet` has global average pooling. Here with normalization,
    ReLU, and strides instead of subsampling (Springenberg et al., 2015).

    Args:
        image_shape: height, width, channels of the uint8 images that the model takes.
        classes: number of classes; the output is float32 (N, classes), probabilities.
        preprocessing: the first layer, from uint8 pixels to numbers.
        filters, kernel_size, strides: of each convolution.
        options: see :class:`classifier.models.blocks.Blocks`.

    Raises:
        ValueError: the three lists have different lengths, or the image is too small.
    """
    blocks = Blocks(**options)
    if not len(filters) == len(kernel_size) == len(strides):
        raise ValueError(
            f"filters, kernel_size and strides need a value for each convolution, but have "
            f"{len(filters)}, {len(kernel_size)} and {len(strides)}"
        )
    windows = list(zip(kernel_size, strides, strict=True))
    check_trims(image_shape, windows)
    model = keras.Sequential(name="lenet")
    model.add(keras.Input(image_shape, dtype="uint8", name="image"))
    model.add(preprocessing)
    for number, (width, (size, stride)) in enumerate(zip(filters, windows, strict=True), 1):
        for layer in blocks.convolution(
            width, size, strides=stride, padding="valid", name=f"convolution{number}"
        ):
            model.add(layer)
    model.add(layers.Flatten(name="features"))
    for layer in blocks.head(classes):
        model.add(layer)
    return model
