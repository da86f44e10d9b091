"""An inception network: branches of several window sizes side by side, concatenated."""

from collections.abc import Sequence
from typing import Any

import keras
from keras import layers

from classifier.models.blocks import Blocks, chain, check_halvings
from classifier.support.limits import Count, checked


@checked
def inception(
    image_shape: tuple[int, int, int],
    classes: int,
    preprocessing: keras.layers.Layer,
    *,
    filters: Sequence[Count],
    stem_strides: Count,
    **options: Any,
) -> keras.Model:
    """Builds the network with the functional API.

    A block has four branches: 1 x 1; 1 x 1 then 3 x 3; 1 x 1 then two 3 x 3, which see 5 x 5;
    pooling then 1 x 1 (Szegedy et al., Rethinking the inception architecture, 2016).

    Args:
        image_shape: height, width, channels of the uint8 images that the model takes.
        classes: number of classes; the output is float32 (N, classes), probabilities.
        preprocessing: the first layer, from uint8 pixels to numbers.
        filters: of each block, a multiple of 4: a quarter per branch. The image is halved after
            each block but the last.
        options: see :class:`classifier.models.blocks.Blocks`.

    Raises:
        ValueError: the image is too small for that many blocks, or filters are no multiple of 4.
    """
    blocks = Blocks(**options)
    check_halvings(image_shape, (stem_strides > 1) + len(filters) - 1)
    for width in filters:
        if width % 4:
            raise ValueError(f"filters {width} is not a multiple of 4: a quarter goes to a branch")

    def convolved(x: Any, name: str, width: int, size: int, strides: int = 1) -> Any:
        return chain(x, blocks.convolution(width, size, strides=strides, name=name))

    def block(x: Any, name: str, width: int) -> Any:
        ones = convolved(x, f"{name}_1x1", width, 1)
        threes = convolved(x, f"{name}_3x3_reduced", width, 1)
        threes = convolved(threes, f"{name}_3x3", width, 3)
        fives = convolved(x, f"{name}_5x5_reduced", width, 1)
        fives = convolved(fives, f"{name}_5x5_first", width, 3)
        fives = convolved(fives, f"{name}_5x5_second", width, 3)
        pooled = layers.AveragePooling2D(3, strides=1, padding="same", name=f"{name}_pooling")(x)
        pooled = convolved(pooled, f"{name}_pooled", width, 1)
        return layers.Concatenate(name=f"{name}_merged")([ones, threes, fives, pooled])

    image = keras.Input(image_shape, dtype="uint8", name="image")
    x = preprocessing(image)
    x = convolved(x, "stem", filters[0], 3, stem_strides)
    for number, width in enumerate(filters, 1):
        x = block(x, f"block{number}", width // 4)
        if number < len(filters):
            x = layers.MaxPooling2D(2, padding="same", name=f"block{number}_halved")(x)
    x = layers.GlobalAveragePooling2D(name="features")(x)
    return keras.Model(image, chain(x, blocks.head(classes)), name="inception")
