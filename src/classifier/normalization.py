"""The first layer of every model: raw uint8 pixels in, numbers of an even scale out."""

from typing import Any

import keras
from keras import layers, ops


@keras.saving.register_keras_serializable(package="classifier")
class PerImageStandardization(layers.Layer):
    """Each image minus its own mean, over its own deviation.

    Input (N, H, W, C), any number type; output float32 of the same shape, mean 0 and deviation 1
    an image. The deviation is at least 1 / sqrt(H * W * C), as in
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
    """Each pixel minus the mean of its neighbourhood, over the neighbourhood's deviation.

    Input (N, H, W, C), any number type; output float32 of the same shape. Mean and deviation are
    those of a ``window`` x ``window`` square over all channels; where the deviation is less than
    its mean over the image, that mean divides instead (Jarrett et al., What is the best
    multi-stage architecture for object recognition?, ICCV 2009; with a square in place of their
    Gaussian window).
    """

    def __init__(self, window: int = 7, epsilon: float = 1e-3, **kwargs: Any):
        super().__init__(**kwargs)
        self.window = window
        self.epsilon = epsilon

    def call(self, images: Any) -> Any:
        images = ops.cast(images, self.compute_dtype) / 255
        centred = images - self._local_mean(images)
        deviation = ops.sqrt(self._local_mean(ops.square(centred)))
        typical = ops.mean(deviation, axis=(1, 2, 3), keepdims=True)
        return centred / ops.maximum(deviation, typical + self.epsilon)

    def _local_mean(self, images: Any) -> Any:
        grey = ops.mean(images, axis=-1, keepdims=True)
        # Averages only over the pixels that the window really covers at the borders.
        return ops.average_pool(grey, self.window, strides=1, padding="same")

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "window": self.window, "epsilon": self.epsilon}


def normalization_layer(statistics: dict[str, Any]) -> keras.layers.Layer:
    """The layer for ``statistics.json`` of the normalize stage.

    Args:
        statistics: ``method`` (rescale, standardize, per_image, local_contrast), ``mean`` and
            ``standard_deviation`` a channel in 0..255, ``window`` in pixels.
    """
    name = "normalization"
    match statistics["method"]:
        case "rescale":
            return layers.Rescaling(1 / 255, name=name)
        case "standardize":
            # A channel that never varies is only centred.
            deviation = [value or 1.0 for value in statistics["standard_deviation"]]
            offset = [-m / d for m, d in zip(statistics["mean"], deviation, strict=True)]
            return layers.Rescaling([1 / value for value in deviation], offset, name=name)
        case "per_image":
            return PerImageStandardization(name=name)
        case "local_contrast":
            return LocalContrastNormalization(statistics["window"], name=name)
    raise ValueError(f"unknown normalization method {statistics['method']!r}")
