"""A residual network: blocks that learn what to add to their input."""

from collections.abc import Sequence
from typing import Any

import keras
from keras import layers


def residual(
    image_shape: tuple[int, int, int],
    classes: int,
    normalization: keras.layers.Layer,
    *,
    filters: Sequence[int],
    blocks: int,
    stem_kernel_size: int,
    stem_strides: int,
    activation: str,
    dropout: float,
) -> keras.Model:
    """Builds the network with the functional API.

    Two convolutions a block, batch normalisation after each, as in He et al., Deep residual
    learning for image recognition, 2016; shortcuts are average-pooled where the block halves the
    image (He et al., Bag of tricks for image classification, 2019), and each block begins as the
    identity (Goyal et al., Accurate, large minibatch SGD, 2017).

    Args:
        image_shape: height, width, channels of the uint8 images that the model takes.
        classes: number of classes; the output is float32 (N, classes), probabilities.
        normalization: the first layer, from uint8 pixels to numbers.
        filters: of each stage; every stage after the first halves the image.
        blocks: residual blocks a stage.
        dropout: share of the features dropped before the classifier.

    Raises:
        ValueError: the image is too small for so many stages.
    """
    if min(image_shape[:2]) < stem_strides * 2 ** (len(filters) - 1):
        raise ValueError(f"{image_shape[0]} pixels are too few for {len(filters)} stages (filters)")
    images = keras.Input(image_shape, dtype="uint8", name="image")
    x = normalization(images)
    x = _convolution(x, filters[0], stem_kernel_size, stem_strides, "stem")
    x = layers.Activation(activation, name="stem_activation")(x)
    for stage, width in enumerate(filters, 1):
        for block in range(1, blocks + 1):
            strides = 2 if stage > 1 and block == 1 else 1
            x = _block(x, width, strides, activation, f"stage{stage}_block{block}")
    x = layers.GlobalAveragePooling2D(name="pooling")(x)
    x = layers.Dropout(dropout, name="dropout")(x)
    x = layers.Dense(classes, activation="softmax", dtype="float32", name="probabilities")(x)
    return keras.Model(images, x, name="residual")


def _block(x: Any, width: int, strides: int, activation: str, name: str) -> Any:
    shortcut = x
    if strides > 1:
        shortcut = layers.AveragePooling2D(
            strides, padding="same", name=f"{name}_shortcut_pooling"
        )(x)
    if x.shape[-1] != width:
        shortcut = _convolution(shortcut, width, 1, 1, f"{name}_shortcut")
    x = _convolution(x, width, 3, strides, f"{name}_1")
    x = layers.Activation(activation, name=f"{name}_1_activation")(x)
    x = _convolution(x, width, 3, 1, f"{name}_2", gamma="zeros")
    x = layers.Add(name=f"{name}_add")([shortcut, x])
    return layers.Activation(activation, name=f"{name}_activation")(x)


def _convolution(
    x: Any, width: int, kernel_size: int, strides: int, name: str, gamma: str = "ones"
) -> Any:
    x = layers.Conv2D(
        width,
        kernel_size,
        strides=strides,
        padding="same",
        use_bias=False,
        kernel_initializer="he_normal",
        name=f"{name}_convolution",
    )(x)
    return layers.BatchNormalization(gamma_initializer=gamma, name=f"{name}_normalization")(x)
