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

    Input (N, H, W, C), any number type, values 0..255; output of the same shape, in the layer's
    dtype, times a gain and plus a bias a channel, both trained. Mean and deviation are those of a
    ``window`` x ``window`` square over all channels. Where the deviation is below the usual one,
    the usual one divides instead, so that flat places stay flat (Jarrett et al., What is the best
    multi-stage architecture for object recognition?, ICCV 2009, with a square in place of their
    Gaussian window). The usual deviation is the batch's mean while training, and the mean's
    moving average afterwards, as in batch normalisation: one image's output does not depend on
    the others then.

    Args:
        window: pixels.
        epsilon: added to the usual deviation, in shares of 255.
        momentum: of the moving average.
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
        # The root of 0 has no slope: an epsilon far below one grey level keeps gradients finite.
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
        # Averages only over the pixels that the window really covers at the borders.
        return ops.average_pool(grey, self.window, strides=1, padding="same")

    def get_config(self) -> dict[str, Any]:
        own = {"window": self.window, "epsilon": self.epsilon, "momentum": self.momentum}
        return {**super().get_config(), **own}


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
