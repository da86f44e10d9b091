"""A Keras augmentation layer: translation, rotation, zoom and shear in one step."""

import math
from typing import Any

import keras
import tensorflow as tf

from classifier.augmentation.per_image import PerImageLayer


@keras.saving.register_keras_serializable(package="classifier")
class RandomAffine(PerImageLayer):
    """Applies a random affine transform to each image, about its centre. Empty places are black.

    Simard et al., Best practices for convolutional neural networks applied to visual document
    analysis, 2003. The batch is resampled once, by bilinear interpolation, where
    ``RandomTranslation``, ``RandomRotation`` and ``RandomZoom`` resample it three times.

    Input and output float32 (N, H, W, C). Each argument is the largest change in both directions;
    the change of an image is drawn from a uniform distribution.

    Args:
        translation: shares of height and width, 0 up to 1.
        rotation: share of a full turn, 0 up to 1.
        zoom: share of the size, 0 up to 1.
        shear: horizontal pixels per vertical pixel, 0 up to 1.

    Raises:
        ValueError: an argument is below 0, or not below 1.
    """

    draws_per_image = 5
    lowest_draw = -1.0

    def __init__(
        self,
        translation: float = 0.0,
        rotation: float = 0.0,
        zoom: float = 0.0,
        shear: float = 0.0,
        **kwargs: Any,
    ):
        super().__init__(**kwargs)
        self.translation = translation
        self.rotation = rotation
        self.zoom = zoom
        self.shear = shear
        for name in ("translation", "rotation", "zoom", "shear"):
            value = getattr(self, name)
            if not 0 <= value < 1:
                raise ValueError(f"{name} is {value}: must be at least 0 and below 1")

    def transform(self, images: Any, draws: Any) -> Any:
        size = tf.shape(images)[1:3]
        height, width = tf.cast(size[0], tf.float32), tf.cast(size[1], tf.float32)
        down, right = (
            draws[:, 0] * self.translation * height,
            draws[:, 1] * self.translation * width,
        )
        angle = draws[:, 2] * self.rotation * 2 * math.pi
        scale = 1 / (1 + draws[:, 3] * self.zoom)
        shear = draws[:, 4] * self.shear
        # The transform maps a pixel (x, y) of the output to its place in the input.
        cosine, sine = scale * tf.cos(angle), scale * tf.sin(angle)
        xx, xy = cosine, sine + shear * cosine
        yx, yy = -sine, cosine - shear * sine
        x, y = (width - 1) / 2 + right, (height - 1) / 2 + down
        to_x = (width - 1) / 2 - xx * x - xy * y
        to_y = (height - 1) / 2 - yx * x - yy * y
        zeros = tf.zeros_like(angle)
        rows = tf.stack([xx, xy, to_x, yx, yy, to_y, zeros, zeros], axis=1)
        return keras.ops.image.affine_transform(images, rows, data_format="channels_last")

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "translation": self.translation,
            "rotation": self.rotation,
            "zoom": self.zoom,
            "shear": self.shear,
        }
