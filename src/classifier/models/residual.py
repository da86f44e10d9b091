"""A residual network: blocks that learn what to add to their input."""

from collections.abc import Sequence
from typing import Any

import keras
from keras import layers

from classifier.models.blocks import Blocks, chain, check_halvings
from classifier.support.limits import Count, checked


@checked
def residual(
    image_shape: tuple[int, int, int],
    classes: int,
    preprocessing: keras.layers.Layer,
    *,
    filters: Sequence[Count],
    blocks: Count,
    stem_kernel_size: Count,
    stem_strides: Count,
    **options: Any,
) -> keras.Model:
    """Builds the network with the functional API.

    Two convolutions per block, normalization after each, as in He et al., Deep residual learning
    for image recognition, 2016; shortcuts are average-pooled where the block halves the image (He
    et al., Bag of tricks for image classification, 2019), and each block begins as the identity
    (Goyal et al., Accurate, large minibatch SGD, 2017).

    Args:
        image_shape: height, width, channels of the uint8 images that the model takes.
        classes: number of classes; the output is float32 (N, classes), probabilities.
        preprocessing: the first layer, from uint8 pixels to numbers.
        filters: of each stage; every stage after the first halves the image.
        blocks: residual blocks per stage.
        options: see :class:`classifier.models.blocks.Blocks`.

    Raises:
        ValueError: the image is too small for that many stages.
    """
    make = Blocks(**options)
    check_halvings(image_shape, (stem_strides > 1) + len(filters) - 1)

    def convolved(x: Any, name: str, width: int, size: int, strides: int, **more: Any) -> Any:
        return chain(x, make.convolution(width, size, strides=strides, name=name, **more))

    def block(x: Any, name: str, width: int, strides: int) -> Any:
        shortcut = x
        if strides > 1:
            pooled = layers.AveragePooling2D(
                strides, padding="same", name=f"{name}_shortcut_pooling"
            )
            shortcut = pooled(x)
        if x.shape[-1] != width:
            shortcut = convolved(shortcut, f"{name}_shortcut", width, 1, 1, activate=False)
        x = convolved(x, f"{name}_first", width, 3, strides)
        x = convolved(x, f"{name}_second", width, 3, 1, activate=False, gamma="zeros")
        x = layers.Add(name=f"{name}_add")([shortcut, x])
        return layers.Activation(make.activation, name=f"{name}_activation")(x)

    image = keras.Input(image_shape, dtype="uint8", name="image")
    x = preprocessing(image)
    x = convolved(x, "stem", filters[0], stem_kernel_size, stem_strides)
    for stage, width in enumerate(filters, 1):
        for number in range(1, blocks + 1):
            strides = 2 if stage > 1 and number == 1 else 1
            x = block(x, f"stage{stage}_block{number}", width, strides)
    x = layers.GlobalAveragePooling2D(name="features")(x)
    return keras.Model(image, chain(x, make.head(classes)), name="residual")
