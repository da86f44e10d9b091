"""Layers that normalize images: the first layer of every model."""

from typing import Any

import keras
from keras import layers, ops


@keras.saving.register_keras_serializable(package="classifier")
class PerImageStandardization(layers.Layer):
    """Subtracts the mean of each image, and divides by its standard deviation.

    Input (N, H, W, C), any number type; output of the same shape, in the layer's dtype, with mean
    0 and deviation 1 per image. The divisor is at least 1 / sqrt(H * W * C), as in
    ``tf.image.per_image_standardization``.
    """

    def call(self, images: Any) -> Any:
        images = ops.cast(images, self.compute_dtype)
        mean = ops.mean(images, axis=(1, 2, 3), keepdims=True)
        deviation = ops.std(images, axis=(1, 2, 3), keepdims=True)
        count = images.shape[1] * images.shape[2] * images.shape[3]
        return (images - mean) / ops.maximum(deviation, count**-0.5)


@keras.saving.register_keras_serializable(package="classifier")
class LocalContrastNormalization(layers.Layer):
    """Subtracts the mean of each pixel's neighbourhood, and divides by its standard deviation.

    Input (N, H, W, C), any number type, values 0..255; output of the same shape, in the layer's
    dtype, times a gain and plus a bias per channel, both trained. Mean and deviation are those of
    a ``window`` x ``window`` square over all channels. The divisor is at least the usual
    deviation, so that flat places stay flat (Jarrett et al., What is the best multi-stage
    architecture for object recognition?, ICCV 2009, with a square in place of their Gaussian
    window). The usual deviation is the mean over the batch in training, and the moving average of
    that mean in inference, as in batch normalization: the output of an image does not depend on
    the other images then.

    Args:
        window: side of the square, pixels.
        epsilon: added to the usual deviation, as a share of 255.
        momentum: of the moving average, 0..1.
    """

    def __init__(
        self, window: int = 7, epsilon: float = 1e-3, momentum: float = 0.9, **kwargs: Any
    ):
        super().__init__(**kwargs)
        self.window = window
        self.epsilon = epsilon
        self.momentum = momentum
        self.supports_masking = True

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        channels = (input_shape[-1],)
        self.gain = self.add_weight(shape=channels, initializer="ones", name="gain")
        self.bias = self.add_weight(shape=channels, initializer="zeros", name="bias")
        self.usual_deviation = self.add_weight(
            shape=(), initializer="zeros", trainable=False, name="usual_deviation"
        )

    def call(self, images: Any, training: bool = False) -> Any:
        images = ops.cast(images, self.compute_dtype) / 255
        centred = images - self._local_mean(images)
        variance = self._local_mean(ops.square(centred))
        # The gradient of a root is infinite at 0: 1e-6 is far below one grey level.
        deviation = ops.sqrt(variance + 1e-6)
        learning = training and self.trainable
        usual = ops.mean(deviation) if learning else ops.cast(self.usual_deviation, images.dtype)
        if learning:
            kept = self.momentum * self.usual_deviation
            self.usual_deviation.assign(kept + (1 - self.momentum) * ops.cast(usual, kept.dtype))
        scaled = centred / ops.maximum(deviation, usual + self.epsilon)
        return scaled * ops.cast(self.gain, scaled.dtype) + ops.cast(self.bias, scaled.dtype)

    def _local_mean(self, images: Any) -> Any:
        grey = ops.mean(images, axis=-1, keepdims=True)
        # At the borders, only the pixels inside the image count.
        return ops.average_pool(grey, self.window, strides=1, padding="same")

    def get_config(self) -> dict[str, Any]:
        own = {"window": self.window, "epsilon": self.epsilon, "momentum": self.momentum}
        return {**super().get_config(), **own}


def normalization_layer(statistics: dict[str, Any]) -> keras.layers.Layer:
    """The layer for the content of ``statistics.json``, of the normalize stage.

    Args:
        statistics: ``method`` (rescale, standardize, per_image, local_contrast), ``mean`` and
            ``standard_deviation`` per channel, 0..255, and ``window`` in pixels.

    Raises:
        ValueError: there is no such method.
    """
    name = "normalization"
    match statistics["method"]:
        case "rescale":
            return layers.Rescaling(1 / 255, name=name)
        case "standardize":
            # A constant channel has deviation 0: it is only centred.
            deviation = [value or 1.0 for value in statistics["standard_deviation"]]
            offset = [-m / d for m, d in zip(statistics["mean"], deviation, strict=True)]
            return layers.Rescaling([1 / value for value in deviation], offset, name=name)
        case "per_image":
            return PerImageStandardization(name=name)
        case "local_contrast":
            return LocalContrastNormalization(statistics["window"], name=name)
    raise ValueError(f"unknown normalization method {statistics['method']!r}")
