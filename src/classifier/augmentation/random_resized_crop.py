"""A Keras augmentation layer: a random part of the image, resized to the size of the image."""

import math
from typing import Any

import keras
import tensorflow as tf

from classifier.augmentation.per_image import PerImageLayer


@keras.saving.register_keras_serializable(package="classifier")
class RandomResizedCrop(PerImageLayer):
    """Crops each image to a random area, aspect ratio and place, resizes it, and may flip it.

    Szegedy et al., Going deeper with convolutions, 2015. Crop, resize and flip are one
    ``tf.image.crop_and_resize`` for the whole batch, several times faster than a layer for each.

    Input and output float32 (N, H, W, C).

    Args:
        scale: smallest and largest share of the image's area that is kept, above 0, up to 1.
        ratio: largest aspect ratio, width by height, at least 1; 1 / ratio is the smallest.
        flip: whether an image is flipped left to right with probability 1/2.

    Raises:
        ValueError: scale or ratio is out of range.
    """

    draws_per_image = 5

    def __init__(
        self,
        scale: tuple[float, float] = (0.5, 1.0),
        ratio: float = 4 / 3,
        flip: bool = True,
        **kwargs: Any,
    ):
        super().__init__(**kwargs)
        self.scale = tuple(scale)
        self.ratio = ratio
        self.flip = flip
        if not 0 < self.scale[0] <= self.scale[1] <= 1:
            raise ValueError(
                f"scale is {list(scale)}: must be two shares in ascending order, above 0, up to 1"
            )
        if ratio < 1:
            raise ValueError(f"ratio is {ratio}: must be at least 1")

    def transform(self, images: Any, draws: Any) -> Any:
        count, size = tf.shape(images)[0], tf.shape(images)[1:3]
        area = self.scale[0] + (self.scale[1] - self.scale[0]) * draws[:, 0]
        aspect = tf.exp((2 * draws[:, 1] - 1) * math.log(self.ratio))
        height = tf.minimum(1.0, tf.sqrt(area / aspect))
        width = tf.minimum(1.0, tf.sqrt(area * aspect))
        top, left = draws[:, 2] * (1 - height), draws[:, 3] * (1 - width)
        flipped = tf.logical_and(self.flip, draws[:, 4] < 0.5)
        first = tf.where(flipped, left + width, left)
        last = tf.where(flipped, left, left + width)
        boxes = tf.stack([top, first, top + height, last], axis=1)
        return tf.image.crop_and_resize(images, boxes, tf.range(count), size)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "scale": list(self.scale),
            "ratio": self.ratio,
            "flip": self.flip,
        }
