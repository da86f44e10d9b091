"""A Keras augmentation layer: another light on the picture, and stronger or paler colours."""

import math
from functools import reduce
from typing import Any

import keras
import tensorflow as tf

from classifier.per_image import PerImageLayer

LARGEST = 255.0  # of a pixel's values


@keras.saving.register_keras_serializable(package="classifier")
class ColorJitter(PerImageLayer):
    """Changes brightness, then contrast, then saturation, each picture by its own draw.

    Does what Keras's ``RandomBrightness``, ``RandomContrast`` and ``RandomSaturation`` do one after
    another (Howard, Some improvements on deep convolutional neural network based image
    classification, 2013), in a third of their time: scaling the saturation of HSV leaves the
    largest channel as it is and scales the others' distance from it, so that no conversion to
    HSV and back is needed.

    Input and output float32 (N, H, W, C), values 0..255; where the saturation grows, channels may
    fall below 0, as those of ``RandomSaturation`` do.

    Args:
        brightness: the largest shift, up or down, as a share of 255.
        contrast: smallest and largest factor of a value's distance from its channel's mean.
        saturation: smallest and largest factor; 1 leaves the picture as it is.
    """

    draws_per_image = 3

    def __init__(
        self,
        brightness: float = 0.0,
        contrast: tuple[float, float] = (1.0, 1.0),
        saturation: tuple[float, float] = (1.0, 1.0),
        **kwargs: Any,
    ):
        super().__init__(**kwargs)
        self.brightness = brightness
        self.contrast = tuple(contrast)
        self.saturation = tuple(saturation)
        if not 0 <= brightness <= 1:
            raise ValueError(f"brightness is {brightness}: must be a share, from 0 to 1")
        for name, factors in (("contrast", self.contrast), ("saturation", self.saturation)):
            if len(factors) != 2 or not 0 < factors[0] <= factors[1]:
                raise ValueError(f"{name} is {list(factors)}: must be two factors, rising, above 0")

    def transform(self, images: Any, draws: Any) -> Any:
        draws = draws[..., tf.newaxis, tf.newaxis, tf.newaxis]
        shift = LARGEST * self.brightness * (2 * draws[:, 0] - 1)
        contrast = self.contrast[0] + (self.contrast[1] - self.contrast[0]) * draws[:, 1]
        # Halving is as likely as doubling.
        weakest, strongest = (math.log(factor) for factor in self.saturation)
        saturation = tf.exp(weakest + (strongest - weakest) * draws[:, 2])
        images = _in_range(images + shift)
        mean = tf.reduce_mean(images, axis=(1, 2), keepdims=True)
        # TensorFlow is slow along an axis of three: a row of means, and no maximum over channels.
        means = tf.tile((1 - contrast) * mean, (1, 1, tf.shape(images)[2], 1))
        images = _in_range(contrast * images + means)
        strongest_channel = reduce(tf.maximum, tf.split(images, images.shape[-1], axis=-1))
        return saturation * images + (1 - saturation) * strongest_channel

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "brightness": self.brightness,
            "contrast": list(self.contrast),
            "saturation": list(self.saturation),
        }


def _in_range(images: Any) -> Any:
    return tf.clip_by_value(images, 0.0, LARGEST)
