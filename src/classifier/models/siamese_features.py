"""One tower of convolutions that sees the image twice: at its full and at half its size."""

from collections.abc import Sequence
from typing import Any

import keras
from keras import layers

from classifier.models.blocks import Blocks, chain, check_halvings
from classifier.support.limits import Count, checked


@checked
def siamese_features(
    image_shape: tuple[int, int, int],
    classes: int,
    preprocessing: keras.layers.Layer,
    *,
    filters: Sequence[Count],
    kernel_size: Count,
    **options: Any,
) -> keras.Model:
    """Builds the network with the functional API.

    The same layers, with the same weights, compute features of both sizes, as the twins of Bromley
    et al., Signature verification using a siamese time delay neural network, 1993; the classifier
    gets the concatenated features.

    Args:
        image_shape: height, width, channels of the uint8 images that the model takes.
        classes: number of classes; the output is float32 (N, classes), probabilities.
        preprocessing: the first layer, from uint8 pixels to numbers.
        filters: of each convolution of the tower; each halves its input.
        options: see :class:`classifier.models.blocks.Blocks`.

    Raises:
        ValueError: half the image is too small for that many convolutions.
    """
    blocks = Blocks(**options)
    check_halvings(image_shape, len(filters) + 1)
    steps: list[Any] = []
    for number, width in enumerate(filters, 1):
        steps += blocks.convolution(width, kernel_size, strides=2, name=f"convolution{number}")
    steps.append(layers.GlobalAveragePooling2D(name="pooling"))

    image = keras.Input(image_shape, dtype="uint8", name="image")
    whole = preprocessing(image)
    any_size = keras.Input((None, None, whole.shape[-1]))
    tower = keras.Sequential([any_size, *steps], name="tower")
    half = layers.AveragePooling2D(2, name="half")(whole)
    features = layers.Concatenate(name="features")([tower(whole), tower(half)])
    return keras.Model(image, chain(features, blocks.head(classes)), name="siamese_features")
