"""A Keras augmentation layer: shift, turn, zoom and shear in one step."""

import math
from typing import Any

import keras
import tensorflow as tf

from classifier.per_image import PerImageLayer


@keras.saving.register_keras_serializable(package="classifier")
class RandomAffine(PerImageLayer):
    """Moves each picture by an affine map of its own, about its centre; what comes in is black.

    Simard et al., Best practices for convolutional neural networks applied to visual document
    analysis, 2003. One ``ImageProjectiveTransformV3`` for the whole batch, bilinear, where
    ``RandomTranslation``, ``RandomRotation`` and ``RandomZoom`` resample the picture three times.

    Input and output float32 (N, H, W, C). Each argument is the largest change either way; an
    image's own is drawn evenly.

    Args:
        translation: shares of height and width.
        rotation: share of a full turn.
        zoom: share of the size.
        shear: pixels sideways for each pixel of height.
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
        # From a pixel of the result, (x, y), back to the place in the picture that it shows.
        cosine, sine = scale * tf.cos(angle), scale * tf.sin(angle)
        xx, xy = cosine, sine + shear * cosine
        yx, yy = -sine, cosine - shear * sine
        x, y = (width - 1) / 2 + right, (height - 1) / 2 + down
        to_x = (width - 1) / 2 - xx * x - xy * y
        to_y = (height - 1) / 2 - yx * x - yy * y
        none = tf.zeros_like(angle)
        return tf.raw_ops.ImageProjectiveTransformV3(
            images=images,
            transforms=tf.stack([xx, xy, to_x, yx, yy, to_y, none, none], axis=1),
            output_shape=size,
            fill_value=0.0,
            interpolation="BILINEAR",
            fill_mode="CONSTANT",
        )

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "translation": self.translation,
            "rotation": self.rotation,
            "zoom": self.zoom,
            "shear": self.shear,
        }
