"""A plain convolutional network: convolutions with normalisation, one after another."""

from collections.abc import Sequence

import keras
from keras import layers


def convnet(
    image_shape: tuple[int, int, int],
    classes: int,
    normalization: keras.layers.Layer,
    *,
    filters: Sequence[int],
    convolutions: int,
    kernel_size: int,
    activation: str,
    dropout: float,
) -> keras.Sequential:
    """Builds the network.

    Each of ``filters`` makes a block of ``convolutions`` convolutions with batch normalisation,
    the last one with stride 2 in place of pooling (Springenberg et al., Striving for simplicity:
    the all convolutional net, 2015).

    Args:
        image_shape: height, width, channels of the uint8 images that the model takes.
        classes: number of classes; the output is float32 (N, classes), probabilities.
        normalization: the first layer, from uint8 pixels to numbers.
        dropout: share of the features dropped before the classifier.

    Raises:
        ValueError: the image is too small for so many blocks.
    """
    if min(image_shape[:2]) < 2 ** len(filters):
        raise ValueError(
            f"{image_shape[0]} pixels are too few for {len(filters)} halvings (filters)"
        )
    model = keras.Sequential(name="convnet")
    model.add(keras.Input(image_shape, dtype="uint8", name="image"))
    model.add(normalization)
    for block, width in enumerate(filters, 1):
        for number in range(1, convolutions + 1):
            name = f"block{block}_{number}"
            strides = 2 if number == convolutions else 1
            model.add(
                layers.Conv2D(
                    width,
                    kernel_size,
                    strides=strides,
                    padding="same",
                    use_bias=False,
                    kernel_initializer="he_normal",
                    name=f"{name}_convolution",
                )
            )
            model.add(layers.BatchNormalization(name=f"{name}_normalization"))
            model.add(layers.Activation(activation, name=f"{name}_activation"))
    model.add(layers.GlobalAveragePooling2D(name="pooling"))
    model.add(layers.Dropout(dropout, name="dropout"))
    model.add(layers.Dense(classes, activation="softmax", dtype="float32", name="probabilities"))
    return model
