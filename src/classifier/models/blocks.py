"""What the model families are built of: a layer with its normalisation and activation, a head."""

import math
from collections.abc import Sequence
from typing import Any

import keras
from keras import layers

from classifier.batch_normalization import FusedBatchNormalization

Layers = list[keras.layers.Layer]


def unit(
    layer: keras.layers.Layer,
    width: int,
    *,
    normalization: str,
    activation: str | None,
    gamma: str = "ones",
) -> Layers:
    """A layer, the normalisation of its output, and an activation, to call one after another.

    They are named after the layer: ``x``, ``x_normalization``, ``x_activation``.

    Args:
        layer: a convolution or a dense layer.
        width: channels of its output.
        normalization: ``batch`` (Ioffe and Szegedy, 2015), ``layer`` (Ba et al., 2016), ``group``
            (Wu and He, 2018; 8 channels a group, or as many as divide the width) or ``none``.
        activation: a name that Keras knows; None leaves it out.
        gamma: initializer of the normalisation's scale.
    """
    name = f"{layer.name}_normalization"
    scale = {"gamma_initializer": gamma, "name": name}
    normalizations: dict[str, Layers] = {
        "batch": [FusedBatchNormalization(**scale)],
        "layer": [layers.LayerNormalization(**scale)],
        "group": [layers.GroupNormalization(width // math.gcd(8, width), **scale)],
        "none": [],
    }
    activations = [layers.Activation(activation, name=f"{layer.name}_activation")]
    return [layer, *normalizations[normalization], *(activations if activation else [])]


def convolution(
    width: int, kernel_size: int, *, normalization: str, weight_decay: float, name: str, **more: Any
) -> keras.layers.Layer:
    """A ``Conv2D`` with what every family's convolutions share; ``more`` goes to it."""
    return layers.Conv2D(
        width,
        kernel_size,
        use_bias=normalization == "none",
        kernel_initializer="he_normal",
        kernel_regularizer=decay(weight_decay),
        name=name,
        **{"padding": "same", **more},
    )


def hidden(width: int, *, normalization: str, weight_decay: float, name: str) -> keras.layers.Layer:
    """A ``Dense`` layer between others, with what :func:`convolution` has too."""
    return layers.Dense(
        width,
        use_bias=normalization == "none",
        kernel_initializer="he_normal",
        kernel_regularizer=decay(weight_decay),
        name=name,
    )


def head(classes: int, *, dropout: float, weight_decay: float) -> Layers:
    """Dropout, then a probability a class: float32 (N, classes)."""
    probabilities = layers.Dense(
        classes,
        activation="softmax",
        kernel_regularizer=decay(weight_decay),
        dtype="float32",
        name="probabilities",
    )
    return [layers.Dropout(dropout, name="dropout"), probabilities]


def decay(weight_decay: float) -> keras.regularizers.Regularizer | None:
    """An L2 penalty on a kernel, half of ``weight_decay`` times its squared norm; None for 0."""
    return keras.regularizers.L2(weight_decay / 2) if weight_decay else None


def pooling(kind: str, size: int, *, padding: str, name: str) -> keras.layers.Layer:
    """A pooling layer with stride ``size``: ``max`` or ``average``."""
    kinds = {"max": layers.MaxPooling2D, "average": layers.AveragePooling2D}
    return kinds[kind](size, padding=padding, name=name)


def chain(x: Any, steps: Sequence[keras.layers.Layer]) -> Any:
    """The layers called one after another."""
    for step in steps:
        x = step(x)
    return x


def check_halvings(image_shape: tuple[int, int, int], halvings: int) -> None:
    """Checks that the image can be halved so often.

    Raises:
        ValueError: it is too small.
    """
    if min(image_shape[:2]) < 2**halvings:
        raise ValueError(
            f"{min(image_shape[:2])} pixels are too few for {halvings} halvings (filters)"
        )


def check_trims(image_shape: tuple[int, int, int], windows: Sequence[tuple[int, int]]) -> None:
    """Checks that windows (kernel size, strides), one after another without padding, fit.

    Raises:
        ValueError: the image is too small.
    """
    side = min(image_shape[:2])
    for size, strides in windows:
        side = (side - size) // strides + 1
        if side < 1:
            raise ValueError(
                f"{min(image_shape[:2])} pixels are too few for {len(windows)} convolutions and "
                "poolings without padding: take fewer filters or a smaller kernel_size"
            )
