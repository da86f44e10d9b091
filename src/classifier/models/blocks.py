"""What the model families are built of: layers with their normalization and activation, a head."""

import math
from collections.abc import Sequence
from typing import Any, Literal

import keras
from keras import layers
from pydantic.dataclasses import dataclass

from classifier.layers.batch_normalization import FusedBatchNormalization
from classifier.support.limits import STRICT, FractionBelow1, NonNegative

Layers = list[keras.layers.Layer]
Activation = Literal[
    "celu",
    "elu",
    "exponential",
    "gelu",
    "hard_shrink",
    "hard_sigmoid",
    "hard_silu",
    "hard_swish",
    "hard_tanh",
    "leaky_relu",
    "linear",
    "mish",
    "relu",
    "relu6",
    "selu",
    "sigmoid",
    "silu",
    "soft_shrink",
    "softplus",
    "softsign",
    "squareplus",
    "swish",
    "tanh",
    "tanh_shrink",
]


@dataclass(kw_only=True, frozen=True, config=STRICT)
class Blocks:
    """What all layers of a network have in common, and the layers that are built with it.

    Attributes:
        activation: a name that Keras knows.
        normalization: ``batch`` (Ioffe and Szegedy, 2015), ``layer`` (Ba et al., 2016), ``group``
            (Wu and He, 2018; 8 channels per group, or the largest divisor they share) or ``none``.
        dropout: the fraction of the features that :meth:`head` drops.
        weight_decay: an L2 penalty on every kernel, half of it times the squared norm.
    """

    activation: Activation
    normalization: Literal["batch", "layer", "group", "none"]
    dropout: FractionBelow1
    weight_decay: NonNegative

    def convolution(self, width: int, kernel_size: int, *, name: str, **options: Any) -> Layers:
        """A ``Conv2D``, its normalization and its activation; ``options`` as for :meth:`unit` and
        for ``Conv2D``."""
        unit = {key: options.pop(key) for key in ("activate", "gamma") if key in options}
        layer = layers.Conv2D(
            width,
            kernel_size,
            use_bias=self.use_bias,
            kernel_initializer="he_normal",
            kernel_regularizer=self.decay,
            name=name,
            **{"padding": "same", **options},
        )
        return self.unit(layer, width, **unit)

    def hidden(self, width: int, *, name: str) -> Layers:
        """A ``Dense`` layer, its normalization and its activation."""
        layer = layers.Dense(
            width,
            use_bias=self.use_bias,
            kernel_initializer="he_normal",
            kernel_regularizer=self.decay,
            name=name,
        )
        return self.unit(layer, width)

    def unit(
        self, layer: keras.layers.Layer, width: int, *, activate: bool = True, gamma: str = "ones"
    ) -> Layers:
        """A layer, the normalization of its output, and an activation, to call one after another.

        They are named after the layer: ``x``, ``x_normalization``, ``x_activation``.

        Args:
            width: channels of the layer's output.
            activate: whether the activation is one of them.
            gamma: initializer of the normalization's scale.
        """
        scale = {"gamma_initializer": gamma, "name": f"{layer.name}_normalization"}
        normalizations: dict[str, Layers] = {
            "batch": [FusedBatchNormalization(**scale)],
            "layer": [layers.LayerNormalization(**scale)],
            "group": [layers.GroupNormalization(width // math.gcd(8, width), **scale)],
            "none": [],
        }
        activation = layers.Activation(self.activation, name=f"{layer.name}_activation")
        return [layer, *normalizations[self.normalization], *([activation] if activate else [])]

    def head(self, classes: int) -> Layers:
        """Dropout, then a probability per class: float32 (N, classes)."""
        probabilities = layers.Dense(
            classes,
            activation="softmax",
            kernel_regularizer=self.decay,
            dtype="float32",
            name="probabilities",
        )
        return [layers.Dropout(self.dropout, name="dropout"), probabilities]

    @property
    def use_bias(self) -> bool:
        """Whether a layer needs a bias: a normalization has its own."""
        return self.normalization == "none"

    @property
    def decay(self) -> keras.regularizers.Regularizer | None:
        """The L2 penalty on a kernel; None for a weight decay of 0."""
        return keras.regularizers.L2(self.weight_decay / 2) if self.weight_decay else None


def pooling(kind: str, size: int, *, padding: str, name: str) -> keras.layers.Layer:
    """A pooling layer with stride ``size``: ``max`` or ``average``."""
    kinds = {"max": layers.MaxPooling2D, "average": layers.AveragePooling2D}
    return kinds[kind](size, padding=padding, name=name)


def chain(x: Any, steps: Sequence[keras.layers.Layer]) -> Any:
    """The output of the layers, called one after another on ``x``."""
    for step in steps:
        x = step(x)
    return x


def check_halvings(image_shape: tuple[int, int, int], halvings: int) -> None:
    """Checks that the image can be halved that many times.

    Raises:
        ValueError: it is too small.
    """
    if min(image_shape[:2]) < 2**halvings:
        raise ValueError(
            f"{min(image_shape[:2])} pixels are too few for {halvings} halvings (filters)"
        )


def check_trims(image_shape: tuple[int, int, int], windows: Sequence[tuple[int, int]]) -> None:
    """Checks that windows (kernel size, strides) fit, one after another without padding.

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
